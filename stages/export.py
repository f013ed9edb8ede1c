"""Lines for other tools: step labels, pairs and demonstrations, in the forms of `evals.datasets.other_forms`.

    {"prompt": "Question: ...\\nAnswer:\\n", "completions": ["first step", "second step"], "labels": [true, false],
     "id": "chain/train/0#3"}

Step labels are true or false (hard), shares (soft, advantage), or null where unknown: steps that the draws do not
decide, and steps after the first wrong one that a person marked. A form without null gets the steps before the first
unknown one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from evals.datasets.other_forms import UNKNOWN, pair_row, sft_row, step_fault, step_row
from evals.errors import DataError
from evals.records import Path, Problem, StepLabel
from evals.tasks import check_steps, task_of
from stages.files.problems import read_problems
from stages.files.reading import BadLines
from stages.files.records import Place, RecordReader
from stages.models.templates import exported_prompt
from stages.runs.whole_file import WholeFile
from stages.settings.export import PairFormSettings, SftFormSettings, StepwiseSettings
from stages.settings.labels import LabelKind
from stages.training.pair_rows import parse_pair, problem_in
from stages.training.sft_rows import Line, parse_line
from stages.training.step_targets import path_targets

T = TypeVar("T")


def export_stepwise(
    source: str,
    output: str,
    bad: BadLines,
    settings: StepwiseSettings,
    *,
    overwrite: bool = False,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Write every labelled path as one line.

    Args:
        source: lines with paths.
        bad: receives the bad lines.
        settings: which labels, which form, and which prompt ("chat": messages; "auto": the task's first template).

    Returns:
        Counts: paths and steps written, what was left out and why, and bad lines.

    Raises:
        UsageError: the output belongs to another run.
        DataError: there is nothing to write; or a bad line, if `bad` is strict.
    """
    kind = LabelKind.parse(settings.labels)
    counts: Counter[str] = Counter({"paths": 0, "steps": 0})

    def check(problem: Problem) -> None:
        check_steps(problem)
        exported_prompt(problem, settings.template)

    def rows() -> Iterator[dict[str, Any]]:
        for problem in read_problems(source, bad, check=check):
            yield from _step_rows(problem, kind, settings, counts)
        if not counts["paths"]:
            raise bad.first or DataError("no path is labelled", "Run sipf simulate on the lines first.")

    options = {"format": "stepwise", **asdict(settings)}
    if settings.form == StepwiseSettings.form:
        del options["form"]  # earlier releases had no other
    return WholeFile("export", source, output, options, overwrite, manifest).write(rows(), counts, bad).summary()


def export_pairs(
    source: str,
    output: str,
    bad: BadLines,
    settings: PairFormSettings,
    *,
    overwrite: bool = False,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Write preference pairs of any form that `orpo` reads in the form asked for; see `export_stepwise`."""
    counts: Counter[str] = Counter(pairs=0)

    def parse(row: Any, _: Place) -> dict[str, Any]:
        line = parse_pair(row)
        problem = problem_in(line)
        if problem is not None:
            exported_prompt(problem, _template(settings))  # refuses a template that the task has not
        return line

    def rows() -> Iterator[dict[str, Any]]:
        for line in bad.good(RecordReader(source, parse)):
            counts["pairs"] += 1
            yield _pair(line, settings, counts)
        _refuse_nothing(counts["pairs"], bad, "pair")

    options = {"format": "pairs", **asdict(settings)}
    return WholeFile("export", source, output, options, overwrite, manifest).write(rows(), counts, bad).summary()


def export_sft(
    source: str,
    output: str,
    bad: BadLines,
    settings: SftFormSettings,
    *,
    overwrite: bool = False,
    manifest: str | None = None,
) -> dict[str, Any]:
    """Write gold solutions, and demonstrations of any form that `sft` reads, in the form asked for; see
    `export_stepwise`. A conversation with several turns of the assistant becomes a row per turn."""
    counts: Counter[str] = Counter(rows=0)

    def parse(row: Any, place: Place) -> Line:
        line = parse_line(row, place, source)
        if isinstance(line, Problem):
            exported_prompt(line, _template(settings))  # refuses a template that the task has not
        return line

    reader: RecordReader[Line] = RecordReader(
        source, parse, id_of=lambda line: line.id if isinstance(line, Problem) else None
    )

    def rows() -> Iterator[dict[str, Any]]:
        for line in bad.good(reader):
            for prompt, text in _solution(line, settings, counts) if isinstance(line, Problem) else line.turns:
                counts["rows"] += 1
                yield sft_row(settings.form, prompt, text)
        _refuse_nothing(counts["rows"], bad, "solution")

    options = {"format": "sft", **asdict(settings)}
    return WholeFile("export", source, output, options, overwrite, manifest).write(rows(), counts, bad).summary()


def _refuse_nothing(written: int, bad: BadLines, what: str) -> None:
    if not written:
        raise bad.first or DataError(f"there is no {what} to write", "Is it the right file?")


def _step_rows(
    problem: Problem, kind: LabelKind, settings: StepwiseSettings, counts: Counter[str]
) -> Iterator[dict[str, Any]]:
    for path in problem.paths:
        if not path.steps:
            counts["left out: no steps"] += 1
            continue
        labels = step_labels(path, kind, problem.root)
        if labels is None:
            counts["left out: not labelled"] += 1
            continue
        if settings.form not in UNKNOWN and None in labels:
            counts["steps left out: from the first unknown one on"] += len(labels) - labels.index(None)
            labels = labels[: labels.index(None)]
        why = step_fault(settings.form, problem.question, path.steps) if labels else "its first step has no label"
        if why is not None:
            counts[f"left out: {why}"] += 1
            continue
        counts["paths"] += 1
        counts["steps"] += len(labels)
        counts["steps without a label"] += labels.count(None)
        prompt = exported_prompt(problem, settings.template) if settings.form == "trl" else ""
        yield step_row(
            settings.form, problem.question, path.steps[: len(labels)], labels,
            prompt=prompt, id=path.id, task=problem.task, answer=problem.answer, correct=path.correct,
        )  # fmt: skip


def step_labels(path: Path, kind: LabelKind, root: StepLabel | None = None) -> list[bool | float | None] | None:
    """One label per step, None where it is not known; None for a path without labels.

    A person's first wrong step says that the steps before it are right, and nothing about those after it.
    """
    if path.labels is not None:
        targets = path_targets(kind, path.labels, root)
        return [value if value is None or kind.name in ("soft", "advantage") else bool(value) for value in targets]
    if path.first_error is None:
        return None
    if path.first_error < 0:
        return [True] * len(path.steps)
    after = len(path.steps) - path.first_error - 1
    return [*[True] * path.first_error, False, *[None] * after]


def _pair(line: Mapping[str, Any], settings: PairFormSettings, counts: Counter[str]) -> dict[str, Any]:
    problem = problem_in(line)
    prompt: Any = line.get("prompt")
    if problem is not None and (not prompt or _template(settings) != PairFormSettings.template):
        prompt = exported_prompt(problem, _template(settings))
    chosen, rejected, prefix = line["chosen"], line["rejected"], line.get("prefix") or ""
    if prefix and isinstance(prompt, str) and settings.form != "ms-swift":
        prompt += prefix
        counts["prefixes in the prompt"] += 1
    elif prefix:
        chosen, rejected = prefix + chosen, prefix + rejected
        counts["prefixes in both sides"] += 1
    counts["sides that were cut off"] += [line.get("chosen_finish"), line.get("rejected_finish")].count("length")
    return pair_row(settings.form, prompt, chosen, rejected)


def _solution(
    problem: Problem, settings: SftFormSettings, counts: Counter[str]
) -> Iterator[tuple[str | list[dict[str, str]], str]]:
    text = task_of(problem).gold_text(problem)
    if text:
        yield exported_prompt(problem, _template(settings)), text
    else:
        counts["left out: no solution"] += 1


def _template(settings: PairFormSettings | SftFormSettings) -> str:
    return "chat" if settings.form == "ms-swift" and settings.template == "auto" else settings.template
