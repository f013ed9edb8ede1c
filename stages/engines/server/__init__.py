"""The `server` engine: any OpenAI-compatible endpoint."""
