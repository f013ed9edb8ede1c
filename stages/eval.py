"""eval: answer every problem and judge the answers, or judge existing answers.

    {"id": "gsm8k/test/17", ...}  ->  the same line with "paths": [{"id": "gsm8k/test/17#0", "source": "eval", ...}]

The results are computed from the output (stages/joins/results.py), so a resumed run reports on all of its lines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from evals.reading.letters import LETTERS
from evals.records import Path, Problem
from evals.rules import AnswerRule
from evals.tasks import check_problem, task_of
from evals.tasks.base import Chooser, ProgramTask, Task, Verdict
from evals.tasks.prompts import PromptChoice
from stages.counts import Count, Tally, right_share
from stages.engines.base import Completion, Draw, Engine, Request, generate
from stages.engines.paths import to_path
from stages.joins.earlier_paths import EarlierPaths
from stages.joins.saved_answers import SavedAnswers
from stages.runs.stage import Stage
from stages.runs.verdicts import Verdicts, write_verdict
from stages.seeds import seed_of
from stages.settings.evaluation import EvalSettings


@dataclass(frozen=True)
class Evaluation(Stage):
    """Answers one problem per call; many calls may run at once."""

    engine: Engine
    settings: EvalSettings
    prompts: PromptChoice = field(default_factory=PromptChoice)
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)
    name: ClassVar[str] = "eval"

    def options(self) -> dict[str, Any]:
        """The settings, and how problems are prompted."""
        return {**super().options(), **self.prompts.describe()}

    def check(self, problem: Problem) -> None:
        """Refuse a problem that cannot be judged under the answer rule."""
        check_problem(problem, self.settings.answer_rule)

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Answers to be written."""
        return {"answers": self.settings.n}

    def live(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The share of right answers."""
        return right_share(counts)

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Replace the problem's paths by `n` judged answers, or by the likeliest choice where the task asks for it."""
        task = task_of(problem)
        problem.prompting = self.prompts.of(problem)
        if isinstance(task, Chooser) and (choices := task.continuations(problem)):
            problem.paths = [await self._chosen(task, problem, choices)]
            _show(problem.paths, tally)
            tally.count("answers")
            tally.count("choices compared", len(choices))
            return [problem]
        completions = await self._written(task, problem)
        texts, rule = [completion.text for completion in completions], self.settings.answer_rule
        verdicts = await self.verdicts.of_all(task, problem, texts, rule=rule, tally=tally)
        drawn = enumerate(zip(completions, verdicts, strict=True))
        problem.paths = [to_path(task, problem, c, verdict, i, "eval", 0) for i, (c, verdict) in drawn]
        _show(problem.paths, tally)
        tally.count("answers", len(completions))
        tally.count(Count.TOKENS, sum(completion.tokens for completion in completions))
        tally.count("unfinished answers", sum(completion.finish == "length" for completion in completions))
        tally.count("answers that could not be read", _unread(problem.paths))
        return [problem]

    async def _written(self, task: Task, problem: Problem) -> list[Completion]:
        settings, prompting = self.settings, problem.prompting
        seeds = [seed_of("eval", problem.id, settings.seed, i) for i in range(settings.n)]
        draws = tuple(Draw(seed, settings.temperature) for seed in seeds)
        stop = task.stop if prompting is None or prompting.stop is None else prompting.stop
        request = Request(problem, draws, "", settings.top_p, settings.max_tokens or task.max_tokens, stop)
        return await generate(self.engine, request)

    async def _chosen(self, task: Chooser, problem: Problem, choices: list[str]) -> Path:
        """The likeliest choice as a path; the first of equally likely ones."""
        likelihoods = await self.engine.loglikelihood(problem, choices)
        best = max(range(len(choices)), key=likelihoods.__getitem__)
        verdict = task.judge(problem, choices[best])
        return Path.model_validate({
            "id": f"{problem.id}#0", "source": "eval", "text": choices[best], "steps": [],
            "answer": verdict.answer, "correct": verdict.correct,
            "loglikelihoods": dict(zip(LETTERS, likelihoods, strict=True)),
        })  # fmt: skip


@dataclass(frozen=True)
class Judging(Stage):
    """Judges existing answers; no model is used.

    Args:
        source: the file with the answers, for the manifest.
        answers: where a problem's answers come from; None: they are on its line.
        rule: by which they are read and compared.
        clean: run programs without the prose, tokens and broken ends around them; the paths' texts stay as they are.
    """

    source: str
    answers: EarlierPaths | SavedAnswers | None = None
    rule: AnswerRule = "robust"
    clean: bool = False
    verdicts: Verdicts = field(default_factory=Verdicts, kw_only=True)
    name: ClassVar[str] = "eval"

    def options(self) -> dict[str, Any]:
        """The file of answers, and how they are read."""
        return {"from": self.source, "answer_rule": self.rule, **({"clean": True} if self.clean else {})}

    def check(self, problem: Problem) -> None:
        """Refuse a problem that cannot be judged under the answer rule."""
        check_problem(problem, self.rule)

    def estimate(self, problem: Problem) -> dict[str, int]:
        """Answers on the line."""
        return {"answers on the lines": len(problem.paths)}

    def live(self, counts: Mapping[str, int]) -> dict[str, float]:
        """The share of right answers."""
        return right_share(counts)

    def begin(self, problem: Problem, tally: Tally) -> None:
        """Add the answers from the other file."""
        if self.answers is not None:
            self.answers.join(problem, tally)

    def for_replica(self) -> Judging:
        """See `Stage.for_replica`."""
        return replace(self, answers=None)

    async def __call__(self, problem: Problem, tally: Tally) -> list[Problem]:
        """Judge every path again except gold ones, and set its source to "eval"."""
        self.begin(problem, tally)
        task = task_of(problem)
        paths = [path for path in problem.paths if path.source != "gold"]
        tally.count("gold paths left out", len(problem.paths) - len(paths))
        tally.count("problems without an answer", not paths)
        texts = [path.text for path in paths]
        if self.clean and isinstance(task, ProgramTask):
            texts = [task.cleaned(problem, text) for text in texts]
        verdicts = await self.verdicts.of_all(task, problem, texts, rule=self.rule, tally=tally)
        problem.paths = [_judged(task, path, verdict) for path, verdict in zip(paths, verdicts, strict=True)]
        _show(problem.paths, tally)
        tally.count("answers", len(paths))
        tally.count("answers that could not be read", _unread(problem.paths))
        return [problem]


def _judged(task: Task, path: Path, verdict: Verdict) -> Path:
    """The path as it was written, with this verdict replacing any that it had."""
    kept = path.model_dump(exclude_unset=True, exclude={"answer", "correct", "match", "outcome", "failure", "weak"})
    steps = path.steps or task.split(path.text).steps
    made = Path.model_validate({**kept, "source": "eval", "steps": steps})
    write_verdict(verdict, made)
    return made


def _show(paths: list[Path], tally: Tally) -> None:
    tally.show_verdicts(sum(bool(path.correct) for path in paths), len(paths))


def _unread(paths: list[Path]) -> int:
    """Answers that no rule could read; a program has an outcome instead."""
    return sum(path.answer is None and path.outcome is None for path in paths)
