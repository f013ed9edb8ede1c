"""Lines that bring their prompt along: one way of prompting per run, and what cannot be prompted is a bad line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from stages.files.reading import BadLines
from stages.orpo import run_orpo
from stages.settings.training import TrainSettings
from stages.sft import run_sft
from stages.train_prm import run_train_prm
from stages.training.pair_rows import read_pairs
from stages.training.sft_rows import read_lines
from stages.training.step_rows import read_examples
from tests.lines import labelled_problem, pair
from tests.models import build_model

OPTIONS = TrainSettings(epochs=1, batch=4, device="cpu", dtype="float32")
REFUSES_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<|{{ m['role'] }}|>\n{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
ASK = [{"role": "user", "content": "1+1?"}]
SYSTEM = [{"role": "system", "content": "s"}, *ASK]

Kind = tuple[Callable[..., Any], Callable[..., Any], Callable[[Any], dict[str, Any]], Callable[[int], dict[str, Any]]]
KINDS: dict[str, Kind] = {
    "sft": (run_sft, read_lines, lambda prompt: {"prompt": prompt, "completion": "2"},
            lambda n: json.loads(labelled_problem(n).to_json())),
    "orpo": (run_orpo, read_pairs, lambda prompt: {"prompt": prompt, "chosen": "2", "rejected": "3"}, pair),
    "train-prm": (run_train_prm, read_examples,
                  lambda prompt: {"prompt": prompt, "completions": ["1+1=2"], "labels": [True]},
                  lambda n: json.loads(labelled_problem(n).to_json())),
}  # fmt: skip
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> str:
    name = build_model(tmp_path_factory.mktemp("chat") / "m", "llama", chat=True)
    file = Path(name) / "chat_template.jinja"
    assert file.is_file()
    file.write_text(REFUSES_SYSTEM)
    return name


def train(tmp_path: Path, kind: Kind, rows: list[dict[str, Any]], model: str, **how: Any) -> tuple[Any, list[str]]:
    """Train on the rows; the card, and what was said of bad lines."""
    run, read, _, _ = kind
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    bad = BadLines(tell=lambda fault: said.append(str(fault).removeprefix(f"{tmp_path}/")))
    lines, faults = read(str(source))
    assert faults == []
    options = how.pop("options", OPTIONS)
    run(lines, model=model, out=str(tmp_path / "out"), options=options, held_out_share=0.0, bad=bad, **how)
    return json.loads((tmp_path / "out" / "sipf.json").read_text()), said


@each_kind
def test_texts_and_conversations_are_not_trained_on_together(tmp_path: Path, chat: str, kind: Kind) -> None:
    _, _, line, _ = kind
    card, said = train(tmp_path, kind, [line(ASK), line("1+1?\n"), line(ASK)], chat)
    assert said == ["in.jsonl:2: prompt: is text, and that of " + f"{tmp_path}/in.jsonl:1 is messages"]
    assert card["template"] == "chat", "what was prompted by the chat template is asked so later on"


@each_kind
def test_texts_are_not_trained_on_beside_problems_that_go_through_a_chat_template(
    tmp_path: Path, chat: str, kind: Kind
) -> None:
    _, _, line, problem = kind
    card, said = train(tmp_path, kind, [problem(1), line("1+1?\n"), problem(2)], chat)
    assert said == ["in.jsonl:2: prompt: is text, and the problems beside it go through the chat template"]
    assert card["template"] == "chat"


@each_kind
def test_a_line_that_the_chat_template_refuses_is_a_bad_line(tmp_path: Path, chat: str, kind: Kind) -> None:
    _, _, line, _ = kind
    _, said = train(tmp_path, kind, [line(ASK), line(SYSTEM)], chat)
    assert said == ["in.jsonl:2: prompt: the model's chat template refuses it (no system)"]
    with pytest.raises(DataError, match=r"in\.jsonl:1: prompt: the model's chat template refuses it"):
        train(tmp_path, kind, [line(SYSTEM)], chat)


@each_kind
def test_conversations_need_a_chat_template(tmp_path: Path, chat: str, kind: Kind) -> None:
    _, _, line, _ = kind
    plain = build_model(tmp_path / "plain", "llama")
    with pytest.raises(DataError, match=r"in\.jsonl:1: prompt: a list of messages, and the model has no chat template"):
        train(tmp_path, kind, [line(ASK)], plain)
    with pytest.raises(UsageError, match="only a chat template can prompt with"):
        train(tmp_path, kind, [line(ASK)], chat, options=TrainSettings(template="plain"))
    assert not (tmp_path / "out").exists()


@each_kind
def test_a_line_by_hand_that_cannot_be_used_is_an_error(tmp_path: Path, chat: str, kind: Kind) -> None:
    run, read, line, _ = kind
    (tmp_path / "in.jsonl").write_text(json.dumps(line(SYSTEM)))
    lines = list(read(str(tmp_path / "in.jsonl"))[0])
    with pytest.raises(DataError, match=r"^line 1: prompt: "):
        run(lines, model=chat, out=str(tmp_path / "out"), options=OPTIONS, held_out_share=0.0)
