"""What is wrong with an input is said in one line that names the place; the rest is done, nothing is overwritten."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import SCRIPTED, end, environment, read, run, start, wait_for, write
from tests.sipf_cli.warm import warm_program
from tests.small_disk import assert_interrupted_then_done, fill_then_enlarge

Row = dict[str, Any]
SAMPLE = ("sample", "in.jsonl", *SCRIPTED, "-n", 2, "-o", "out.jsonl")


def problem(n: int) -> Row:
    """A problem with a right and a wrong path, labelled and scored."""
    right, wrong = f"{n}+1={n + 1}", f"{n}+2={n + 2}"
    return {
        "id": f"p{n}", "task": "math", "question": f"{n} and one?", "answer": str(n + 1), "solution": [right],
        "paths": [path(f"p{n}#0", right, n + 1, True, 0.9), path(f"p{n}#1", wrong, n + 2, False, 0.2)],
    }  # fmt: skip


def path(id: str, step: str, answer: int, correct: bool, score: float) -> Row:
    label = {"k": 2, "delta": 0, "draws": 2, "hits": 2 * correct, "settled": True}
    scores = {"steps": [score], **dict.fromkeys(("mean", "min", "product", "last"), score)}
    text = f"{step}\nThe answer is {answer}"
    return {"id": id, "text": text, "steps": [step], "correct": correct, "labels": [label], "scores": {"prm": scores}}


def pair(n: int) -> Row:
    return {"prompt": f"Question: {n} and one?\nAnswer:\n", "chosen": f"{n}+1={n + 1}", "rejected": f"{n}+1={n + 2}"}


def changed(row: Row, *keys: str | int, value: Any = None) -> Row:
    """The row with one field replaced; without a value it is removed."""
    copy: Row = json.loads(json.dumps(row))
    part: Any = copy
    for key in keys[:-1]:
        part = part[key]
    if value is None:
        del part[keys[-1]]
    else:
        part[keys[-1]] = value
    return copy


P = problem(50)
NO_LINES = {
    "torn": (b'{"id": "p50", "task": ', "not a line of JSON"),
    "no JSON": (b"once upon a time", "not a line of JSON"),
    "a list": (b"[1, 2]", "a line must be a JSON object, this one is list"),
    "a number that JSON has not": (b'{"id": "p50", "score": NaN}', "not a line of JSON (NaN is not JSON)"),
    "no UTF-8": (b'{"id": "p\xff50"}', "is not UTF-8 text"),
    "nested without end": (b"[" * 100000, ""),
}
"""Lines that are bad for every command."""
NO_PROBLEMS = {
    "no id": (changed(P, "id"), "id: Field required"),
    "an empty id": (changed(P, "id", value=""), "id: "),
    "a number for a question": (changed(P, "question", value=7), "question: "),
    "no question": (changed(P, "question"), "question: Field required"),
    "no answer": (changed(P, "answer"), "answer: missing"),
    "an unknown task": (changed(P, "task", value="cooking"), "task: there is no task 'cooking'"),
    "an id that stands twice": (changed(P, "id", value="p1"), "id: 'p1' is already used"),
    "paths that are none": (changed(P, "paths", value=3), "paths: "),
    "a path without text": (changed(P, "paths", 0, "text"), "paths.0.text: Field required"),
    "a path's id twice": (changed(P, "paths", 1, "id", value="p50#0"), "paths: the id 'p50#0' appears twice"),
    "labels that do not fit": (changed(P, "paths", 0, "labels", value=[]), "paths.0: 0 labels for 1 steps"),
    "more hits than draws": (changed(P, "paths", 0, "labels", 0, "hits", value=3), "paths.0.labels.0: hits (3)"),
    "a source nobody knows": (changed(P, "paths", 0, "source", value="dream"), "paths.0.source: "),
}
"""Lines that are bad for every command that reads problems."""


def spoiled(path: Path, good: list[Row], faults: dict[str, tuple[Any, str]]) -> list[str]:
    """Write the good rows with the bad ones among them, the first good one first; what must be said of each bad one."""
    lines, expected, left = [json.dumps(good[0]).encode()], [], good[1:]
    for fault, what in faults.values():
        lines.append(fault if isinstance(fault, bytes) else json.dumps(fault).encode())
        expected.append(f"{path.name}:{len(lines)}: {what}")
        if left:
            lines.append(json.dumps(left.pop(0)).encode())
        lines.append(b"")  # passed over, but counted as a line
    lines += [json.dumps(row).encode() for row in left]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return expected


def check_told(said: str, expected: list[str]) -> None:
    """Every fault is told in a line of its own, and none shows a traceback."""
    lines = [line for line in said.splitlines() if "in.jsonl:" in line]
    assert len(lines) == len(expected), said
    for line, what in zip(lines, expected, strict=True):
        assert what in line, said
    assert "Traceback" not in said


def test_sample_does_all_lines_but_the_bad_ones(tmp_path: Path) -> None:
    good = [problem(n) for n in range(8)]
    expected = spoiled(tmp_path / "in.jsonl", [good[1], *good[2:]], NO_LINES | NO_PROBLEMS)
    done = run(tmp_path, *SAMPLE, "--json", code=3)
    check_told(done.stderr.decode(), expected)
    assert json.loads(done.stdout)["bad lines"] == len(expected)
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [row["id"] for row in good[1:]]
    manifest = json.loads((tmp_path / "out.jsonl.manifest.json").read_text())
    assert manifest["counts"]["bad lines"] == len(expected)
    assert sum(last - first + 1 for first, last in manifest["bad_lines"]) == len(expected)
    # the same command again finds nothing to do, and still says that lines were bad
    assert json.loads(run(tmp_path, *SAMPLE, "--json", code=3).stdout)["already complete"]


def test_simulate_refuses_steps_that_do_not_fit_their_text(tmp_path: Path) -> None:
    astray = changed(problem(2), "paths", 0, "steps", value=["2+1=3", "3+1=4"])
    astray["paths"][0]["labels"] *= 2
    del astray["paths"][0]["scores"]
    write(tmp_path / "in.jsonl", [problem(1), astray, problem(3)])
    done = run(tmp_path, "simulate", "in.jsonl", *SCRIPTED, "-o", "out.jsonl", code=3)
    check_told(done.stderr.decode(), ["in.jsonl:2: paths.0.steps: 2 steps, but the text has 1"])
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == ["p1", "p3"]


def test_pairs_does_all_lines_but_the_bad_ones(tmp_path: Path) -> None:
    faults = NO_LINES | NO_PROBLEMS
    faults |= {"an unjudged path": (changed(P, "paths", 1, "correct"), "paths.1.correct: missing")}
    expected = spoiled(tmp_path / "in.jsonl", [problem(n) for n in range(1, 13)], faults)
    done = run(tmp_path, "pairs", "in.jsonl", "-o", "out.jsonl", "--json", code=3)
    check_told(done.stderr.decode(), expected)
    assert json.loads(done.stdout)["bad lines"] == len(expected)
    assert [row["problem"] for row in read(tmp_path / "out.jsonl")] == [f"p{n}" for n in range(1, 13)]


def train(command: str, source: str = "in.jsonl", *more: object) -> tuple[object, ...]:
    how = ("-m", "chain-base", "--epochs", 1, "--device", "cpu", "--json", "-o", "model")
    return (command, source, *how, *more)


def test_train_prm_does_all_lines_but_the_bad_ones(tmp_path: Path, inside: Any) -> None:
    faults = NO_LINES | NO_PROBLEMS
    faults |= {
        "steps that do not fit": (changed(P, "paths", 0, "steps", value=["9+9=18"]), "p50#0: steps.0: '9+9=18'"),
        "too few labels": ({"prompt": "?", "completions": ["a"], "labels": []}, "0 labels for 1 completions"),
        "a label of 2": ({"prompt": "?", "completions": ["a"], "labels": [2.0]}, "labels: a label is true"),
    }
    faults.pop("nested without end")  # 21 bad lines: more than are shown
    expected = spoiled(tmp_path / "in.jsonl", [problem(n) for n in range(1, 13)], faults)
    done = inside(*train("train-prm"), code=3)
    check_told(done.stderr, expected[:20])
    assert "more than 20 bad lines" in done.stderr
    told = json.loads(done.stdout)
    assert told["bad lines"] == len(expected)
    assert told["counts"]["paths"] == 24
    assert (tmp_path / "model" / "manifest.json").is_file()


def test_orpo_does_all_lines_but_the_bad_ones(tmp_path: Path, inside: Any) -> None:
    faults: dict[str, tuple[Any, str]] = {
        **NO_LINES,
        "no chosen": (changed(pair(1), "chosen"), "chosen: must be text"),
        "a number for a text": (changed(pair(1), "rejected", value=3), "rejected: must be text"),
        "no prompt": (changed(pair(1), "prompt"), "prompt: missing"),
        "an unknown task": ({**pair(1), "task": "cooking", "question": "?"}, "task: there is no task 'cooking'"),
    }
    expected = spoiled(tmp_path / "in.jsonl", [pair(n) for n in range(12)], faults)
    done = inside(*train("orpo"), code=3)
    check_told(done.stderr, expected)
    told = json.loads(done.stdout)
    assert (told["bad lines"], told["counts"]["pairs"]) == (len(expected), 12)


def test_sft_does_all_lines_but_the_bad_ones(tmp_path: Path, inside: Any) -> None:
    faults = {**NO_LINES, **{name: NO_PROBLEMS[name] for name in ("no answer", "an unknown task")}}
    faults["an id that stands twice"] = NO_PROBLEMS["an id that stands twice"]
    expected = spoiled(tmp_path / "in.jsonl", [problem(n) for n in range(1, 9)], faults)
    done = inside(*train("sft"), code=3)
    check_told(done.stderr, expected)
    told = json.loads(done.stdout)
    assert (told["bad lines"], told["counts"]["rows"]) == (len(expected), 8)


@pytest.mark.parametrize("line", [SAMPLE, ("pairs", "in.jsonl", "-o", "out.jsonl"), train("sft"), train("orpo")])
def test_strict_stops_at_the_first_bad_line(tmp_path: Path, inside: Any, line: tuple[object, ...]) -> None:
    good = pair(1) if line[0] == "orpo" else problem(1)
    write(tmp_path / "in.jsonl", [good, "{", json.dumps(good), "["])
    done = inside(*line, "--strict", code=3)
    assert done.stdout == ""
    check_told(done.stderr, ["in.jsonl:2: not a line of JSON"])
    assert not {"out.jsonl", "model"} & {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("content", [b"", b"\n\n", b"no JSON\n"])
@pytest.mark.parametrize("line", [SAMPLE, train("sft"), train("train-prm"), train("orpo")])
def test_a_file_without_one_good_line_is_an_error(
    tmp_path: Path, inside: Any, line: tuple[object, ...], content: bytes
) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    done = inside(*line, code=3)
    assert "in.jsonl" in done.stderr
    assert not {"out.jsonl", "out.jsonl.part", "model"} & {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("line", [SAMPLE, train("sft")])
def test_a_file_that_is_not_there_is_wrong_usage(tmp_path: Path, inside: Any, line: tuple[object, ...]) -> None:
    assert "there is no file in.jsonl" in inside(*line, code=2).stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def half_done(tmp_path: Path) -> Callable[..., str]:
    """A killed run of `SAMPLE` over 4000 problems; the fixture runs the command anew and returns what it said."""
    write(tmp_path / "in.jsonl", [problem(n) for n in range(4000)])
    process = start(tmp_path, *SAMPLE)
    wait_for(tmp_path / "out.jsonl.part", 20000, process)
    process.kill()
    assert end(process)[0] == -9

    def again(*more: object, code: int = 2) -> str:
        return run(tmp_path, *SAMPLE, *more, code=code).stderr.decode()

    return again


def test_changed_options_and_inputs_are_refused_and_named(tmp_path: Path, half_done: Callable[..., str]) -> None:
    before = (tmp_path / "out.jsonl.part").read_bytes()
    assert "temperature was 1.0 and is now 0.5" in half_done("--temperature", 0.5)
    assert 'script was "gold:0.4" and is now "gold:0.5"' in half_done("--script", "gold:0.5")
    assert "shard" in half_done("--shard", "0/2")
    lines = (tmp_path / "in.jsonl").read_bytes()
    (tmp_path / "in.jsonl").write_bytes(lines.replace(b"0 and one?", b"0 and 1?", 1))
    assert "the input's content has changed" in half_done()
    assert (tmp_path / "out.jsonl.part").read_bytes() == before
    (tmp_path / "in.jsonl").write_bytes(lines)
    half_done(code=0)
    assert len(read(tmp_path / "out.jsonl")) == 4000


def test_a_mistake_that_finished_nothing_does_not_stand_in_the_way(tmp_path: Path, inside: Any) -> None:
    write(tmp_path / "in.jsonl", [problem(1)])
    (tmp_path / "none").mkdir()
    inside("sample", "in.jsonl", "-m", "none", "-o", "out.jsonl", code=4)
    inside(*SAMPLE)
    assert len(read(tmp_path / "out.jsonl")) == 1


def test_the_output_of_another_run_is_never_overwritten(tmp_path: Path, inside: Any) -> None:
    write(tmp_path / "in.jsonl", [problem(n) for n in range(12)])
    inside(*SAMPLE)
    before = (tmp_path / "out.jsonl").read_bytes()
    assert "n was 2 and is now 3" in inside(*SAMPLE, "-n", 3, code=2).stderr
    assert "stage was" in inside("simulate", "in.jsonl", *SCRIPTED, "-o", "out.jsonl", code=2).stderr
    assert "stage was" in inside("pairs", "in.jsonl", "-o", "out.jsonl", code=2).stderr
    assert "is the input" in inside("sample", "out.jsonl", *SCRIPTED, "-o", "out.jsonl", code=2).stderr
    assert "already complete" in inside(*SAMPLE).stdout
    (tmp_path / "mine.jsonl").write_text("mine\n")
    inside(*SAMPLE[:-1], "mine.jsonl", code=2)
    assert (tmp_path / "mine.jsonl").read_text() == "mine\n"
    assert (tmp_path / "out.jsonl").read_bytes() == before
    inside(*SAMPLE, "-n", 3, "--overwrite")
    assert (tmp_path / "out.jsonl").read_bytes() != before


MODELLESS: list[tuple[object, ...]] = [
    ("sample", "in.jsonl", "-o", "out.jsonl", "-m"),
    ("eval", "in.jsonl", "-o", "out.jsonl", "-m"),
    ("score", "in.jsonl", "-o", "out.jsonl", "-m"),
    ("sft", "in.jsonl", "-o", "model", "-m"),
    ("train-prm", "in.jsonl", "-o", "model", "-m"),
    ("orpo", "pairs.jsonl", "-o", "model", "-m"),
]


@pytest.mark.parametrize("line", MODELLESS, ids=[str(line[0]) for line in MODELLESS])
@pytest.mark.parametrize("model", ["empty", "./nowhere", "in.jsonl", "half"])
def test_a_folder_that_is_no_model_is_told_in_one_line(
    tmp_path: Path, inside: Any, line: tuple[object, ...], model: str
) -> None:
    write(tmp_path / "in.jsonl", [problem(1), problem(2)])
    write(tmp_path / "pairs.jsonl", [pair(1)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text('{"model_type": "llama"}')
    done = inside(*line, model, code=4)
    told = [text for text in done.stderr.splitlines() if text.startswith("sipf: ")]
    assert len(told) == 1
    assert model.removeprefix("./") in told[0]
    assert "Traceback" not in done.stderr
    assert not {"out.jsonl", "model"} & {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("line", MODELLESS, ids=[str(line[0]) for line in MODELLESS])
def test_a_missing_model_is_wrong_usage(tmp_path: Path, inside: Any, line: tuple[object, ...]) -> None:
    write(tmp_path / "in.jsonl", [problem(1)])
    write(tmp_path / "pairs.jsonl", [pair(1)])
    assert "--model" in inside(*line[:-1], code=2).stderr


def test_a_policy_is_no_reward_model(tmp_path: Path, inside: Any) -> None:
    write(tmp_path / "in.jsonl", [problem(1)])
    assert "is no reward model" in inside("score", "in.jsonl", "-m", "chain-base", "-o", "x.jsonl", code=4).stderr


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    first = start(tmp_path, "sample", "-", *SCRIPTED, "-n", 2, "-o", "out.jsonl", stdin=subprocess.PIPE)
    try:
        assert first.stdin is not None
        first.stdin.write(json.dumps(problem(1)).encode() + b"\n")
        first.stdin.flush()
        wait_for(tmp_path / "out.jsonl.part", 1, first)
        write(tmp_path / "in.jsonl", [problem(1)])
        assert f"process {first.pid}" in run(tmp_path, *SAMPLE, code=2).stderr.decode()
        first.stdin.close()
        first.stdin = None
        assert end(first)[0] == 0
    finally:
        first.kill()
        first.wait()
    assert len(read(tmp_path / "out.jsonl")) == 1


def test_a_full_disk_interrupts_and_the_same_command_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "in.jsonl", [problem(n) for n in range(300)])
    line = [*warm_program(), *map(str, SAMPLE[:-1]), "small/out.jsonl"]
    told = fill_then_enlarge(tmp_path / "small", 96, line, environment(TMPDIR=str(tmp_path)))
    assert_interrupted_then_done(told)
    run(tmp_path, *SAMPLE)
    assert told.data == (tmp_path / "out.jsonl").read_text()
