"""Engines: who writes text."""
