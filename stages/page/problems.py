"""The browser of problems on the page: a sample of a run's problems, with their paths, steps and pairs in all rounds.

    section = problem_section({"labels": Path("runs/labels")}, most=500, seed=0)
    section["problems"][0]["views"][0]
    # {"name": "round 0", "loop": ... (of several), "file": "runs/labels/r0/pool.jsonl", "line": 8,
    #  "command": "sipf show ... chain/train/0/7",
    #  "paths": [{"id": "#3", "pieces": [["40-15=25", 1, "8/8", []], ["25*3=70", 0, "0/8", [], "first"]], ...}],
    #  "pairs": [...], "missing": ["no pair by consistent: no right path"]}

What is odd about a problem is decided here; `problems.js` only filters and shows. Problems are drawn by a hash of their
ids, so the same ones are drawn in every round, and files are read line by line: only what is drawn is kept. How many
are taken depends on their size too (`BYTES`), so that the page stays small whatever the texts are like.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from pathlib import Path
from typing import Any, NamedTuple

from evals.errors import DataError
from evals.records import Problem, parse_json
from stages.files.inputs import raw_lines
from stages.files.manifest import read_manifest
from stages.page.problem_view import LONGEST, Caps, asked, pair_view, path_view
from stages.pairing.reasons import ENDING
from stages.seeds import lot
from stages.settings.pairs import PairSettings
from stages.shown import reason_text, visible

BYTES = 10_000_000
"""Bytes of JSON, escaped for a page, at which no further problem is taken."""
ROUND_FILES = ("scored.jsonl", "pool.jsonl", "labels.jsonl", "paths.jsonl")
"""What a round's problems are read from: the first of these that is there, as it holds what the others hold."""
_ID = re.compile(rb'\{"(?:id|problem)":\s*"((?:[^"\\]|\\.)*)"')
"""How lines that a stage wrote begin; a line that does not is parsed for its id."""
_ESCAPED = re.compile(r"[<>&']|[^\x00-\x7f]")
"""Characters that take six bytes in a script element."""


class _Place(NamedTuple):
    """A file whose problems are shown together: a round's, or a policy's results."""

    loop: str
    name: str
    file: Path
    pairs: Path | None = None


class _Drawn(NamedTuple):
    """A line that was drawn: its number from 1, and its bytes."""

    line: int
    raw: bytes


@dataclass(eq=False)
class _Kind:
    """Files in which the same problems may stand: the rounds of all loops, or the results of all policies."""

    places: list[_Place]
    drawn: list[dict[str, _Drawn]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    """The drawn problems, in the order of their lots."""
    seen: set[int] = field(default_factory=set)
    """The lots of all problems, to count them: 60 bytes each."""


def problem_section(folders: Mapping[str, Path], *, most: int, seed: int) -> dict[str, Any]:
    """What the browser of problems shows.

    Args:
        folders: the loops (`examples/loop.sh --out`) by name.
        most: how many problems of the rounds, and of the results of `eval`, may be drawn.
        seed: of the draw; with the same seed the same problems are drawn of every run.

    Returns:
        "problems" and "sample" (how many were drawn of how many, and what was cut off), all JSON.

    Raises:
        DataError: a drawn line is no problem.
    """
    kinds = [_Kind(list(_rounds(folders))), _Kind(list(_results(folders)))]
    for kind in kinds:
        _draw(kind, most, seed)
    caps, size = Caps(), 0
    problems: list[dict[str, Any]] = []
    pairs = [_pairs_of(place, kind.ids) for kind in kinds for place in kind.places if place.pairs is not None]
    joined = {place: found for found, place in zip(pairs, _with_pairs(kinds), strict=True)}
    in_turn = [(kind, identity) for kind in kinds for identity in kind.ids]
    in_turn.sort(key=lambda each: lot(each[1], seed))
    for kind, identity in in_turn:
        made = _problem(kind, identity, joined, caps, several=len(folders) > 1)
        made["order"] = [kinds.index(kind), *made["order"]]
        size += _bytes(made)
        if problems and size > BYTES:
            break
        problems.append(made)
    problems.sort(key=lambda each: each["order"])
    for made in problems:
        del made["order"]
    sample = {
        "seed": seed, "most": most, "taken": len(problems), "drawn": len(in_turn),
        "of": sum(len(kind.seen) for kind in kinds), "longest": LONGEST, "pass_score": PairSettings.pass_score,
        "cut": {"texts": caps.texts, "characters": caps.characters, "paths": caps.paths, "lines": caps.lines},
    }  # fmt: skip
    return {"sample": sample, "problems": problems}


def _with_pairs(kinds: list[_Kind]) -> Iterator[_Place]:
    return (place for kind in kinds for place in kind.places if place.pairs is not None)


def _rounds(folders: Mapping[str, Path]) -> Iterator[_Place]:
    for loop, folder in folders.items():
        numbers = sorted(int(place.name[1:]) for place in folder.glob("r[0-9]*") if place.name[1:].isdecimal())
        for number in numbers:
            made = folder / f"r{number}"
            file = next((made / name for name in ROUND_FILES if (made / name).is_file()), None)
            if file is not None:
                pairs = made / "pairs.jsonl"
                yield _Place(loop, f"round {number}", file, pairs if pairs.is_file() else None)


def _results(folders: Mapping[str, Path]) -> Iterator[_Place]:
    for loop, folder in folders.items():
        files = [(read_manifest(str(file)) or {}, file) for file in folder.glob("eval/*.jsonl")]
        for _, file in sorted((str(made["finished"]), file) for made, file in files if made):
            yield _Place(loop, file.stem, file)


def _draw(kind: _Kind, most: int, seed: int) -> None:
    """Read each file once; keep the lines of the `most` ids with the smallest lots.

    The smallest lots of all files together are among the smallest of each file that has the problem.
    """
    for place in kind.places:
        kept: list[tuple[_Reversed, str, _Drawn]] = []
        for line, raw in enumerate(_lines(place.file), 1):
            identity = _id_of(raw)
            if identity is None:
                continue
            own = lot(identity, seed)
            kind.seen.add(int(own, 16))
            each = (_Reversed(own), identity, _Drawn(line, raw))
            if len(kept) < most:
                heappush(kept, each)
            elif kept[0][0] < each[0]:
                heappushpop(kept, each)
        kind.drawn.append({identity: drawn for _, identity, drawn in kept})
    ids = {identity for drawn in kind.drawn for identity in drawn}
    kind.ids = sorted(ids, key=lambda identity: lot(identity, seed))[:most]


@dataclass(frozen=True, slots=True)
class _Reversed:
    """A text that sorts the other way round, so that a heap gives up the largest first."""

    text: str

    def __lt__(self, other: _Reversed) -> bool:
        return self.text > other.text


def _lines(file: Path) -> Iterator[bytes]:
    return (raw for raw in raw_lines(str(file)) if raw is not None)


def _id_of(raw: bytes, key: str = "id") -> str | None:
    """The id of a line, or of its problem; None where it has none."""
    found = _ID.match(raw)
    if found is not None and raw[2:].startswith(key.encode()):
        text = found[1].decode("utf-8", "replace")
        return str(json.loads(f'"{text}"')) if "\\" in text else text
    try:
        row = parse_json(raw)
    except (ValueError, RecursionError):
        return None  # a bad line, which the stages report
    value = row.get(key) if isinstance(row, dict) else None
    return value if isinstance(value, str) else None


def _pairs_of(place: _Place, ids: Collection[str]) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """The drawn problems' pairs of a round, and why others are missing."""
    wanted = set(ids)
    found: tuple[dict[str, list[Any]], dict[str, list[Any]]] = ({}, {})
    for where, file in zip(found, (place.pairs, Path(f"{place.pairs}{ENDING}")), strict=True):
        for raw in _lines(file) if file is not None and file.is_file() else ():
            identity = _id_of(raw, "problem")
            if identity is not None and identity in wanted:
                where.setdefault(identity, []).append(parse_json(raw))
    return found


def _problem(
    kind: _Kind,
    identity: str,
    joined: Mapping[_Place, tuple[dict[str, list[Any]], dict[str, list[Any]]]],
    caps: Caps,
    *,
    several: bool,
) -> dict[str, Any]:
    """A drawn problem in all places that have it, each with its loop's name where there are `several`."""
    made: dict[str, Any] = {}
    views: list[dict[str, Any]] = []
    firsts: list[bool] = []
    before: dict[str, Any] = {}
    """Its view in the round before, and which rounds were the first to have those paths, and those pairs too."""
    for number, (place, drawn) in enumerate(zip(kind.places, kind.drawn, strict=True)):
        pairs, missing = (part.get(identity, []) for part in joined.get(place, ({}, {})))
        if identity not in drawn and not pairs and not missing:
            continue
        view: dict[str, Any] = {"name": visible(place.name), **({"loop": visible(place.loop)} if several else {})}
        if identity in drawn:
            problem = _parsed(place.file, drawn[identity])
            made = made or {**asked(problem, caps), "order": [number, drawn[identity].line]}
            view |= path_view(problem, place.file, drawn[identity].line, caps)
            firsts += [bool(path.correct) for path in problem.paths[:1] if path.source == "eval"]
        view["pairs"] = [pair_view(row, identity, caps) for row in pairs]
        view["missing"] = [caps.text(reason_text(row, identity)) for row in missing]
        now = {part: view.get(part, []) for part in ("loop", "paths", "pairs", "missing")}
        now |= {"first": view["name"], "first_pairs": view["name"]}
        if now["loop"] == before.get("loop") and now["paths"] and now["paths"] == before["paths"]:
            now["first"] = before["first"]
            view |= {"paths": [], "same": f"paths are those of {now['first']}"}
            if now["pairs"] and all(now[part] == before[part] for part in ("pairs", "missing")):
                now["first_pairs"] = before["first_pairs"]
                view |= {"pairs": [], "missing": [], "same": f"paths and pairs are those of {now['first_pairs']}"}
        before = now
        view["none"] = [row["reason"] for row in missing if "path" not in row] if not pairs else []
        views.append(view)
    changes = ["changes"] if len(set(firsts)) > 1 else []
    flags = sorted({*changes, *(flag for view in views for flag in view.pop("flags", []))})
    none = sorted({reason for view in views for reason in view.pop("none")})
    return {**made, "views": views, "flags": flags, "none": none}


def _parsed(file: Path, drawn: _Drawn) -> Problem:
    try:
        return Problem.from_row(parse_json(drawn.raw))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}:{drawn.line}: not a line of JSON ({error})") from error
    except DataError as error:
        raise error.at(f"{file}:{drawn.line}") from error


def _bytes(made: Mapping[str, Any]) -> int:
    """How much of the page a problem takes."""
    text = json.dumps(made, ensure_ascii=False)
    return len(text) + 5 * len(_ESCAPED.findall(text))
