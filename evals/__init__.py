"""Ground floor: what a problem is, how it is prompted, split into steps and judged. No models, no torch."""
