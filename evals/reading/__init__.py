"""Reads the answer from a text and says whether it is right, without running anything."""
