"""show: what an id names in a file of problems, of pairs or of reasons, which problems are chosen without one, and what
is said where there is none."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.errors import DataError, UsageError
from stages.files.reading import BadLines
from stages.pairs import write_pairs
from stages.settings.pairs import PairSettings
from stages.settings.show import ShowSettings
from stages.show import Shown, show
from tests.stages.pairing.questions import solved

OTHER_ROWS = [
    ({"question": "3 bags of 4?", "process": "Step 1: 12 ки\nStep 2: 13 ки", "label": ["+", "-"]}, "problem"),
    ({"prompt": "1+1?", "chosen": "2", "rejected": "3"}, "pair"),
    ({"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}],
      "rejected_response": "3"}, "pair"),
]  # fmt: skip


def problem(number: int, *paths: dict[str, Any]) -> dict[str, Any]:
    made = [{**path, "id": f"p/{number}#{i}"} for i, path in enumerate(paths)]
    return {"id": f"p/{number}", "task": "chain", "question": "How many?", "answer": "76", "paths": made}


RIGHT, WRONG = solved(0, "ab", True, labels=[True, True]), solved(1, "ac", labels=[True, False])
BY_WRONG_STEP = solved(2, "ab", True, labels=[False, True])
ODD = solved(3, "ab", labels=[True, False], scores=[0.9, 0.8])


@pytest.fixture
def lines(tmp_path: Path) -> str:
    """Twelve problems: the fourth has a right answer by a wrong step, labels and scores of the seventh disagree, and
    the paths of the last two are all wrong."""
    rows = [problem(i, RIGHT, WRONG, *{3: [BY_WRONG_STEP], 6: [ODD]}.get(i, [])) for i in range(10)]
    return written(tmp_path / "labels.jsonl", [*rows, problem(10, WRONG), problem(11, WRONG, ODD)])


@pytest.fixture
def pairs(lines: str) -> str:
    output = f"{lines}.pairs.jsonl"
    write_pairs(lines, output, PairSettings(rule=("outcome",)), BadLines())
    return output


def written(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> str:
    texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return str(path)


def shown(source: str, wanted: str | None = None, **settings: Any) -> Shown:
    return show(source, wanted, ShowSettings(**settings), BadLines())


def refused(source: str, wanted: str, error: type[UsageError | DataError] = UsageError) -> str:
    with pytest.raises(error) as caught:
        shown(source, wanted)
    return f"{caught.value.message} {caught.value.advice}"


@pytest.mark.parametrize(
    ("wanted", "identity", "line", "paths"),
    [
        ("p/3", "p/3", 4, None),
        ("p/3#2", "p/3", 4, {"p/3#2"}),
        ("p/3#0>1", "p/3", 4, {"p/3#0", "p/3#1"}),
        (":4", "p/3", 4, None),
        ("line:12", "p/11", 12, None),
    ],
)
def test_an_id_names_a_problem_some_of_its_paths_or_a_line(
    lines: str, wanted: str, identity: str, line: int, paths: set[str] | None
) -> None:
    (item,) = shown(lines, wanted).items
    assert (item.id, item.places, item.paths) == (identity, [f"{lines}:{line}"], paths)
    assert item.problem is not None
    assert item.problem.id == identity


def test_in_a_file_of_pairs_a_problem_names_all_its_pairs_and_a_path_those_it_is_in(pairs: str) -> None:
    rows = [json.loads(line) for line in Path(pairs).read_text().splitlines()]
    (item,) = shown(pairs, "p/3").items
    assert item.pairs == [row for row in rows if row["problem"] == "p/3"]
    assert len(item.pairs) == 2
    assert shown(pairs, "p/3#2").items[0].pairs == [row for row in rows if row["id"] == "p/3#2>1"]
    assert shown(pairs, "p/3#2>1").items[0].pairs == [row for row in rows if row["id"] == "p/3#2>1"]
    assert shown(pairs, ":1").items[0].pairs == rows[:1]
    (reasons,) = shown(f"{pairs}.reasons.jsonl", "p/11").items
    assert reasons.missing == [{"problem": "p/11", "rule": "outcome", "reason": "no right path"}]


def test_without_an_id_the_first_problem_is_shown_and_what_follows(lines: str, pairs: str) -> None:
    found = shown(lines)
    assert [item.id for item in found.items] == ["p/0"]
    assert (found.lines, found.matching, found.others) == (12, None, ["p/1", "p/2", "p/3", "p/4", "p/5"])
    assert [item.id for item in shown(lines, n=3).items] == ["p/0", "p/1", "p/2"]
    assert shown(pairs, n=4).items[3].pairs == shown(pairs, "p/3").items[0].pairs


@pytest.mark.parametrize(
    ("where", "ids"), [("wrong-step", ["p/3"]), ("disagree", ["p/6", "p/11"]), ("no-pair", ["p/10", "p/11"])]
)
def test_problems_can_be_chosen_by_what_is_odd_about_them(lines: str, pairs: str, where: Any, ids: list[str]) -> None:
    found = shown(lines, where=where, pairs=Path(pairs), n=9)
    assert [item.id for item in found.items] == ids
    assert (found.matching, found.lines) == (len(ids), 12)
    first = shown(lines, where=where, pairs=Path(pairs))
    assert [item.id for item in first.items] + first.others == ids
    assert first.matching == len(ids)


def test_the_same_seed_draws_the_same_ids_whatever_else_a_file_holds(lines: str, tmp_path: Path) -> None:
    drawn = {seed: [item.id for item in shown(lines, random=True, seed=seed, n=3).items] for seed in range(9)}
    assert len({tuple(ids) for ids in drawn.values()}) > 6
    rows = [json.loads(line) for line in Path(lines).read_text().splitlines()]
    half = written(tmp_path / "half.jsonl", [row for row in rows if row["id"] in drawn[0] or row["id"] == "p/10"][::-1])
    assert {item.id for item in shown(half, random=True, seed=0, n=3).items} == set(drawn[0])
    unnamed = shown(lines, random=True)
    assert unnamed.seed is not None
    assert shown(lines, random=True, seed=unnamed.seed).items == unnamed.items


def test_pairs_and_reasons_stand_beside_the_problem_they_belong_to(lines: str, pairs: str) -> None:
    (item,) = shown(lines, "p/3", pairs=Path(pairs)).items
    assert [row["id"] for row in item.pairs] == [row["id"] for row in shown(pairs, "p/3").items[0].pairs]
    (item,) = shown(lines, "p/10", pairs=Path(pairs)).items
    assert (item.pairs, [row["reason"] for row in item.missing]) == ([], ["fewer than two usable paths"])


def test_what_is_not_there_is_named_with_what_is_near(lines: str, pairs: str) -> None:
    assert "there is no 'p/33' in" in refused(lines, "p/33")
    assert "p/3" in refused(lines, "p/33").partition("nearest: ")[2].split(", ")
    assert refused(lines, "7").endswith("The nearest: p/7, p/0, p/1.")
    assert "The paths of this problem: #0, #1." in refused(lines, "p/2#9")
    assert "the nearest: p/3" in refused(pairs, "p/3#7").casefold()
    assert "there is no line 13 in" in refused(lines, ":13")
    assert refused(lines, ":0").startswith("lines are counted from 1")
    assert "there is no file" in refused(f"{lines}.gone", "p/1")
    with pytest.raises(UsageError, match="looks at paths"):
        shown(pairs, where="disagree")


def test_a_bad_line_is_skipped_and_told_unless_it_is_the_one_that_is_wanted(tmp_path: Path) -> None:
    rows = [problem(0), "{", {"id": "x", "task": "chain"}, "", problem(4)]
    source = written(tmp_path / "mixed.jsonl", rows)
    bad = BadLines()
    assert [item.id for item in show(source, None, ShowSettings(n=9), bad).items] == ["p/0", "p/4"]
    assert bad.count == 2
    assert ":2: not a line of JSON" in refused(source, ":2", DataError)
    assert ":3: question: Field required" in refused(source, "x", DataError)
    assert "line 4 of" in refused(source, ":4")
    empty = written(tmp_path / "empty.jsonl", [])
    assert "holds no line" in refused(empty, "x", DataError)
    with pytest.raises(DataError, match="this looks like a conversation"):
        shown(written(tmp_path / "talk.jsonl", [{"messages": []}]))


def test_files_of_every_kind_are_read(lines: str, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in Path(lines).read_text().splitlines()]
    packed, listed = tmp_path / "packed.jsonl.gz", tmp_path / "list.json"
    packed.write_bytes(gzip.compress(Path(lines).read_bytes()))
    listed.write_text(json.dumps(rows))
    for source in (packed, listed):
        found = shown(str(source))
        assert (found.items[0].id, found.lines) == ("p/0", 12)
        assert shown(str(source), "p/7").items[0].problem == shown(lines, "p/7").items[0].problem
        assert shown(str(source), ":8").items[0].id == "p/7"


def test_an_id_is_found_however_it_is_written_and_bad_lines_elsewhere_do_not_matter(tmp_path: Path) -> None:
    rows = ["{", json.dumps(problem(0)).replace("p/0", "\\u0070/0"), json.dumps(problem(1)), "{"]
    source = written(tmp_path / "odd.jsonl", rows)
    bad = BadLines()
    assert show(source, "p/1", ShowSettings(), bad).items[0].places == [f"{source}:3"]
    assert bad.count == 0
    assert show(source, "p/0", ShowSettings(), bad).items[0].places == [f"{source}:2"]
    assert bad.count == 1


@pytest.mark.parametrize(("row", "kind"), OTHER_ROWS)
def test_rows_of_other_tools_that_a_reader_makes_problems_or_pairs_of(
    row: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    (item,) = shown(written(tmp_path / "rows.jsonl", [row])).items
    assert item.id == "rows/0"
    assert (item.problem is not None) == (kind == "problem")
    assert [(made["chosen"], made["rejected"]) for made in item.pairs] == ([("2", "3")] if kind == "pair" else [])
