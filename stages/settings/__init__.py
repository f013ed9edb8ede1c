"""Every setting, declared once: light to import, so that a help needs nothing else."""
