"""Text without what nobody but its owner is to read: before it is printed, and before it is kept.

without_secrets("no answer from https://me:pass@hub/api")     # "no answer from https://hub/api"
without_secrets("bad key sk-1234567890")                      # "bad key [SIPF_API_KEY]", where that is its value
"""

from __future__ import annotations

import os
import re
from unicodedata import category

_IN_A_URL = re.compile(r"://[^/@\s]*@")
_NAMES = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)
"""Ends of the names of variables that hold a secret."""
SHORTEST = 8
"""Characters; a shorter value may be a word that stands in a text by chance."""


def without_secrets(text: str) -> str:
    """The text without names and passwords in URLs, and without the values of variables that hold keys."""
    secrets = {value: name for name, value in os.environ.items() if is_secret(name) and len(value) >= SHORTEST}
    for value in sorted(secrets, key=len, reverse=True):
        text = text.replace(value, f"[{secrets[value]}]")
    return _IN_A_URL.sub("://", text)


def is_secret(variable: str) -> bool:
    """Whether a variable holds a secret, by its name."""
    return _NAMES.search(variable) is not None


def for_a_terminal(text: str) -> str:
    """The text without secrets and without what a terminal would obey; line breaks, tabs and other spaces stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or category(c) == "Zs" else "\ufffd" for c in without_secrets(text)
    )
