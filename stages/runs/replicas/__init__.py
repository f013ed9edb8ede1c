"""Replicas: processes, here or on other machines, that each do a stage's work with an engine of their own.

One process reads the lines, journals them and writes them in order, as always (`stages.runs.runner`); its `pool` gives
each problem to a replica. What runs in a replica is `host`; how one is started and reached is `local` or `on_ray`.
"""
