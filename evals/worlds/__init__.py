"""Embedded worlds: generators of problems that need no download and whose true states are known."""
