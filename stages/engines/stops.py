"""From token ids back to text, and where a stop string ends it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

CONTEXT = 4
"""Prompt tokens decoded in front of a completion, as some tokenizers drop a leading space."""


def end_ids(generation_config: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a text, as the model's generation settings and the tokenizer name them."""
    named = generation_config.eos_token_id
    ids = set(named) if isinstance(named, list) else {named}
    return {i for i in (*ids, tokenizer.eos_token_id) if i is not None}


class TextReader:
    """Reads what rows have written.

    Attributes:
        is_end: (V,) bool, tokens that end a text.
        suspicious: (V,) bool, tokens after which a stop string may be complete. Only then is text decoded.
    """

    def __init__(self, tokenizer: Any, end_ids: Iterable[int], vocabulary: int) -> None:
        self.tokenizer = tokenizer
        self.is_end = np.zeros(vocabulary, bool)
        self.is_end[[i for i in end_ids if i < vocabulary]] = True
        self.suspicious = np.zeros(vocabulary, bool)
        self._known: set[str] = set()
        self._texts: list[str] | None = None

    def watch(self, stop: Sequence[str]) -> None:
        """Take further stop strings into account."""
        new = {text[-1] for text in stop if text} - self._known
        if not new:
            return
        if self._texts is None:
            known = min(len(self.tokenizer), len(self.suspicious))
            self._texts = self.tokenizer.batch_decode([[i] for i in range(known)])
        for i, text in enumerate(self._texts):
            # A token that is part of a character only shows as a replacement character: it may complete any of them.
            if any(end in text for end in new) or "\ufffd" in text:
                self.suspicious[i] = True
        self._known |= new

    def read(self, prompt: Sequence[int], written: Sequence[int], stop: Sequence[str]) -> tuple[str, bool]:
        """The written tokens as text, cut before the first stop string, and whether there was one."""
        context = list(prompt[-CONTEXT:])
        before = self.tokenizer.decode(context, skip_special_tokens=True)
        text = self.tokenizer.decode([*context, *written], skip_special_tokens=True)[len(before) :]
        places = [place for place in (text.find(string) for string in stop) if place >= 0]
        return (text[: min(places)], True) if places else (text, False)
