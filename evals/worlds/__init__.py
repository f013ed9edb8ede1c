"""Embedded worlds: generators whose problems need no download and whose truth is known."""
