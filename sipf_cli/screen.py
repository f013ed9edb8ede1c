"""How a problem looks in a terminal: its paths with a mark, the label and the scores beside each step, and its pairs.

    drawn(shown.items, Look(width=80, colour=True, unicode=True))

    #3 ✗ wrong, answer 76 · sample, round 0 · drawn once
                                                              hits/draws   prm
     1 ✓ 40-15=25                                                    8/8  0.98
     2 ✗ 25+3=28  ← first wrong step                                 0/8  0.21

Colour never says what a mark or a number does not say as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from stages.shown import (
    PathView,
    Step,
    branches,
    facts,
    label_text,
    many,
    notes,
    pieces,
    reason_text,
    short,
    visible,
)

if TYPE_CHECKING:
    from evals.records import Path, Problem, Rollout, StepLabel
    from stages.joins.entries import Item

LONG = 1000
"""Characters of one text that are shown without --full."""
RIGHT, WRONG, OPEN, QUIET, STRONG = "green", "red", "yellow", "dim", "bold"
_STYLES = {True: RIGHT, False: WRONG, None: OPEN}


@dataclass(frozen=True, slots=True)
class Look:
    """How wide a screen is (in columns) and what it can show; which parts are wanted.

    Args:
        pass_score: a step that scores less is wrong by its score.
        rollouts: show those of every step.
        full: show long texts whole.
    """

    width: int
    colour: bool
    unicode: bool
    pass_score: float
    rollouts: bool = False
    full: bool = False

    def mark(self, right: bool | None) -> Text:
        """The mark of what is right, wrong or open."""
        known = {True: "✓", False: "✗", None: "?"} if self.unicode else {True: "+", False: "x", None: "?"}
        return Text(known[right], style=_STYLES[right])

    @property
    def dot(self) -> str:
        """What stands between two facts."""
        return " · " if self.unicode else ", "

    def text(self, text: str, style: str = "") -> Text:
        """Text that a model or a file wrote: made harmless, and cut off if it is very long."""
        left = len(text) - LONG
        if self.full or left <= 0:
            return Text(visible(text), style=style)
        rest = f" ... {left:,} more characters (--full)"
        return Text.assemble((visible(text[:LONG]), style), (rest, QUIET))


def can_show_marks(encoding: str | None) -> bool:
    """Whether a stream's encoding has the marks."""
    try:
        "✓✗·←─".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def drawn(items: Iterable[Item], look: Look, after: Sequence[str] = ()) -> str:
    """The items one below the other, and lines that say what else is there."""
    out = StringIO()
    console = Console(
        file=out, width=look.width, force_terminal=look.colour, no_color=not look.colour, highlight=False, markup=False,
        emoji=False, color_system="standard" if look.colour else None, legacy_windows=False,
    )  # fmt: skip
    for number, item in enumerate(items):
        if number:
            console.print(Text(("─" if look.unicode else "-") * look.width, style=QUIET))
        for part in _item(item, look):
            console.print(part)
    for line in after:
        console.print(Text(line, style=QUIET))
    text = out.getvalue()
    return text if look.colour else "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def _item(item: Item, look: Look) -> Iterator[RenderableType]:
    first, *others = item.places
    places = ", ".join([first, *(f":{place.rpartition(':')[2]}" for place in others)])
    yield Text.assemble((visible(item.id), STRONG), (f"  {visible(places)}", QUIET))
    if item.problem is not None:
        yield from _problem(item.problem, item.paths, look)
    elif item.pairs:
        yield from _asked(item.pairs[0], look)
    for row in item.pairs:
        yield Text()
        yield from _pair(row, item.id, look)
    if item.missing:
        yield Text()
        yield from (look.text(reason_text(row, item.id)) for row in item.missing)
    yield Text()


def _asked(row: Mapping[str, Any], look: Look) -> Iterator[Text]:
    """The question of a pair, or its prompt in whichever form it has."""
    asked = row.get("question") or row.get("prompt") or ""
    if isinstance(asked, str):
        yield look.text(asked.strip())
        return
    for message in asked:
        yield Text.assemble((f"{message['role']}: ", QUIET), look.text(str(message["content"])))


def _problem(problem: Problem, only: set[str] | None, look: Look) -> Iterator[RenderableType]:
    yield look.text(problem.question.strip())
    for letter, choice in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", problem.choices or [], strict=False):
        yield Text.assemble(f"  {letter}) ", look.text(choice))
    more = problem.model_extra or {}
    told = [f"right answer {problem.answer}"] if problem.answer is not None else []
    told += [f"task {problem.task}"]
    told += [f"{name} {more[name]}" for name in ("split", "subject") if isinstance(more.get(name), str)]
    told += [f"{problem.drawn} drawn in all"] if problem.drawn else []
    yield look.text(look.dot.join(told), QUIET)
    if problem.tests is not None:
        yield from _tests(problem.tests, look)
    paths = [path for path in problem.paths if only is None or path.id in only]
    if problem.solution and not any(path.source == "gold" for path in problem.paths):
        yield Text("gold solution:", style=QUIET)
        yield from (Text.assemble("  ", look.text(step)) for step in problem.solution)
    if problem.root is not None:
        yield Text.assemble("before the first step: ", look.mark(problem.root.hard), f" {label_text(problem.root)}")
    if problem.tree is not None:
        states, searches = len(problem.tree.states), len(problem.tree.searches)
        yield Text(f"search tree: {many(states, 'state')}, {many(searches, 'search', 'searches')}", style=QUIET)
    for path in paths:
        yield Text()
        yield from _path(path, problem.id, look)
    if only is not None and len(paths) < len(problem.paths):
        yield Text()
        yield Text(f"{len(paths)} of {many(len(problem.paths), 'path')} of this problem", style=QUIET)


def _tests(tests: Mapping[str, Any], look: Look) -> Iterator[Text]:
    """The tests of a program, the first ones without --full."""
    code = next((value for value in tests.values() if isinstance(value, list)), [])
    shown = code if look.full else code[:3]
    yield from (Text.assemble("  ", look.text(str(line), QUIET)) for line in shown)
    if len(shown) < len(code):
        yield Text(f"  ... {many(len(code) - len(shown), 'more test')} (--full)", style=QUIET)


def _path(path: Path, problem: str, look: Look) -> Iterator[RenderableType]:
    view = PathView.of(path, look.pass_score)
    yield Text.assemble(
        (f"{visible(short(path.id, problem))} ", STRONG), _verdict(path, look),
        (look.dot + look.dot.join(facts(path)), QUIET),
    )  # fmt: skip
    for note in notes(view):
        yield Text.assemble("   ", look.text(note, OPEN))
    yield _steps(view, look)
    for name, scores in (path.scores or {}).items():
        values = ", ".join(f"{key} {_score(getattr(scores, key))}" for key in ("mean", "min", "product", "last"))
        yield Text(f"   {visible(name)}: {values} (ranked by {scores.chosen('auto')})", style=QUIET)


def _verdict(path: Path, look: Look) -> Text:
    """Right or wrong, and the answer or how the program's check ended."""
    said = {True: "right", False: "wrong", None: "not judged"}[path.correct]
    result = f", answer {path.answer}" if path.answer is not None else "" if path.outcome else ", no answer"
    result += f", {path.outcome}" if path.outcome else ""
    style = _STYLES[path.correct]
    return Text.assemble(look.mark(path.correct), (f" {said}", style), look.text(result, style))


def _steps(view: PathView, look: Look) -> Table:
    """The path's text, a row per step with what is known of it, and the lines between the steps."""
    names = list(view.path.scores or {})
    labelled = view.path.labels is not None
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(justify="right", min_width=4)
    table.add_column()
    table.add_column(overflow="fold", min_width=20)
    heads = [*(["hits/draws"] if labelled else []), *map(visible, names)]
    for _ in heads:
        table.add_column(justify="right", no_wrap=True, overflow="ellipsis")
    if heads:
        table.add_row("", "", "", *(Text(head, style=QUIET) for head in heads))
    for piece in pieces(view.path):
        if piece.step is None:
            table.add_row("", "", look.text(piece.text, QUIET))
            continue
        step, verdict = view.steps[piece.step], view.verdicts[piece.step]
        known = labelled or bool(step.passed)
        text = look.text(piece.text, _STYLES[verdict] if known else "")
        if piece.step == view.first_error:
            text.append("  ← first wrong step" if look.unicode else "  <- first wrong step", style=f"{STRONG} {WRONG}")
        cells = [Text(step.label, style=_STYLES[step.right])] if labelled else []
        cells += [_score_cell(step, name) for name in names]
        table.add_row(str(piece.step + 1), look.mark(verdict) if known else "", text, *cells)
        if look.rollouts and view.path.labels is not None:
            for line in _rollouts(view.path.labels[piece.step], look):
                table.add_row("", "", line)
    return table


def _score_cell(step: Step, name: str) -> Text:
    passed = step.passed.get(name)
    return Text(
        _score(step.scores[name]) + ("!" if step.odd(name) else ""), style="" if passed is None else _STYLES[passed]
    )


def _score(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 or value == 0 else f"{value:.0e}"


def _rollouts(label: StepLabel, look: Look) -> Iterator[Text]:
    """The answers of a step's rollouts with how often each was given, and the texts that were kept."""
    answers = Counter((rollout.correct, _answer(rollout)) for rollout in label.rollouts)
    if answers:
        parts = [
            Text.assemble(look.mark(correct), " ", look.text(answer, QUIET), (f" ({count})", QUIET))
            for (correct, answer), count in sorted(answers.items(), key=lambda each: (not each[0][0], -each[1]))
        ]
        yield Text.assemble(("rollouts: ", QUIET), Text(", ", style=QUIET).join(parts))
    for rollout in label.rollouts:
        if rollout.text is not None:
            yield Text.assemble(look.mark(rollout.correct), (" kept: ", QUIET), look.text(rollout.text.strip(), QUIET))


def _answer(rollout: Rollout) -> str:
    said = rollout.answer or rollout.outcome or "no answer"
    return f"{said} (cut off)" if rollout.finish == "length" else said


def _pair(row: Mapping[str, Any], problem: str, look: Look) -> Iterator[RenderableType]:
    """A pair: what both sides share, once, and the two branches, beside each other if they are narrow enough."""
    title = [short(str(row["id"]), problem).replace(">", " above #")] if row.get("id") else ["pair"]
    title += [f"by {row['rule']}"] if row.get("rule") else []
    yield Text(visible(look.dot.join(title)), style=STRONG)
    parts = branches(str(row.get("prefix", "")), row["chosen"], row["rejected"])
    for line in parts.shared:
        yield Text.assemble("    ", look.text(line, QUIET))
    sides = [_side(row, name, lines, look) for name, lines in (("chosen", parts.chosen), ("rejected", parts.rejected))]
    half = look.width // 2 - 1
    if all(line.cell_len <= half for side in sides for line in side):
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=half)
        table.add_column(width=half)
        for i in range(max(map(len, sides))):
            table.add_row(*(side[i] if i < len(side) else "" for side in sides))
        yield table
        return
    for side in sides:
        yield from side


def _side(row: Mapping[str, Any], name: str, lines: list[str], look: Look) -> list[Text]:
    """The heading of a branch, and its lines marked + or -, as in a comparison of two files."""
    sign, style = ("+", RIGHT) if name == "chosen" else ("-", WRONG)
    correct = row.get(f"{name}_correct")
    known = {True: "right", False: "wrong"}.get(correct) if isinstance(correct, bool) else None
    told = [name, *([known] if known else [])]
    told += [f"score {_score(row[f'{name}_score'])}"] if isinstance(row.get(f"{name}_score"), float) else []
    told += ["cut off"] if row.get(f"{name}_finish") == "length" else []
    head = Text(f"  {sign} {', '.join(told)}", style=f"{STRONG} {style}")
    return [head, *(Text.assemble((f"  {sign} ", style), look.text(line)) for line in lines)]
