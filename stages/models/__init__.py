"""Finding, loading and prompting models."""
