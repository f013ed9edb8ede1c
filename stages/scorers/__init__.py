"""Who scores steps with a reward model."""
