"""Models that a stage cannot use: told by --dry-run, in one line that says the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stages.models.loading import quiet_libraries
from tests.architectures import build
from tests.lines import labelled_problem


def test_a_dry_run_refuses_models_that_the_stage_cannot_use(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "lines.jsonl").write_text(labelled_problem(1).to_json() + "\n")
    quiet_libraries()
    from transformers import T5Config

    T5Config(vocab_size=700, d_model=32, num_layers=2).save_pretrained(tmp_path / "t5")
    for stage, said in (("sft", "t5 (t5) is no causal language model"), ("train-prm", "no reward model on t5 (t5)")):
        done = inside(stage, "lines.jsonl", "-m", "t5", "-o", "out", "--dry-run", code=4)
        assert said in done.stderr
    build(tmp_path / "lfm2", "LFM2")
    for stage in ("sample", "simulate", "eval"):
        done = inside(stage, "lines.jsonl", "-m", "lfm2", "-o", "out.jsonl", "--dry-run", code=4)
        assert "layers of the kind conv" in done.stderr
        assert "--engine vllm" in done.stderr
    for stage in ("sft", "train-prm"):
        inside(stage, "lines.jsonl", "-m", "lfm2", "-o", "out", "--dry-run")
