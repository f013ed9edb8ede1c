"""How a run is done, as frozen dataclasses that are light to import: neither pydantic nor a model library."""
