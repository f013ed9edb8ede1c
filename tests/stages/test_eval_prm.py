"""eval-prm: thresholds on held-out problems, best of n, and what lines do not allow; export of stepwise lines."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from evals.best_of import best_by_score, best_by_vote
from evals.datasets.processbench import Item, best_threshold, measured, problem
from evals.errors import DataError, UsageError
from evals.metrics import pass_at_k
from evals.records import Problem
from evals.tasks import task
from stages.eval_prm import measure
from stages.export import export_stepwise
from stages.files.reading import BadLines
from stages.models.templates import make_prompter
from stages.scorers.base import to_scores
from stages.scorers.hf import Scorer
from stages.seeds import held_out
from stages.settings.evaluation import PrmSettings
from stages.settings.export import StepwiseSettings
from stages.settings.labels import LabelKind
from stages.settings.training import TrainSettings
from stages.train_prm import run_train_prm
from stages.training.step_rows import read_examples, step_rows
from tests.data import need, need_whole
from tests.lines import labelled_problem
from tests.models import build_model, build_tokenizer


def save(file: Path, lines: list[Problem]) -> str:
    file.write_text("".join(line.to_json() + "\n" for line in lines), encoding="utf-8")
    return str(file)


def scored(problem: Problem, *rows: list[float], name: str = "prm") -> Problem:
    for path, scores in zip(problem.paths, rows, strict=True):
        path.scores = {**(path.scores or {}), name: to_scores(scores)}
    return problem


def published() -> list[Problem]:
    return [problem(row) for row in json.loads(need("processbench/gsm8k.json").read_text(encoding="utf-8"))]


def noisily_scored() -> list[Problem]:
    """The published lines, with the scores of a stub that sees errors through noise."""
    rng = random.Random(0)

    def noisy(path: Any) -> list[float]:
        return [rng.gauss(0.4 if j == path.first_error else 0.8, 0.15) % 1 for j in range(len(path.steps))]

    return [scored(line, noisy(line.paths[0])) for line in published()]


def test_on_the_400_lines_of_the_whole_file_the_chosen_threshold_is_better_than_a_half(tmp_path: Path) -> None:
    need_whole("processbench/gsm8k.json")
    found = measure(save(tmp_path / "s.jsonl", noisily_scored()), PrmSettings(seed=5))["first errors"]["prm"]
    assert found["n"] + found["threshold chosen on"] == 400
    assert found["f1"]["rate"] > found["at 0.5"]["rate"] > 0


def test_the_threshold_is_chosen_on_problems_that_are_not_measured(tmp_path: Path) -> None:
    lines = noisily_scored()
    found = measure(save(tmp_path / "s.jsonl", lines), PrmSettings(seed=5))["first errors"]["prm"]
    items = {line.id: Item(line.paths[0].scores["prm"].steps, line.paths[0].first_error or 0) for line in lines}  # type: ignore[index]  # just scored
    inside = [item for identity, item in items.items() if held_out(identity, 5, 0.25)]
    outside = [item for identity, item in items.items() if not held_out(identity, 5, 0.25)]
    assert 0.15 < len(inside) / len(lines) < 0.35
    assert found["threshold"] == best_threshold(inside)
    assert found["threshold chosen on"] == len(inside)
    assert {key: found[key] for key in ("acc_err", "acc_ok", "f1", "n")} == {
        key: measured(outside, found["threshold"])[key] for key in ("acc_err", "acc_ok", "f1", "n")
    }
    assert found["acc_err"]["n"] + found["acc_ok"]["n"] + len(inside) == len(lines)
    again = measure(str(tmp_path / "s.jsonl"), PrmSettings(seed=5))["first errors"]["prm"]
    assert again == found, "by id and seed alone"
    fixed = measure(str(tmp_path / "s.jsonl"), PrmSettings(threshold=0.5))["first errors"]["prm"]
    assert fixed["n"] == len(lines)
    assert fixed["f1"] == measured(list(items.values()), 0.5)["f1"]


def test_a_tiny_reward_model_scores_the_published_lines_by_their_own_steps(tmp_path: Path) -> None:
    base = build_model(tmp_path / "base", "qwen2", bos=False)
    options = TrainSettings(epochs=1, batch=4, lr=1e-3, device="cpu")
    run_train_prm([labelled_problem(i) for i in range(4)], model=base, out=str(tmp_path / "prm"), options=options)
    scorer = Scorer(str(tmp_path / "prm"))
    short = sorted(published(), key=lambda line: len(line.question) + len(line.paths[0].text))[:40]
    rows = scorer.score_paths([(line, line.paths[0]) for line in short])
    for line, row in zip(short, rows, strict=True):
        if row is not None:
            assert len(row) == len(line.paths[0].steps)
            scored(line, row)
    found = measure(save(tmp_path / "s.jsonl", short), PrmSettings(threshold=0.5))
    missing = found["counts"].get("marked paths without prm scores", 0)
    assert found["first errors"]["prm"]["n"] + missing == 40
    assert missing == sum(row is None for row in rows) < 40


def rivals(n: int, seed: int) -> Problem:
    rng = random.Random(seed)
    said = [rng.randrange(3) for _ in range(n)]
    paths = [
        {"id": f"r/{seed}#{i}", "text": "1+1=2", "steps": ["1+1=2"], "answer": str(a), "correct": a == 0}
        for i, a in enumerate(said)
    ]
    line = Problem.model_validate({"id": f"r/{seed}", "task": "math", "question": "?", "answer": "0", "paths": paths})
    scored(line, *([rng.random()] for _ in paths))
    return scored(line, *([rng.random()] for _ in paths), name="orm")


def test_best_of_n_is_the_mean_over_problems_of_the_exact_chances(tmp_path: Path) -> None:
    lines = [rivals(4, 1), rivals(4, 2), rivals(2, 3)]
    single = rivals(1, 4)
    found = measure(save(tmp_path / "s.jsonl", [*lines, single]), PrmSettings(name=("prm", "orm:last"), seed=9))
    assert found["counts"] == {"problems with one judged path, not in best of n": 1}
    assert found["first errors"] is None
    curves = found["best of n"]
    assert curves["picks"] == ["prm", "orm", "majority", "oracle"]
    assert [(row["n"], row["problems"]) for row in curves["rows"]] == [(1, 3), (2, 3), (4, 2)]
    for row in curves["rows"]:
        n = row["n"]
        big = [line for line in lines if len(line.paths) >= n]
        right = [[bool(path.correct) for path in line.paths] for line in big]
        for name in ("prm", "orm"):
            points = [[path.scores[name].mean for path in line.paths] for line in big]  # type: ignore[index]  # scored above
            chances = [best_by_score(s, r, n) for s, r in zip(points, right, strict=True)]
            assert row[name]["rate"] == pytest.approx(sum(chances) / len(big))
        votes = [best_by_vote([p.answer for p in line.paths], r, n) for line, r in zip(big, right, strict=True)]
        assert row["majority"]["rate"] == pytest.approx(sum(votes) / len(big))
        assert row["oracle"]["rate"] == pytest.approx(sum(pass_at_k(len(r), sum(r), n) or 0 for r in right) / len(big))
    chosen = measure(str(tmp_path / "s.jsonl"), PrmSettings(best_of=(3,)))["best of n"]["rows"]
    assert [(row["n"], row["problems"]) for row in chosen] == [(3, 2)]


def test_path_pairs_are_of_a_right_and_a_wrong_path_of_one_problem_and_gold_stays_out(tmp_path: Path) -> None:
    lines = [rivals(4, 1), rivals(6, 2), rivals(5, 3)]
    with_gold = [line.model_copy(deep=True) for line in lines]
    for line in with_gold:
        best = line.paths[0].model_copy(update={"id": f"{line.id}#9", "source": "gold", "correct": True})
        line.paths.append(best)
    found = measure(save(tmp_path / "s.jsonl", with_gold), PrmSettings(name=("prm", "orm:last")))
    assert found["counts"] == {"gold paths, not measured": 3}
    for name in ("prm", "orm"):
        duels = [
            (a.scores[name].mean, b.scores[name].mean)  # type: ignore[index]  # scored above
            for line in lines
            for a in line.paths
            for b in line.paths
            if a.correct and not b.correct
        ]
        mixed = sum(0 < sum(bool(path.correct) for path in line.paths) < len(line.paths) for line in lines)
        share = sum(a > b for a, b in duels) / len(duels)
        assert found["path pairs"][name] == {
            "accuracy": pytest.approx(share), "pairs": len(duels), "problems": mixed,
        }  # fmt: skip


def test_paths_are_ranked_by_what_fits_the_scores_unless_another_number_is_named(tmp_path: Path) -> None:
    line = rivals(2, 1)
    right, wrong = line.paths
    for path, correct in ((right, True), (wrong, False)):
        path.correct, path.text, path.steps = correct, "1+1=2\n2+1=3", ["1+1=2", "2+1=3"]
    low, high = to_scores([0.1, 0.9]), to_scores([0.9, 0.2])
    right.scores = {"prm": low.model_copy(update={"aggregate": "last"}), "old": low}
    wrong.scores = {"prm": high.model_copy(update={"aggregate": "last"}), "old": high}
    settings = PrmSettings(name=("prm", "old"))
    found = measure(save(tmp_path / "s.jsonl", [line]), settings)["path pairs"]
    assert (found["prm"]["accuracy"], found["old"]["accuracy"]) == (1.0, 0.0), "the last step; the mean"
    found = measure(str(tmp_path / "s.jsonl"), PrmSettings(name=("prm:mean", "old:last")))["path pairs"]
    assert (found["prm"]["accuracy"], found["old"]["accuracy"]) == (0.0, 1.0)


def test_a_path_that_could_not_be_scored_ranks_last_and_is_counted(tmp_path: Path) -> None:
    line = rivals(2, 1)
    line.paths[0].scores = None
    line.paths[0].correct, line.paths[1].correct = True, False
    found = measure(save(tmp_path / "s.jsonl", [line]), PrmSettings())
    assert found["best of n"]["rows"][1]["prm"]["rate"] == 0.0
    assert found["path pairs"] == {"prm": {"accuracy": 0.0, "pairs": 1, "problems": 1}}
    assert found["counts"] == {"judged paths without prm scores, ranked last": 1}


def test_lines_that_allow_no_measure_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to measure: no path has scores prm"):
        measure(save(tmp_path / "s.jsonl", [labelled_problem(1)]), PrmSettings())
    with pytest.raises(UsageError, match="no aggregate 'best'"):
        PrmSettings(name=("prm:best",)).aggregates()
    with pytest.raises(UsageError, match="'prm' is given twice"):
        PrmSettings(name=("prm", "prm:last")).aggregates()


# -- export


def marked(first_error: int, **fields: Any) -> Problem:
    path = {"id": "m#0", "text": "a\n\nb\n\nc", "steps": ["a", "b", "c"], "split": "given", "first_error": first_error}
    return Problem.model_validate({"id": "m", "task": "math", "question": "?", "paths": [path | fields]})


def exported(tmp_path: Path, lines: list[Problem], **how: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    out = tmp_path / "out.jsonl"
    bad = BadLines()
    counts = export_stepwise(save(tmp_path / "in.jsonl", lines), str(out), bad, StepwiseSettings(**how), overwrite=True)
    assert not bad.count
    return [json.loads(line) for line in out.read_text().splitlines()], counts


def test_labels_become_true_false_and_shares(tmp_path: Path) -> None:
    rows, counts = exported(tmp_path, [labelled_problem(1)])
    assert [row["labels"] for row in rows] == [[True], [True, False]]
    assert rows[0]["completions"] == labelled_problem(1).paths[0].steps
    assert rows[0]["prompt"].endswith(f"### Question:\n{labelled_problem(1).question}\n\n### Answer:\n")
    assert counts == {"paths": 2, "steps": 3, "steps without a label": 0, "bad lines": 0}
    assert [row["labels"] for row in exported(tmp_path, [labelled_problem(1)], labels="soft")[0]] == [
        [0.75],
        [0.25, 0.0],
    ]
    threshold = exported(tmp_path, [labelled_problem(1)], labels="threshold:0.5")[0]
    assert [row["labels"] for row in threshold] == [[True], [False, False]]
    assert exported(tmp_path, [labelled_problem(1)], template="chat")[0][0]["prompt"][0]["role"] == "user"


def test_behind_the_first_wrong_step_nobody_knows(tmp_path: Path) -> None:
    assert exported(tmp_path, [marked(1)])[0][0]["labels"] == [True, False, None]
    assert exported(tmp_path, [marked(-1)])[0][0]["labels"] == [True, True, True]


def test_the_exported_lines_train_as_the_lines_themselves_do(tmp_path: Path) -> None:
    lines = [labelled_problem(i) for i in (1, 40)]
    exported(tmp_path, lines)
    examples, bad = read_examples(str(tmp_path / "out.jsonl"))
    assert not bad
    prompter = make_prompter(build_tokenizer(), {"bare": "{question}"}, "bare")
    own = make_prompter(build_tokenizer(), task("gsm8k").templates)
    again, _ = step_rows(examples, prompter, LabelKind("hard"), 500)
    expected, _ = step_rows(lines, own, LabelKind("hard"), 500)
    for row, wanted in zip(again, expected, strict=True):
        assert row.targets == wanted.targets
        assert row.positions == wanted.positions
        assert row.ids == wanted.ids[: len(row.ids)], "the answer line is no step and stays behind"


def test_lines_without_labels_are_counted_and_a_file_of_them_refused(tmp_path: Path) -> None:
    bare = labelled_problem(2)
    bare.paths[0].labels = None
    _, counts = exported(tmp_path, [labelled_problem(1), bare])
    assert counts["left out: not labelled"] == 1
    with pytest.raises(DataError, match="no path is labelled"):
        exported(tmp_path, [bare.model_copy(update={"paths": bare.paths[:1]})])
