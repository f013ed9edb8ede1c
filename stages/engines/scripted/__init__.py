"""The `scripted` engine: canned answers, and a model that is right with a given probability."""
