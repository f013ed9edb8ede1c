"""Every setting, declared once; light to import, so that `--help` needs nothing else."""
