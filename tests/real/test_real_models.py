"""Real language models through the stages, against what transformers makes of them.

What small models with random weights cannot show: a tokenizer of 49,152 or 262,144 tokens, a chat template that
somebody wrote for a model, a BOS token that the model needs, steps in the style of a chat model.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from evals.records import Problem
from evals.tasks import task_of
from stages.models.loading import load_tokenizer
from stages.models.templates import make_prompter
from tests.data import need
from tests.real.fetch import need_model
from tests.sipf_cli.commands import ON_CPU, read, write

NAMES = ["smollm2", "gemma3"]
PLAIN = (
    "The Danube rises in the Black Forest and flows through ten countries before it reaches the Black Sea. It is the "
    "second longest river in Europe."
)


def questions(n: int) -> list[dict[str, Any]]:
    """The first questions of GSM8K, as `sipf data gsm8k` writes them."""
    rows = [json.loads(line) for line in need("gsm8k/train.jsonl").read_text(encoding="utf-8").splitlines()[:n]]
    found = []
    for i, row in enumerate(rows):
        text, _, answer = row["answer"].partition("\n#### ")
        found.append({"id": f"gsm8k/train/{i}", "task": "gsm8k", "question": row["question"], "answer": answer})
        found[-1]["solution"] = text.splitlines()
    return found


@pytest.fixture(scope="module", params=NAMES)
def reference(request: pytest.FixtureRequest) -> tuple[Path, Any, Any]:
    """A model's folder, and what transformers loads from it, with plain attention."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = need_model(request.param)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return folder, model.eval(), AutoTokenizer.from_pretrained(folder)


def prompt_of(tokenizer: Any, problem: dict[str, Any]) -> list[int]:
    """Token ids of a prompt, by transformers alone."""
    task = task_of(Problem.from_row(problem))
    if tokenizer.chat_template:
        messages = [{"role": "user", "content": task.question(Problem.from_row(problem))}]
        return list(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"])
    template = next(iter(task.templates.values()))
    return list(tokenizer(template.replace("{question}", problem["question"]))["input_ids"])


def test_greedy_answers_are_those_of_generate(
    reference: tuple[Path, Any, Any],
    tmp_path: Path,
    inside: Callable[..., Any],
) -> None:
    folder, model, tokenizer = reference
    problems = questions(3)
    write(tmp_path / "problems.jsonl", problems)
    how = ("--max-tokens", 24, *ON_CPU, "-o", "results.jsonl")
    inside("eval", "problems.jsonl", "-m", folder, *how)
    for problem, line in zip(problems, read(tmp_path / "results.jsonl"), strict=True):
        ids = torch.tensor([prompt_of(tokenizer, problem)])
        told = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 24}
        written = model.generate(ids, **told, pad_token_id=tokenizer.pad_token_id)[0, ids.shape[1] :]
        text = line["paths"][0]["text"].strip()
        assert len(text) > 10
        # the product ends an answer before the model asks itself the next question
        assert tokenizer.decode(written, skip_special_tokens=True).strip().startswith(text)


def test_bos_stands_in_front_exactly_where_the_model_was_trained_with_it(reference: tuple[Path, Any, Any]) -> None:
    folder, model, tokenizer = reference
    problem = Problem.from_row(questions(1)[0])
    prompter = make_prompter(load_tokenizer(str(folder)), task_of(problem).templates)
    ids = prompter.prompt_ids(problem)
    assert ids == prompt_of(tokenizer, questions(1)[0])
    assert ids.count(tokenizer.bos_token_id) == (1 if folder.name == "gemma3" else ids.count(1))
    if folder.name == "gemma3":
        plain = torch.tensor([prompter.encode_raw(PLAIN, "", end=False).ids])
        assert plain[0, 0] == tokenizer.bos_token_id
        with torch.inference_mode():
            nats = [float(model(part, labels=part).loss) for part in (plain, plain[:, 1:])]
        assert nats[0] < 3.2, "with BOS the model reads plain English"
        assert nats[1] > 4.5, "without it the model is lost"


def test_a_prefix_of_what_a_chat_model_wrote_has_the_tokens_it_wrote() -> None:
    folder = need_model("smollm2")
    problem = Problem.from_row(questions(1)[0])
    tokenizer = load_tokenizer(str(folder))
    prompter = make_prompter(tokenizer, task_of(problem).templates)
    text = "Let's think step by step.\n\n1. In April she sold 48 clips.\n\n2. In May: 48 / 2 = 24.\n\nThe answer is 72."
    whole = prompter.encode(problem, text, end=False)
    split = task_of(problem).split(text)
    assert len(split.steps) == 3
    for step in range(len(split.steps)):
        begun = prompter.begun(problem, split.prefix(text, step))
        assert begun.ids == whole.ids[: len(begun.ids)]


@pytest.mark.parametrize("name", ["smollm2"])
def test_the_loop_from_questions_to_accuracy(
    name: str,
    tmp_path: Path,
    inside: Callable[..., Any],
) -> None:
    model = need_model(name)
    write(tmp_path / "problems.jsonl", questions(4))
    train = ("--epochs", 1, "--batch", 2, "--lora", "--device", "cpu", "--json", "--held-out", 0)
    short = ("--max-tokens", 20, *ON_CPU)
    first = json.loads(inside("sft", "problems.jsonl", "-m", model, *train, "-o", "m0").stdout)
    assert first["result"]["steps"] == 2
    assert 0.2 < first["result"]["loss"] < 2  # what a model that has read much thinks of a solution in plain English
    inside("sample", "problems.jsonl", "-m", "m0", *short, "-n", 4, "--keep-unfinished", "-o", "paths.jsonl")
    inside("simulate", "paths.jsonl", "-m", "m0", *short, "--k", 1, "--strategy", "first-error", "-o", "labels.jsonl")
    labelled = [path for line in read(tmp_path / "labels.jsonl") for path in line["paths"]]
    assert {path["source"] for path in labelled} == {"gold", "sample"}
    assert all(len(path["labels"]) == len(path["steps"]) for path in labelled if path.get("labels"))
    told = json.loads(inside("train-prm", "labels.jsonl", "-m", model, *train, "--batch", 8, "-o", "prm").stdout)
    assert told["result"]["steps"] == math.ceil(sum(bool(path.get("labels")) for path in labelled) / 8)
    inside("score", "labels.jsonl", "-m", "prm", *ON_CPU, "-o", "scored.jsonl")
    scores = [path["scores"]["prm"]["steps"] for line in read(tmp_path / "scored.jsonl") for path in line["paths"]]
    assert all(0 < score < 1 for steps in scores for score in steps)
    assert len({score for steps in scores for score in steps}) > 4
    inside("pairs", "scored.jsonl", "--gold", "--any", "--eta", 0, "--most", 8, "-o", "pairs.jsonl")
    told = json.loads(inside("orpo", "pairs.jsonl", "-m", "m0", *train, "--batch", 4, "-o", "m1").stdout)
    assert 0 < told["result"]["loss"] < 4
    done = json.loads(inside("eval", "problems.jsonl", "-m", "m1", *short, "-o", "results.jsonl", "--json").stdout)
    assert done["problems"] == 4
    prompts = {
        json.loads((tmp_path / f"{name}.jsonl.manifest.json").read_text())["facts"]["prompt_sha256"]
        for name in ("paths", "labels", "scored", "results")
    }
    assert prompts == {json.loads((tmp_path / "m0" / "sipf.json").read_text())["prompt_sha256"]}
