"""From a text to an answer, and whether it is right, without running anything."""
