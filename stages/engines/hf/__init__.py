"""The `hf` engine: a decode loop around any transformers model."""
