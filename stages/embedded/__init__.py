"""The models of the embedded worlds, and the script that made them."""
