"""Named sets of options: what `--preset NAME` puts in place of a command's defaults."""

from __future__ import annotations

from typing import Any

_LORA_256: dict[str, Any] = {"lora": True, "lora_r": 256, "lora_alpha": 128, "lora_dropout": 0.05, "load_in_4bit": True}
_LORA_16: dict[str, Any] = {"lora": True, "lora_r": 16, "lora_alpha": 32, "lora_dropout": 0.05, "load_in_4bit": True}
_POLICY: dict[str, Any] = {
    **_LORA_256,
    "epochs": 8,
    "batch": 2,
    "accumulation": 10,
    "schedule": "linear",
    "warmup": 0.1,
    "max_grad_norm": 0.3,
    "dtype": "bfloat16",
    "seed": 42,
}
_SAMPLE: dict[str, Any] = {
    "top_p": 1.0,
    "max_tokens": 512,
    "n": 30,
    # In place of the authors' 30 seconds per question: about the three blocks of 30 that one GPU draws in that time
    # with a model of 2B parameters and one question at a time. A clock would run while hundreds of problems share the
    # batch, and the result would depend on the machine.
    "max_draws": 90,
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # arXiv 2412.08393 and the authors' code; a GPU is needed (4-bit, bf16; --no-load-in-4bit and
    # --dtype float32 run anywhere).
    "paper": {
        # M0 is written as a full model: the reward model's adapter, of another kind, can only begin from one.
        "sft": {**_POLICY, "lr": 2e-4, "max_length": 1024, "packing": True, "merge": True},
        "sample": {**_SAMPLE, "temperature": 1.0, "want_right": 4, "want_wrong": 4},
        "simulate": {"k": 8, "delta": 0},
        "train-prm": {
            **_LORA_16,
            "lr": 5e-5,
            "epochs": 10,
            "batch": 10,
            "accumulation": 4,
            "schedule": "cosine",
            "warmup": 0.1,
            "max_grad_norm": 0.3,
            "weight_decay": 0.01,
        },
        "score": {"aggregate": "mean"},
        # Neither eta nor the pairs per question nor whether the chosen path must be right is published: our defaults.
        "pairs": {"rule": ["threshold"], "aggregate": "mean", "rounds": "all"},
        "orpo": {**_POLICY, "lr": 8e-5, "beta": 0.1, "max_length": 1000, "max_prompt_length": 300},
        # How the baselines were trained is not published: as ORPO.
        "dpo": {**_POLICY, "lr": 8e-5, "beta": 0.1, "max_length": 1000, "max_prompt_length": 300},
        # The rule of the published accuracies. Labels keep the robust one: a simulator words its answer in its own way.
        "eval": {"temperature": 0.0, "max_tokens": 512, "answer_rule": "paper"},
    },
}
"""Preset, then command, then option by parameter name."""

# The same for programs: draws until there are 50 distinct ones, and 6 rollouts per step. The authors' code drops
# near-duplicates; how near is our choice.
PRESETS["paper-code"] = {
    **PRESETS["paper"],
    "sample": {**_SAMPLE, "temperature": 0.7, "want": 50, "near_duplicate": 0.05},
    "simulate": {"k": 6, "delta": 0},
}
