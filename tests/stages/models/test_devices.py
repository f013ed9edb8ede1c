"""What "auto" stands for."""

from __future__ import annotations

import pytest
import torch

from evals.errors import ModelError
from stages.models.devices import choose_device, choose_dtype, choose_training_dtype


@pytest.mark.parametrize(
    ("able", "chosen"),
    [({"avx512_bf16": True}, "bfloat16"), ({"amx_bf16": True}, "bfloat16"), ({"avx512_f": True}, "float32")],
)
def test_training_computes_in_bfloat16_on_a_cpu_that_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert choose_training_dtype("auto", "cpu") == chosen
    assert choose_training_dtype("float32", "cpu") == "float32"
    assert choose_dtype("auto", "cpu") == "float32", "writing and scoring stay independent of the batch"


def test_another_device_or_dtype_than_there_is_is_refused() -> None:
    with pytest.raises(ModelError, match="unknown dtype"):
        choose_training_dtype("float16", "cpu")
    with pytest.raises(ModelError, match="no device"):
        choose_device("tpu")
