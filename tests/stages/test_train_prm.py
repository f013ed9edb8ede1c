"""Reward models: the loss against a float64 reference, labels of every kind, what is measured on held-out problems."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from evals.errors import DataError, UsageError
from evals.records import StepLabel
from evals.worlds import chain
from stages.engines.scripted.engine import ScriptedEngine
from stages.models.loading import load_tokenizer, load_weights
from stages.models.templates import make_prompter
from stages.sample import Sampler
from stages.seeds import held_out
from stages.settings.labels import LabelKind
from stages.settings.sample import SampleSettings
from stages.settings.simulate import SimulateSettings
from stages.settings.training import TrainSettings
from stages.simulate import Simulation
from stages.train_prm import StepCollator, evaluate, run_train_prm, step_loss
from stages.training.step_rows import StepRow, Stepwise, parse_example, read_examples, step_rows
from stages.training.step_targets import path_targets
from tests.lines import labelled_problem
from tests.models import build_model, build_tokenizer
from tests.stages.fakes import work

PLAIN = {"plain": "Question: {question}\nAnswer:\n"}
OPTIONS = TrainSettings(epochs=1, batch=4, lr=1e-3, device="cpu")


def test_soft_loss_and_gradients_equal_a_float64_reference(tmp_path: Path) -> None:
    name = build_model(tmp_path / "m", "gemma2", tied=True)
    tokenizer = load_tokenizer(name)
    model = load_weights(
        name,
        "AutoModelForTokenClassification",
        "cpu",
        "float32",
        fresh=("score",),
        num_labels=2,
        classifier_dropout=0.0,
    ).train()
    exact = copy.deepcopy(model).double()
    rows, _ = step_rows(
        [labelled_problem(i) for i in (1, 990)], make_prompter(tokenizer, PLAIN), LabelKind("soft"), 500
    )
    batch = StepCollator(tokenizer.pad_token_id)(
        [{"input_ids": row.ids, "positions": row.positions, "targets": row.targets} for row in rows]
    )
    labels = batch.pop("labels")
    loss = step_loss(model(**batch).logits, labels)
    loss.backward()
    terms = []
    for row in rows:
        log_p = torch.log_softmax(exact(torch.tensor([row.ids])).logits[0], -1)
        for position, target in zip(row.positions, row.targets, strict=True):
            assert target is not None
            terms.append(-(target * log_p[position, 1] + (1 - target) * log_p[position, 0]))
    expected = torch.stack(terms).mean()
    expected.backward()
    assert sorted({target for row in rows for target in row.targets if target}) == [0.25, 0.75]
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for ours, theirs in zip(model.parameters(), exact.parameters(), strict=True):
        assert torch.allclose(ours.grad.double(), theirs.grad, atol=1e-5)


def test_accumulated_batches_weigh_every_step_alike(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    problems = [labelled_problem(i) for i in range(8)]
    results = []
    for batch, accumulation in ((16, 1), (4, 4)):
        options = TrainSettings(
            epochs=1, batch=batch, accumulation=accumulation, lr=1e-3, device="cpu", logging_steps=1, dtype="float32"
        )
        manifest = run_train_prm(
            problems, model=base, out=str(tmp_path / str(batch)), options=options, held_out_share=0, labels="soft"
        )
        results.append(manifest["result"])
    assert results[0]["steps"] == results[1]["steps"] == 1
    assert results[0]["loss"] == pytest.approx(results[1]["loss"], abs=1e-5)
    assert results[0]["grad_norm"] == pytest.approx(results[1]["grad_norm"], abs=1e-4)


def label(hits: int, draws: int, *, settled: bool = True, gold: bool = False) -> StepLabel:
    return StepLabel(k=8, delta=0, draws=draws, hits=hits, settled=settled, gold=gold)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("hard", label(1, 1), 1.0),
        ("hard", label(0, 8), 0.0),
        ("hard", label(0, 3, settled=False), None),
        ("soft", label(2, 8), 0.25),
        ("soft", label(1, 1), None),
        ("soft", label(0, 0, gold=True), 1.0),
        ("threshold:0.5", label(4, 5), 1.0),
        ("threshold:0.5", label(3, 8), 0.0),
        ("threshold:0.5", label(0, 5), 0.0),
        ("threshold:0.5", label(1, 1), None),
        ("threshold:0.5", label(0, 0, gold=True), 1.0),
    ],
)
def test_a_target_is_what_the_draws_decide(kind: str, value: StepLabel, expected: float | None) -> None:
    assert path_targets(LabelKind.parse(kind), [value]) == [expected]


@pytest.mark.parametrize("text", ["", "soft:1", "threshold", "threshold:0", "threshold:2", "threshold:x", "medium"])
def test_an_unknown_kind_of_label_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        LabelKind.parse(text)


def rows_of(problem: Any, kind: str = "hard", outcome: bool = False) -> tuple[list[StepRow], dict[str, int]]:
    prompter = make_prompter(build_tokenizer(), PLAIN)
    rows, counts = step_rows([problem], prompter, LabelKind.parse(kind), 500, outcome)
    return rows, dict(counts)


def changed(**update: Any) -> Any:
    """The test problem with its second path changed."""
    problem = labelled_problem(1)
    path = problem.paths[1].model_copy(update=update)
    return problem.model_copy(update={"paths": [problem.paths[0], path]})


def test_undecided_steps_are_counted_and_left_out() -> None:
    rows, counts = rows_of(changed(labels=[label(1, 1), label(0, 3, settled=False)]))
    assert [row.targets for row in rows] == [[1.0], [1.0, None]]
    assert (counts["steps"], counts["undecided steps"]) == (2, 1)


def test_soft_labels_of_an_early_stop_are_refused_naming_brute() -> None:
    with pytest.raises(DataError, match="settled after 1 of 8 draws") as caught:
        rows_of(changed(labels=[label(1, 1), label(0, 8)]), "soft")
    assert "brute" in caught.value.advice


def inferred(how: str, draws: int = 0, delta: int = 0) -> StepLabel:
    return StepLabel(k=8, delta=delta, draws=draws, hits=0, settled=False, inferred=how)  # type: ignore[arg-type]  # any word


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("hard", inferred("after-dead"), 0.0),
        ("hard", inferred("early-stop", 3), 0.0),
        ("hard", inferred("before-live", 2), 1.0),
        ("hard", inferred("trusted"), 1.0),
        ("soft", inferred("after-dead"), None),
        ("soft", inferred("early-stop", 3), None),
        ("threshold:0.5", inferred("after-dead"), 0.0),
        ("threshold:0.5", inferred("after-dead", delta=4), None),
        ("threshold:0.5", inferred("trusted"), None),
    ],
)
def test_inferred_labels_are_hard_ones_and_never_soft(kind: str, value: StepLabel, expected: float | None) -> None:
    assert path_targets(LabelKind.parse(kind), [value]) == [expected]


def test_inferred_steps_are_counted_by_how_they_were_inferred() -> None:
    rows, counts = rows_of(changed(labels=[inferred("trusted"), inferred("after-dead")]))
    assert [row.targets for row in rows] == [[1.0], [1.0, 0.0]]
    assert (counts["inferred steps: trusted"], counts["inferred steps: after-dead"]) == (1, 1)
    with pytest.raises(DataError, match=r"inferred \(trusted\) after 0 of 8 draws") as caught:
        rows_of(changed(labels=[inferred("trusted"), label(0, 8)]), "soft")
    assert "brute" in caught.value.advice


@pytest.mark.parametrize("name", ["first-error", "binary", "mcts"])
def test_a_model_is_trained_on_the_labels_of_a_frugal_strategy(name: str, tmp_path: Path) -> None:
    lines = []
    for problem in chain.problems("train", 6, 4):
        paths, _ = work(Sampler(ScriptedEngine("gold:0.4"), SampleSettings(n=4)), problem)
        settings = SimulateSettings(strategy=name, k=4, confidence=None if name == "mcts" else 0.8)
        lines.append(work(Simulation(ScriptedEngine("gold:0.4"), settings), paths)[0])
    base = build_model(tmp_path / "base", "llama")
    made = run_train_prm(lines, model=base, out=str(tmp_path / "prm"), options=OPTIONS, held_out_share=0)
    wanted = [one for line in lines for path in line.paths for one in path.labels or []]
    assert made["counts"]["steps"] == sum(one.hard is not None for one in wanted)
    for how in ("after-dead", "before-live", "early-stop"):
        assert made["counts"].get(f"inferred steps: {how}", 0) == sum(one.inferred == how for one in wanted)
    assert made["result"]["loss"] > 0


def test_gold_paths_are_right_in_every_step() -> None:
    rows, _ = rows_of(changed(source="gold", labels=None))
    assert rows[1].targets == [1.0, 1.0]


def test_the_outcome_is_copied_to_every_step() -> None:
    rows, _ = rows_of(labelled_problem(1), outcome=True)
    assert [row.targets for row in rows] == [[1.0], [0.0, 0.0]]
    _, counts = rows_of(changed(correct=None), outcome=True)
    assert counts["no outcome"] == 1


def test_paths_without_labels_or_steps_are_counted() -> None:
    assert rows_of(changed(labels=None))[1]["no labels"] == 1
    assert rows_of(changed(labels=[], steps=[]))[1]["no steps"] == 1


def test_a_step_that_does_not_stand_in_the_text_is_a_data_error() -> None:
    with pytest.raises(DataError, match=r"p1#1: steps.1"):
        rows_of(changed(steps=["11-3=8", "9+9=18"]))


def test_stepwise_lines_are_read_with_bool_or_soft_labels() -> None:
    line = parse_example(
        {"prompt": "How many?\n", "completions": ["1+1=2", "2+2=5", "x"], "labels": [True, 0.25, None]}
    )
    assert isinstance(line, Stepwise)
    rows, _ = rows_of(line, "soft")
    assert rows[0].targets == [1.0, 0.25, None]
    tokenizer = build_tokenizer()
    assert tokenizer.decode(rows[0].ids[: rows[0].positions[1] + 1]) == "<bos>How many?\n1+1=2\n2+2=5"
    with pytest.raises(DataError, match=r"^1 labels for 2 completions"):
        parse_example({"prompt": "?", "completions": ["a", "b"], "labels": [True]})


def test_the_split_is_by_problem_and_held_out_figures_are_saved(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    problems = [labelled_problem(i) for i in range(30)]
    out = tmp_path / "prm"
    manifest = run_train_prm(problems, model=base, out=str(out), options=OPTIONS, held_out_share=0.3)
    expected = [problem.id for problem in problems if held_out(problem.id, OPTIONS.seed, 0.3)]
    assert 0 < len(expected) < 30
    figures = json.loads((out / "eval.json").read_text())
    assert figures == manifest["eval"]
    assert (figures["problems"], figures["paths"], figures["steps"]) == (
        len(expected),
        2 * len(expected),
        3 * len(expected),
    )
    assert {"accuracy", "auc", "calibration_error", "brier", "first_error_accuracy"} <= figures.keys()
    assert json.loads((out / "sipf.json").read_text())["kind"] == "prm"


def test_held_out_figures_are_right_for_a_model_that_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        StepRow("a", [1, 2, 3], [0, 1, 2], [1.0, 0.0, 0.0]),
        StepRow("b", [1, 2], [0, 1], [1.0, None]),
    ]
    given = [[0.9, 0.6, 0.1], [0.8, 0.3]]
    monkeypatch.setattr("stages.scorers.hf.step_probabilities", lambda *_: given)
    figures = evaluate(SimpleNamespace(eval=lambda: None), rows, 0)
    assert figures["accuracy"] == pytest.approx(3 / 4)
    assert figures["auc"] == 1.0
    assert (figures["first_error_accuracy"], figures["first_error_paths"]) == (0.0, 1)
    assert (figures["right_steps"], figures["majority_accuracy"]) == (2, pytest.approx(1 / 2))
    assert (figures["pair_accuracy"], figures["pairs"]) == (1.0, 2), "b has no wrong step whose target is known"


def test_gold_paths_are_counted_and_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    gold = rows_of(changed(source="gold", labels=None))[0][1]
    assert gold.gold
    rows = [gold, StepRow("a", [1, 2], [0, 1], [1.0, 0.0])]
    seen = []

    def scores(_model: Any, asked: Any, *_: Any) -> list[list[float]]:
        seen.extend(asked)
        return [[0.4, 0.7] for _ in asked]

    monkeypatch.setattr("stages.scorers.hf.step_probabilities", scores)
    figures = evaluate(SimpleNamespace(eval=lambda: None), rows, 0)
    assert seen == [([1, 2], [0, 1])]
    assert (figures["gold_paths"], figures["gold_steps"]) == (1, 2)
    assert (figures["paths"], figures["steps"], figures["right_steps"]) == (1, 2, 1)
    assert (figures["accuracy"], figures["majority_accuracy"], figures["pair_accuracy"]) == (0.0, 0.5, 0.0)
    alone = evaluate(SimpleNamespace(eval=lambda: None), rows[:1], 0)
    assert alone["accuracy"] is alone["majority_accuracy"] is alone["pair_accuracy"] is None


def test_nothing_to_train_on_says_what_to_run(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "llama")
    bare = [labelled_problem(1).model_copy(update={"paths": []})]
    with pytest.raises(DataError) as caught:
        run_train_prm(bare, model=base, out=str(tmp_path / "prm"), options=OPTIONS)
    assert "simulate" in caught.value.advice


def test_bad_lines_are_reported_and_the_rest_is_read(tmp_path: Path) -> None:
    good = labelled_problem(1)
    astray = good.model_copy(update={"id": "p2", "paths": [good.paths[0].model_copy(update={"steps": ["9+9=18"]})]})
    lines = [good.to_json(), good.to_json(), astray.to_json(), '{"prompt": "?", "completions": [], "labels": []}']
    (tmp_path / "lines.jsonl").write_text("\n".join(lines) + "\n")
    examples, bad = read_examples(str(tmp_path / "lines.jsonl"))
    assert examples == [good]
    said = [str(error).partition("lines.jsonl")[2] for error in bad]
    assert said[0] == ":2: id: 'p1' is already used in line 1"
    assert said[1].startswith(":3: p1#0: steps.0: ")
    assert said[2].startswith(":4: completions: ")
