"""What vLLM is started with; that needs no vLLM."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.engines.vllm.start import Prepared, VLLMStart, _arguments
from tests.architectures import configure


@pytest.mark.parametrize(
    ("device", "rows", "vocabulary", "tokens"),
    [
        ("cuda", None, 49_152, 16_384),
        ("cuda", None, 256_000, 4_194),  # their logits are 4 GB
        ("cuda", 8_192, 256_000, 8_192),  # vLLM wants a token for each row
        ("cpu", None, 49_152, None),  # a CPU is busy with the fewest tokens
    ],
)
def test_tokens_of_a_step(tmp_path: Path, device: str, rows: int | None, vocabulary: int, tokens: int | None) -> None:
    configure("Llama", vocab_size=vocabulary).save_pretrained(tmp_path)
    settings = VLLMStart(device, "float32", rows, 1, 0.9, None, False)
    found = _arguments(Prepared("m", str(tmp_path)), settings)
    assert found.get("max_num_batched_tokens") == tokens
    assert found["max_num_seqs"] == (rows or (256 if device == "cpu" else 512))
