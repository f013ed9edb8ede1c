"""Checks model-written programs against tests, each in its own process that can do no harm."""
