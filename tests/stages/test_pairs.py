"""pairs: the definition by hand, the sweep against re-running, several rules together, and the advice where there is
nothing to learn from. What each rule makes is in tests/stages/pairing."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from evals.records import Problem
from stages.files.manifest import hash_file, read_manifest
from stages.files.reading import BadLines
from stages.models.templates import exported_prompt
from stages.pairing.report import SWEEP, PairReport, refuse_nothing
from stages.pairs import make_pairs, write_pairs
from stages.settings.pairs import PairSettings
from tests.stages.fakes import chain_problem
from tests.stages.pairing.questions import any_question


def scored(number: int, mean: float | None, correct: bool = False, **fields: Any) -> dict[str, Any]:
    """A path with a score under "prm"; `fields` may give other aggregates."""
    aggregates = {key: fields.pop(key, mean) for key in ("min", "product", "last")}
    made = {
        "id": f"c#{number}", "text": fields.pop("text", f"{number}+1={number + 1}\nThe answer is {number + 1}"),
        "steps": [f"{number}+1={number + 1}"], "correct": correct, **fields,
    }  # fmt: skip
    if mean is not None:
        made["scores"] = {"prm": {"steps": [mean], "mean": mean, **aggregates}}
    return made


def pairs(problems: Problem | list[Problem], **settings: Any) -> tuple[list[dict[str, Any]], PairReport]:
    chosen = PairSettings(**settings)
    report = PairReport(chosen)
    problems = problems if isinstance(problems, list) else [problems]
    return list(make_pairs(problems, chosen, report)), report


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"].removeprefix("c#") for row in rows]


FOUR = chain_problem(paths=[scored(0, 0.75, True), scored(1, 0.5), scored(2, 1.0), scored(3, 0.25, True)])


def test_a_problem_s_pairs_are_made_before_the_next_is_read() -> None:
    asked: list[int] = []

    def problems() -> Iterator[Problem]:
        for number in range(3):
            asked.append(number)
            yield chain_problem(id=f"c{number}", paths=[scored(1, 0.9, True), scored(2, 0.1)])

    chosen = PairSettings(rule=("threshold", "outcome"))
    rows = make_pairs(problems(), chosen, PairReport(chosen))
    for number in range(3):
        assert next(rows)["problem"] == f"c{number}"
        assert asked == list(range(number + 1))


def test_pairs_for_a_pipe_are_all_made_before_the_first_is_written(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = tmp_path / "scored.jsonl"
    rows = [chain_problem(id=f"c{n}", paths=[scored(1, 0.9, True), scored(2, 0.1)]).to_json() for n in range(20)]
    source.write_text("\n".join([*rows, "{oops"]))
    with pytest.raises(DataError, match=r"scored\.jsonl:21: not a line of JSON"):
        write_pairs(str(source), "-", PairSettings(), BadLines(strict=True))
    assert capfdbinary.readouterr().out == b""
    write_pairs(str(source), "-", PairSettings(), BadLines())
    assert capfdbinary.readouterr().out.count(b"\n") == 20


def test_a_pair_is_a_right_path_that_scores_eta_more_the_boundary_included() -> None:
    assert sorted(ids(pairs(FOUR, eta=0.25, max_per_problem=9)[0])) == ["0>1", "0>3"]
    assert ids(pairs(FOUR, eta=0.26, max_per_problem=9)[0]) == ["0>3"]
    assert ids(pairs(FOUR, eta=0.51, max_per_problem=9)[0]) == []
    rows, report = pairs(FOUR, eta=0.25, max_per_problem=9, chosen_correct=False)
    assert sorted(ids(rows)) == ["0>1", "0>3", "1>3", "2>0", "2>1", "2>3"]
    assert ids(rows)[0] == "2>3", "the widest gap first"
    assert report.counts["pairs of a right and a wrong path"] == 1
    assert report.counts["pairs of two right paths"] == 1
    assert report.counts["pairs of two wrong paths"] == 1


def test_a_row_is_the_fields_pair_format_and_self_contained() -> None:
    (row,) = pairs(FOUR, eta=0.5)[0]
    assert row == {
        "id": "c#0>3", "problem": "c", "task": "chain", "question": FOUR.question, "rule": "widest",
        "prompt": f"Question: {FOUR.question}\nAnswer:\n", "chosen": FOUR.paths[0].text, "rejected": FOUR.paths[3].text,
        "chosen_correct": True, "rejected_correct": True, "chosen_finish": "stop", "rejected_finish": "stop",
        "chosen_score": 0.75, "rejected_score": 0.25,
    }  # fmt: skip
    assert exported_prompt(FOUR, "chat") == [{"role": "user", "content": FOUR.question}]
    with pytest.raises(DataError, match="no template 'paper'"):
        exported_prompt(FOUR, "paper")


@pytest.mark.parametrize(
    ("aggregate", "expected"), [("mean", "0>1"), ("min", "1>0"), ("product", "0>1"), ("last", "1>0")]
)
def test_the_aggregate_decides_which_path_is_better(aggregate: str, expected: str) -> None:
    paths = [scored(0, 0.9, True, min=0.1, product=0.9, last=0.2), scored(1, 0.5, True, min=0.4, product=0.3, last=0.9)]
    assert ids(pairs(chain_problem(paths=paths), aggregate=aggregate)[0]) == [expected]


@pytest.mark.parametrize("own", ["mean", "min", None])
def test_auto_ranks_by_the_scores_own_aggregate_or_the_mean(own: str | None) -> None:
    paths = [scored(0, 0.9, True, min=0.1), scored(1, 0.5, True, min=0.4)]
    for path in paths if own else []:
        path["scores"]["prm"]["aggregate"] = own
    rows, report = pairs(chain_problem(paths=paths))
    assert ids(rows) == ["1>0" if own == "min" else "0>1"]
    assert report.rules["widest"].counts[f"paths ranked by {own or 'mean'}"] == 2
    assert ids(pairs(chain_problem(paths=paths), aggregate="mean")[0]) == ["0>1"]


def test_equal_scores_and_equal_texts_make_no_pair_even_at_eta_zero() -> None:
    paths = [scored(0, 0.5, True), scored(1, 0.5), scored(2, 0.25, text="0+1=1\nThe answer is 1")]
    rows, _ = pairs(chain_problem(paths=paths), eta=0.0, max_per_problem=9)
    assert ids(rows) == []
    assert ids(pairs(chain_problem(paths=[*paths, scored(3, 0.25)]), eta=0.0)[0]) == ["0>3"]


def test_max_per_problem_spreads_over_the_paths_before_any_is_used_again() -> None:
    right = [scored(i, 0.9 + i / 100, True) for i in range(4)]
    wrong = [scored(i, 0.1 + i / 100) for i in range(4, 8)]
    problem = chain_problem(paths=[*right, *wrong])
    rows, report = pairs(problem, max_per_problem=4)
    used = Counter(number for row in ids(rows) for number in row.split(">"))
    assert len(rows) == 4
    assert set(used.values()) == {1}
    assert report.rules["widest"].counts["pairs left out: max-per-problem"] == 16 - 4
    assert ids(rows)[0] == "3>4", "the widest gap is among them"
    everything, _ = pairs(problem, max_per_problem=99)
    assert len(everything) == 16
    assert len(set(ids(everything))) == 16


def test_outcome_feedback_prefers_right_to_wrong_and_needs_no_scores() -> None:
    paths = [scored(i, None, correct=i < 3) for i in range(6)]
    problem = chain_problem(paths=paths)
    rows, report = pairs(problem, rule=("outcome",), max_per_problem=99)
    assert sorted(ids(rows)) == sorted(f"{a}>{b}" for a in range(3) for b in range(3, 6))
    assert "chosen_score" not in rows[0]
    assert report.counts["pairs of a right and a wrong path"] == 9
    some = {tuple(ids(pairs(problem, rule=("outcome",), max_per_problem=2, seed=seed)[0])) for seed in range(8)}
    assert len(some) > 3, "which of equal pairs are taken is the seed's choice"
    assert ids(pairs(problem, rule=("outcome",), max_per_problem=2, seed=1)[0]) == ids(
        pairs(problem, rule=("outcome",), max_per_problem=2, seed=1)[0]
    )


def test_the_length_gap_is_in_tokens_where_known_else_in_quarters_of_characters() -> None:
    paths = [scored(0, 0.9, True, tokens=30), scored(1, 0.1, tokens=10), scored(2, 0.2, tokens=25)]
    rows, report = pairs(chain_problem(paths=paths), max_length_gap=5)
    assert ids(rows) == ["0>2"]
    assert report.rules["widest"].counts["pairs left out: length gap"] == 1
    assert sorted(ids(pairs(chain_problem(paths=paths), max_length_gap=20)[0])) == ["0>1", "0>2"]
    long = scored(1, 0.1, text="1+1=2\n" + "so " * 40 + "\nThe answer is 2")
    assert ids(pairs(chain_problem(paths=[scored(0, 0.9, True), long]), max_length_gap=20)[0]) == []
    assert ids(pairs(chain_problem(paths=[scored(0, 0.9, True), long]), max_length_gap=40)[0]) == ["0>1"]


def test_paths_without_a_score_gold_paths_and_earlier_rounds_are_left_out_and_counted() -> None:
    gold = {**scored(7, 1.0, True, source="gold"), "id": "c#gold"}
    paths = [scored(0, 0.9, True), scored(1, 0.1), scored(2, None), scored(3, 0.8, True, round=1), gold]
    paths.append(scored(4, 0.2, round=1))
    rows, report = pairs(chain_problem(paths=paths), rounds="last", max_per_problem=9)
    assert ids(rows) == ["3>4"]
    assert report.counts["paths left out: earlier round"] == 3
    assert report.counts["paths left out: gold"] == 1
    rows, report = pairs(chain_problem(paths=paths), max_per_problem=99)
    assert report.rules["widest"].counts["paths left out: no score 'prm'"] == 1
    assert not any("gold" in name or "2" in name for name in ids(rows))
    assert any("gold" in row["id"] for row in pairs(chain_problem(paths=paths), gold=True, max_per_problem=99)[0])
    with pytest.raises(DataError, match="correct: missing"):
        pairs(chain_problem(paths=[{**scored(0, 0.9), "correct": None}]))


def many(n: int, *paths: dict[str, Any]) -> list[Problem]:
    """n problems with the same paths under ids of their own."""
    return [
        chain_problem(id=f"p{i}", paths=[{**path, "id": path["id"].replace("c#", f"p{i}#")} for path in paths])
        for i in range(n)
    ]


def two(n: int, gap: float, correct: bool = True) -> list[Problem]:
    """n problems with a path that scores `gap` more than the other, wrong one."""
    return many(n, scored(0, 0.5 + gap, correct), scored(1, 0.5))


def test_the_sweep_says_what_running_with_that_eta_yields() -> None:
    rng = random.Random(3)
    problems = []
    for i in range(30):
        six = [scored(j, round(rng.random(), 2), rng.random() < 0.6, tokens=rng.randrange(40)) for j in range(6)]
        problems += [chain_problem(id=f"p{i}", paths=[{**one, "id": f"p{i}#{j}"} for j, one in enumerate(six)])]
    for settings in ({}, {"chosen_correct": False, "max_per_problem": 2}, {"max_length_gap": 10}):
        _, report = pairs(problems, **settings)
        for eta in SWEEP:
            rows, again = pairs(problems, eta=eta, **settings)
            told = report.rules["widest"]
            assert told.sweep[eta] == len(rows) == again.counts["pairs"]
            assert told.sweep_problems[eta] == again.counts["problems with a pair"] == len({r["problem"] for r in rows})
            assert again.rules["widest"].sweep == told.sweep
        assert told.sweep[0.0] > told.sweep[0.5] > 0


@pytest.mark.parametrize(
    ("problems", "settings", "reason", "advice"),
    [
        (two(9, 0.3, correct=False), {}, "no right path", "--any"),
        (two(9, 0.3), {"rule": ("outcome",)}, "", ""),
        (many(9, *(scored(j, 0.5, True) for j in range(3))),
         {"rule": ("outcome",)}, "no wrong path", "--rule threshold"),
        (many(9, scored(0, None)),
         {}, "fewer than two usable paths", "sipf score --name prm"),
        (two(9, 0.2), {"eta": 0.4}, "no gap of 0.4", "Lower --eta: at 0.1 there would be 9 pairs"),
        (two(9, 0.0), {"eta": 0.1}, "no gap of 0.1", "No --eta would do: even at 0 there would be 0 pairs"),
        (two(9, 0.0), {"eta": 0.0}, "no gap above 0", "No --eta would do: even at 0 there would be 0 pairs"),
        (two(5, 0.2), {"eta": 0.5}, "no gap of 0.5", "No --eta would do: even at 0 there would be 5 pairs"),
        (two(3, 0.3), {}, "too few problems", "Sample and score more problems"),
        ([], {}, "no problem was read", "Sample and score more problems"),
    ],
)  # fmt: skip
def test_next_to_nothing_is_refused_with_advice_that_fits(
    problems: list[Problem], settings: dict[str, Any], reason: str, advice: str
) -> None:
    _, report = pairs(problems, **settings)
    if not reason:
        refuse_nothing(report, PairSettings(**settings))
        return
    with pytest.raises(DataError, match="next to nothing to learn from") as caught:
        refuse_nothing(report, PairSettings(**settings))
    assert reason in caught.value.message
    assert advice in caught.value.advice


def test_rules_that_make_the_same_pairs_cannot_be_mixed_in_shares() -> None:
    paths = [scored(0, 0.9, True), scored(1, 0.1)]
    shares = {"rule": ("widest:0.5", "outcome:0.5")}
    rows, report = pairs(many(9, *paths), **shares)
    assert rows == []
    with pytest.raises(DataError, match="mostly, by outcome: made by a rule before it") as caught:
        refuse_nothing(report, PairSettings(**shares))
    assert "Leave the shares out" in caught.value.advice
    assert len(pairs(many(9, *paths), rule=("widest", "outcome"))[0]) == 9


def test_a_length_gap_that_leaves_nothing_is_named() -> None:
    problems = two(9, 0.3)
    for problem in problems:
        problem.paths[0].tokens, problem.paths[1].tokens = 5, 50
    _, report = pairs(problems, max_length_gap=3)
    with pytest.raises(DataError) as caught:
        refuse_nothing(report, PairSettings(max_length_gap=3))
    assert "--max-length-gap" in caught.value.advice


def test_the_file_is_written_whole_with_counts_and_sweep_or_not_at_all(tmp_path: Path) -> None:
    source, output = tmp_path / "scored.jsonl", tmp_path / "pairs.jsonl"
    lines = [problem.to_json() for problem in two(20, 0.25)]
    source.write_text("\n".join([*lines, "{"]) + "\n")
    heard: list[str] = []
    settings = PairSettings(eta=0.2, most=12)
    summary = write_pairs(str(source), str(output), settings, BadLines(tell=lambda fault: heard.append(fault.message)))
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(rows) == summary["counts"]["pairs"] == 12
    assert summary["counts"]["pairs left out: most"] == 8
    assert summary["rules"]["widest"]["sweep"]["0.2"] == {"pairs": 20, "problems": 20}
    assert summary["bad lines"] == len(heard) == 1
    order = [int(row["problem"][1:]) for row in rows]
    assert order == sorted(order), "in input order"
    made = read_manifest(str(output))
    assert made is not None
    assert (made["counts"]["pairs"], made["counts"]["bad lines"]) == (12, 1)
    assert write_pairs(str(source), str(output), settings, BadLines())["already complete"]
    how: dict[str, Any] = {"overwrite": True, "dry_run": True}
    again = write_pairs(str(source), str(output), replace(settings, seed=1), BadLines(), **how)
    assert again["counts"]["pairs"] == 12
    assert [json.loads(line) for line in output.read_text().splitlines()] == rows, "a dry run writes nothing"
    with pytest.raises(DataError, match=":21: "):
        write_pairs(str(source), str(tmp_path / "strict.jsonl"), settings, BadLines(strict=True))
    with pytest.raises(DataError, match="next to nothing"):
        write_pairs(str(source), str(tmp_path / "none.jsonl"), replace(settings, eta=0.9), BadLines())
    names = ["pairs.jsonl", "pairs.jsonl.reasons.jsonl", "scored.jsonl"]
    assert sorted(path.name for path in tmp_path.glob("*.jsonl")) == names


def counted(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """The lines of reasons as the summary counts them, by rule ("" for what no rule decides) and name."""
    found: Counter[tuple[str, str]] = Counter()
    for row in rows:
        rule = "" if row["reason"] in ("shares", "most") else row.get("rule", "")
        kind = "paths left out" if "path" in row else "pairs left out" if "pairs" in row else "problems without a pair"
        found[rule, f"{kind}: {row['reason']}"] += row.get("pairs", 1)
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": ("widest",), "eta": 0.3, "max_per_problem": 1, "most": 20},
        {"rule": ("consistent",), "pass_score": 0.2, "rounds": "last", "max_length_gap": 6},
        {"rule": ("consistent",), "pass_share": 0.6},
        {"rule": ("consistent", "outcome", "frequent"), "by": "labels", "reject": "step"},
        {"rule": ("outcome:0.6", "frequent:0.4"), "most": 9},
        {"rule": ("fork", "sigma"), "chosen_correct": False},
    ],
)
def test_the_lines_of_reasons_are_what_the_summary_counts_one_by_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    problems = []
    for seed in range(40):
        paths = [{**path, "id": f"p{seed}#{i}", "round": i % 2} for i, path in enumerate(any_question(seed))]
        gold = {"id": f"p{seed}#gold", "source": "gold", "text": "1+1=2", "steps": ["1+1=2"], "correct": True}
        problems.append(chain_problem(id=f"p{seed}", paths=[*paths, gold]))
    (tmp_path / "in.jsonl").write_text("".join(f"{problem.to_json()}\n" for problem in problems))
    output = tmp_path / "out.jsonl"
    summary = write_pairs(str(tmp_path / "in.jsonl"), str(output), PairSettings(**settings), BadLines())
    beside = tmp_path / "out.jsonl.reasons.jsonl"
    rows = [json.loads(line) for line in beside.read_text().splitlines()]
    told = {("", name): n for name, n in summary["counts"].items()}
    told |= {(rule, name): n for rule, part in summary["rules"].items() for name, n in part["counts"].items()}
    missing = {where: n for where, n in told.items() if where[1].startswith(KINDS) and n}
    assert dict(counted(rows)) == missing
    assert len(missing) > 2
    paired = {json.loads(line)["problem"] for line in output.read_text().splitlines()}
    without = {problem.id for problem in problems} - paired
    assert len(without) == summary["counts"]["problems without a pair"] > 0
    assert without <= {row["problem"] for row in rows if "path" not in row}, "each of them says why"
    order = [int(row["problem"][1:]) for row in rows]
    assert order == sorted(order), "in input order"
    made = read_manifest(str(output))
    assert made is not None
    assert made["beside"][".reasons.jsonl"]["lines"] == len(rows)
    assert made["beside"][".reasons.jsonl"]["sha256"] == hash_file(str(beside))


KINDS = ("problems without a pair: ", "paths left out: ", "pairs left out: ")


def test_reasons_that_are_gone_are_written_again_and_edited_ones_are_kept(tmp_path: Path) -> None:
    source, output, beside = (tmp_path / name for name in ("scored.jsonl", "out.jsonl", "out.jsonl.reasons.jsonl"))
    problems = [
        chain_problem(
            id=f"p{seed}", paths=[{**path, "id": f"p{seed}#{i}"} for i, path in enumerate(any_question(seed))]
        )
        for seed in range(40)
    ]
    source.write_text("".join(f"{problem.to_json()}\n" for problem in problems))

    def make() -> dict[str, Any]:
        return write_pairs(str(source), str(output), PairSettings(rule=("outcome",)), BadLines())

    make()
    whole = beside.read_bytes()
    beside.unlink()
    assert "already complete" not in make()
    assert beside.read_bytes() == whole
    assert "already complete" in make()
    beside.write_bytes(b"X" + whole[1:])
    with pytest.raises(UsageError, match="was changed after it was made"):
        make()
    assert beside.read_bytes() == b"X" + whole[1:]


def test_reasons_are_not_written_on_a_dry_run_nor_beside_a_pipe(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(f"{problem.to_json()}\n" for problem in two(9, 0.3)))
    write_pairs(str(source), str(tmp_path / "out.jsonl"), PairSettings(), BadLines(), dry_run=True)
    write_pairs(str(source), "-", PairSettings(), BadLines())
    assert len(capfdbinary.readouterr().out.splitlines()) == 9
    assert list(tmp_path.iterdir()) == [source]


def test_a_line_that_a_rule_cannot_cut_or_prompt_is_a_bad_line(tmp_path: Path) -> None:
    lines = [json.loads(FOUR.to_json()) | {"id": f"p{n}"} for n in range(12)]
    lines[2]["paths"][0] |= {"steps": ["9+9=18", "1+1=2"], "scores": None}
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def told(**settings: Any) -> list[str]:
        said: list[str] = []
        bad = BadLines(tell=lambda fault: said.append(str(fault).removeprefix(f"{tmp_path}/")))
        how = PairSettings(rule=("outcome",), pass_score=0.6, **settings)
        with suppress(DataError):  # of no pairs at all
            write_pairs(str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), how, bad, overwrite=True)
        return said

    assert told() == []
    (said,) = told(reject="step")
    assert said == "in.jsonl:3: paths.0.steps: 2 steps, but the text has 1"
    assert told(template="none") == [f"in.jsonl:{n}: task chain has no template 'none'" for n in range(1, 13)]
