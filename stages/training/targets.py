"""What a token's label is where there is nothing to learn from it."""

from __future__ import annotations

from stages.models.prompts import Encoded

IGNORED = -100
"""The label that torch's cross-entropy, transformers and TRL leave out."""


def completion_labels(encoded: Encoded) -> list[int]:
    """Labels of a prompt and its completion, as long as `encoded.ids`: the loss is on what the model wrote itself."""
    context = len(encoded.prompt_ids) + encoded.given
    return [IGNORED] * context + encoded.completion_ids[encoded.given :]
