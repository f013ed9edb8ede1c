"""The embedded base model of the `chain` world, and the script that made it."""
