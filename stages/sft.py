"""Supervised fine-tuning on gold solutions (the paper's M0), on a policy's own right paths, or on anybody's
demonstrations, with TRL's SFTTrainer.

    run_sft(problems, model="chain-base", out="runs/m0", options=TrainSettings(epochs=2, lr=5e-4, batch=32))
    run_sft(sampled, model="chain-base", out="runs/rft", options=..., own=OwnPaths())     # RFT, see `SftSettings`

The loss is on the solution alone, or on the prompt as well. Rows are tokenised here, by the same `Prompter` that
samples, so TRL neither adds a BOS nor drops a row silently.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evals.datasets import gsm8k
from evals.datasets.demonstrations import Demonstration, demonstration, is_demonstration
from evals.errors import DataError
from evals.forms import refusal
from evals.records import Problem
from evals.tasks import check_problem, task_of
from stages.files.inputs import bare_name
from stages.files.interrupts import StopFlag
from stages.files.reading import BadLines, Located, located, read_all
from stages.files.records import Place, RecordReader
from stages.models.devices import choose_device
from stages.models.prompts import Encoded, Prompter
from stages.seeds import split_problems
from stages.settings.training import OwnPaths, SftSettings, TrainSettings
from stages.training.given_prompts import Kind, kind_of_prompt, prompted
from stages.training.model_folder import Log
from stages.training.own_paths import Written, own_paths
from stages.training.run import Method, TrainingRun
from stages.training.start import check_policy_start
from stages.training.targets import IGNORED, completion_labels

Line = Problem | Demonstration
Row = dict[str, list[int]]


def run_sft(
    lines: Iterable[Line],
    *,
    model: str,
    out: str,
    options: TrainSettings,
    loss: str = SftSettings.loss,
    held_out_share: float = SftSettings.held_out,
    own: OwnPaths | None = None,
    stop: StopFlag | None = None,
    log: Log | None = None,
    overwrite: bool = False,
    bad: BadLines | None = None,
) -> dict[str, Any]:
    """Fine-tune a policy on the problems' gold solutions, on their right paths, or on demonstrations.

    Args:
        lines: problems (those without a solution are counted and left out), or demonstrations, which bring their
            prompts along.
        model: the policy to start from (folder, adapter folder, hub name or alias).
        out: folder of the new model.
        loss: "completion" or "all": on which tokens.
        held_out_share: share of problems kept out of training, to measure the loss on after each epoch.
        own: which paths to learn; None: gold solutions alone.
        bad: receives the lines that cannot be used; None: the first one is raised.
        options, stop, log, overwrite: see `TrainingRun`.

    Returns:
        The manifest: options, counts (rows, dropped by reason, and "held-out rows" where there are any), steps, final
        loss, seconds.

    Raises:
        DataError, UsageError, ModelError, Interrupted: see `TrainingRun.train`.
    """
    check_policy_start(model, options)
    bad = BadLines(strict=True) if bad is None else bad
    found, run, prompter = prompted(
        TrainingRun("sft", model, out, options, stop, log, overwrite),
        located(lines),
        kind_of_line,
        lambda line: line if isinstance(line, Problem) else None,
        bad,
    )
    train, test = split_problems(found, lambda line: _group(line[1]), options.seed, held_out_share)
    how: dict[str, Any] = {"loss": loss, "own": own, "seed": options.seed, "bad": bad}
    rows, counts = located_sft_rows(train, prompter, options.max_length, **how)
    held_out, _ = located_sft_rows(test, prompter, options.max_length, **how)
    bad.refuse_nothing(rows)
    if held_out:
        counts["held-out rows"] = len(held_out)
    method = Method(
        trainer=lambda checkpoints: sft_trainer(rows, run.tokenizer, run.base, options, checkpoints, held_out),
        kind="policy",
        advice="SFT needs problems with a solution." if own is None else "Draw more paths (sipf sample).",
        settings={"loss": loss, "held_out_share": held_out_share} | ({} if own is None else {"paths": asdict(own)}),
        held_out=held_out,
    )
    return run.train(method, prompter, rows, counts)


def read_lines(source: str, *, strict: bool = False) -> tuple[Located[Line], list[DataError]]:
    """Read what can be learnt: problems, GSM8K's own rows, and the forms of `evals.datasets.demonstrations`.

    Returns:
        The good lines, and what is wrong with each bad one.

    Raises:
        DataError: the first bad line, with `strict`; or there is no good one.
    """
    stem = bare_name(source)

    def parse(row: Any, place: Place) -> Line:
        if is_demonstration(row):
            return demonstration(row)
        if gsm8k.is_row(row):
            return gsm8k.problem(row, stem, place.row)
        try:
            problem = Problem.from_row(row)
        except DataError as error:
            raise refusal(row, error, "sipf sft") from error
        check_problem(problem)
        return problem

    reader: RecordReader[Line] = RecordReader(
        source, parse, id_of=lambda line: line.id if isinstance(line, Problem) else None
    )
    return read_all(reader, strict=strict)


def kind_of_line(line: Line) -> Kind:
    """What a line is prompted by."""
    return "problem" if isinstance(line, Problem) else kind_of_prompt(line.prompt)


def _group(line: Line) -> str:
    """What is held out together: a problem, or all that begins alike."""
    if isinstance(line, Problem):
        return line.id
    return line.prompt if isinstance(line.prompt, str) else json.dumps(line.prompt)


def sft_rows(
    lines: Iterable[Line],
    prompter: Prompter,
    max_length: int,
    loss: str = SftSettings.loss,
    own: OwnPaths | None = None,
    seed: int = TrainSettings.seed,
    *,
    bad: BadLines | None = None,
) -> tuple[list[Row], Counter[str]]:
    """Training rows of the lines that can be trained on: first those of problems, then those of demonstrations.

    Returns:
        Rows {"input_ids", "labels"} (labels: EOS included, -100 on the prompt unless the loss is on "all"), and counts:
        "rows", "no solution", "too long" (more than `max_length` tokens), and those of `own_paths`.

    Raises:
        DataError: `file:line: ...` of the first line that cannot be used, without `bad`.
    """
    bad = BadLines(strict=True) if bad is None else bad
    return located_sft_rows(located(lines), prompter, max_length, loss, own, seed, bad)


def located_sft_rows(
    lines: Sequence[tuple[str, Line]],
    prompter: Prompter,
    max_length: int,
    loss: str,
    own: OwnPaths | None,
    seed: int,
    bad: BadLines,
) -> tuple[list[Row], Counter[str]]:
    """`sft_rows` of lines with their places."""
    rows: list[Row] = []
    counts: Counter[str] = Counter(rows=0)
    for encoded in (*_of_problems(lines, prompter, own, seed, counts, bad), *_of_demonstrations(lines, prompter, bad)):
        if len(encoded.ids) > max_length:
            counts["too long"] += 1
            continue
        counts["rows"] += 1
        rows.append(
            {"input_ids": encoded.ids, "labels": list(encoded.ids) if loss == "all" else completion_labels(encoded)}
        )
    return rows, counts


def _of_problems(
    lines: Sequence[tuple[str, Line]],
    prompter: Prompter,
    own: OwnPaths | None,
    seed: int,
    counts: Counter[str],
    bad: BadLines,
) -> Iterator[Encoded]:
    problems = [line for _, line in lines if isinstance(line, Problem)]
    places = {line.id: place for place, line in lines if isinstance(line, Problem)}
    for written in _gold(problems, counts) if own is None else own_paths(problems, own, seed, counts):
        try:
            yield prompter.encode(written.problem, written.text, end=written.ended)
        except DataError as error:
            place = places.pop(written.problem.id, None)
            if place is not None:  # one bad line, however many of its paths there are
                bad.add(error.at(place))


def _of_demonstrations(lines: Sequence[tuple[str, Line]], prompter: Prompter, bad: BadLines) -> Iterator[Encoded]:
    for place, line in lines:
        if isinstance(line, Demonstration):
            try:
                encoded = [prompter.encode_raw(prompt, text, end=True) for prompt, text in line.turns]
            except DataError as error:
                bad.add(error.at(place))
                continue
            yield from encoded


def _gold(problems: Iterable[Problem], counts: Counter[str]) -> Iterable[Written]:
    for problem in problems:
        text = task_of(problem).gold_text(problem)
        if text:
            yield Written(problem, text)
        else:
            counts["no solution"] += 1


def sft_trainer(
    rows: list[dict[str, list[int]]],
    tokenizer: Any,
    model: str,
    options: TrainSettings,
    output_dir: str,
    held_out: Sequence[dict[str, list[int]]] = (),
) -> Any:
    """TRL's SFTTrainer over rows that are tokenised already."""
    from datasets import Dataset, disable_progress_bars
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from stages.training.token_scores import score_tokens
    from stages.training.trainer import Guarded, configured
    from stages.training.weights import POLICY, load_trainable

    policy = load_trainable(model, POLICY, options)
    # On a GPU TRL has kernels of its own that hold no more than this; elsewhere it holds a quarter of all logits, of
    # prompts and padding as well, and several copies of them.
    ours = not choose_device(options.device).startswith("cuda") and score_tokens(policy, ("entropy", "top1"))

    class Trainer(Guarded, SFTTrainer):  # type: ignore[misc]  # TRL is untyped
        def compute_loss(
            self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
        ) -> Any:
            """TRL's, from log-probabilities in chunks where those are at hand."""
            if not ours or return_outputs:
                whole: Any = super()
                return whole.compute_loss(model, inputs, return_outputs, num_items_in_batch)
            learnt = inputs["labels"][:, 1:] != IGNORED
            given = {key: value for key, value in inputs.items() if key != "labels"}
            scores = model(**given, targets=inputs["labels"])
            items = learnt.sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
            self._note("train" if model.training else "eval", learnt.sum(), scores, given)
            loss = -scores.log_probs.sum() / items
            return loss if num_items_in_batch is None else loss * self.accelerator.num_processes

        def _note(self, kind: str, learnt: Any, scores: Any, given: Mapping[str, Any]) -> None:
            """Keep what TRL logs beside the loss."""
            tokens = given["attention_mask"].sum() if "attention_mask" in given else given["position_ids"].numel()
            sums = [learnt, scores.entropy.sum(), scores.top1.sum(), tokens]
            total = self.accelerator.reduce(scores.entropy.new_tensor(sums), "sum").tolist()
            if kind == "train":
                self._total_train_tokens += int(total[3])
            noted = self._metrics[kind]
            noted["entropy"].append(total[1] / max(total[0], 1))
            noted["mean_token_accuracy"].append(total[2] / max(total[0], 1))
            noted["num_tokens"] = [self._total_train_tokens]

        @staticmethod
        def weightless(row: Mapping[str, Any]) -> dict[str, Any]:
            """The row without a label."""
            return {**row, "labels": [IGNORED] * len(row["labels"])}

    disable_progress_bars()
    return Trainer(
        model=policy,
        args=configured(
            SFTConfig,
            options,
            output_dir,
            max_length=options.max_length,
            packing=options.packing,
            # Rows are ready; only packing is left to TRL.
            dataset_kwargs=None if options.packing else {"skip_prepare_dataset": True},
        ),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(list(held_out)) if held_out else None,
        processing_class=tokenizer,
        grouped=options.group_by_length,
    )
