"""Checks model-written programs against tests, each in a process of its own that can do no harm."""
