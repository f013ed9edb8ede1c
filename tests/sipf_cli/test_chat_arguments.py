"""Chat templates on the command line: one that refuses a prompt ends in one line; what one is told is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.models import build_model
from tests.stages.models.test_chat_arguments import ALTERNATING, DATED, with_template


def test_a_refused_prompt_ends_a_command_in_one_line(tmp_path: Path, inside: Any) -> None:
    base = with_template(build_model(tmp_path / "base", "llama"), ALTERNATING)
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "1 and 2?"}]
    one = {"prompt": messages, "chosen": "1+2=3", "rejected": "1+2=4"}
    step = {"prompt": messages, "completions": ["1+2=3"], "labels": [True]}
    for command, row in (("orpo", one), ("train-prm", step)):
        (tmp_path / "lines.jsonl").write_text(json.dumps(row) + "\n")
        said = inside(command, "lines.jsonl", "-m", base, "--epochs", 1, "-o", command, code=3).stderr
        assert "prompt: the model's chat template refuses it (roles must alternate)" in said
        assert "Traceback" not in said
    with_template(base, "{{ raise_exception('no') }}")
    inside("data", "chain", "--split", "train", "-n", 2, "-o", "problems.jsonl")
    for command in (
        ("sample", "problems.jsonl", "-m", base, "-o", "x.jsonl"),
        ("sft", "problems.jsonl", "-m", base, "-o", "y"),
    ):
        said = inside(*command, code=3).stderr
        assert "chat template refuses it (no)" in said
        assert "Traceback" not in said


def test_what_the_template_is_told_is_in_the_manifest(tmp_path: Path, inside: Any) -> None:
    base = with_template(build_model(tmp_path / "base", "llama"), DATED)
    inside("data", "chain", "--split", "train", "-n", 2, "-o", "problems.jsonl")
    how = ("--chat-arg", "date_string=1 Jan", "--chat-arg", "enable_thinking=false", "--max-tokens", 4, "-n", 1)
    inside("sample", "problems.jsonl", "-m", base, *how, "-o", "paths.jsonl")
    facts = json.loads((tmp_path / "paths.jsonl.manifest.json").read_text())["facts"]
    assert facts["chat_args"] == {"date_string": "1 Jan", "enable_thinking": False}
    assert len(facts["prompt_sha256"]) == 64
