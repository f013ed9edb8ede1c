"""How a model is trained, and the further settings of each training stage.

TrainSettings(epochs=2, lr=5e-4, batch=32)              # full fine-tuning, fp32 (bf16 autocast where the GPU has it)
TrainSettings(lora=True, lora_r=256, lora_alpha=128)    # an adapter, kept as one unless merge=True
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from evals.errors import UsageError
from stages.settings.declare import Panel, check_bounds, setting
from stages.settings.files import check_calibrate
from stages.settings.labels import LABELS
from stages.settings.model import ModelSettings
from stages.settings.tracking import TrackingSettings

FREE = ("device", "save_steps", "logging_steps", "gradient_checkpointing", "log_to")
"""Changing these does not change the model, so a resumed run may."""
NllTokens = Literal["completion", "all"]
"""Tokens of a chosen text that its negative log-likelihood is the mean over."""
NAMED = ("template", "chat_arg", "revision")
"""What these lead to is in a run's name by its hash: a rendered prompt, the model's commit."""


@dataclass(frozen=True)
class TrainSettings(TrackingSettings, ModelSettings):
    """How to train. `warmup` below 1 is a share of all updates, else a number of them; `max_length` is in tokens.

    Raises:
        UsageError: a value out of range, or two that contradict each other.
    """

    epochs: float = setting(3.0, "Passes over the training data.", low=0.0)
    lr: float = setting(1e-4, "Peak learning rate.", low=0.0)
    batch: int = setting(8, "Examples per device and step.", low=1)
    accumulation: int = setting(1, "Steps whose gradients make one update.", low=1)
    max_length: int = setting(
        1024, "Maximum length of prompt and completion together, in tokens; longer examples are left out.", low=1
    )
    lora: bool = setting(False, "Train a LoRA adapter instead of all weights.", flags=("--lora/--no-lora",))
    merge: bool = setting(
        False, "Write the full model, with the adapter merged into it.", flags=("--merge/--no-merge",)
    )
    seed: int = setting(42, "Seed of every random choice.", low=0, source="authors' code of arXiv 2412.08393")
    schedule: Literal["linear", "cosine", "constant"] = setting(
        "linear", "How the learning rate changes after the warm-up.", panel=Panel.MORE
    )
    warmup: float = setting(
        0.1,
        "Length of the warm-up: a share of all updates if below 1, else a number of them.",
        low=0.0,
        panel=Panel.MORE,
    )
    weight_decay: float = setting(0.0, "Decoupled weight decay.", low=0.0, panel=Panel.MORE)
    max_grad_norm: float = setting(
        1.0, "Maximum norm of the gradients; larger ones are clipped.", low=0.0, panel=Panel.MORE
    )
    packing: bool = setting(
        False, "sft: pack several examples into one row.", flags=("--packing/--no-packing",), panel=Panel.MORE
    )
    group_by_length: bool = setting(False, "Batch examples of similar length, for less padding.", panel=Panel.MORE)
    lora_r: int = setting(16, "Rank of the adapter.", low=1, panel=Panel.MORE)
    lora_alpha: int = setting(32, "Scale of the adapter, divided by its rank.", low=1, panel=Panel.MORE)
    lora_dropout: float = setting(0.05, "Dropout on the adapter's input.", low=0.0, high=1.0, panel=Panel.MORE)
    gradient_checkpointing: bool = setting(False, "Save memory by computing activations twice.", panel=Panel.MORE)
    save_steps: int = setting(500, "Updates between two checkpoints.", low=1, panel=Panel.MORE)
    logging_steps: int = setting(10, "Updates between two lines of the history.", low=1, panel=Panel.MORE)
    keep: Literal["last", "best"] = setting(
        "last", "Weights to keep: the last, or those with the lowest held-out loss.", panel=Panel.MORE
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        for name in ("epochs", "lr"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"--{name} is {getattr(self, name)}; it must be above 0")
        for name in ("warmup", "weight_decay", "max_grad_norm"):
            if not getattr(self, name) < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} is {getattr(self, name)}; it must be finite")
        if not self.lora_dropout < 1:
            raise UsageError(f"--lora-dropout is {self.lora_dropout:g}; it must be below 1")
        if self.load_in_4bit and not self.lora:
            raise UsageError("4-bit weights cannot be trained themselves", "Add --lora.")
        if self.merge and not self.lora:
            raise UsageError("there is no adapter to merge", "Use --merge together with --lora.")
        if self.packing and self.group_by_length:
            raise UsageError("packed rows all have the same length", "Leave out --packing or --group-by-length.")
        if ":" in self.device:
            raise UsageError(
                f"training does not take a single device ({self.device})",
                "Choose it through CUDA_VISIBLE_DEVICES instead.",
            )

    def identity(self) -> dict[str, Any]:
        """The settings that decide which model comes out, for comparison on resume."""
        return {name: value for name, value in asdict(self).items() if name not in (*FREE, *NAMED)}


def _check_share(share: float) -> None:
    if not 0 <= share < 1:
        raise UsageError(f"the held-out share is {share}", "Give a share of at least 0 and below 1.")


@dataclass(frozen=True)
class OwnPaths:
    """Which of a problem's paths a policy is fine-tuned on: right ones, each reasoning once.

    Args:
        name: key of scores, the lowest of which must be at least `least`; None: every right path.
        gold: learn the gold solutions as well.
        max_per_problem, most: how many paths at most; the seed decides which stay.
    """

    name: str | None = None
    least: float = 0.0
    gold: bool = True
    max_per_problem: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class SftSettings:
    """What a policy learns: gold solutions, or with `paths` its own right paths as well (`gold` False: alone).

    RFT (arXiv 2308.01825) is `right` with gold solutions, STaR (arXiv 2203.14465) `right` without them, on paths of
    `sample --rationalise`. `NAME:T` keeps the right paths whose every step has a score of at least T under that name:
    RFT with process feedback.

    Raises:
        UsageError: `paths` is neither, or an option that goes with it stands alone.
    """

    paths: str | None = setting(
        None,
        "Learn the right paths on the lines too: right (all of them), or NAME:T (those whose lowest step score under "
        "that name is at least T, as prm:0.5).",
        metavar="right|NAME:T",
    )
    gold: bool = setting(True, "With --paths: learn the gold solutions as well.", flags=("--gold/--no-gold",))
    max_per_problem: int | None = setting(
        None, "With --paths: maximum paths per problem; the seed decides which stay.", low=1
    )
    most: int | None = setting(None, "With --paths: maximum paths in all; the seed decides which stay.", low=1)
    loss: Literal["completion", "all"] = setting(
        "completion", "Tokens to learn: those of the solution, or those of the prompt as well.", panel=Panel.MORE
    )
    held_out: float = setting(
        0.0, "Share of the problems kept out of training, to measure the loss on after each epoch.", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        check_bounds(self)
        _check_share(self.held_out)
        alone = [name for name in ("max_per_problem", "most") if getattr(self, name) is not None]
        if self.paths is None and (alone or not self.gold):
            flag = f"--{alone[0].replace('_', '-')}" if alone else "--no-gold"
            raise UsageError(f"{flag} goes with --paths", "Add --paths right.")
        _ = self.own

    @property
    def own(self) -> OwnPaths | None:
        """The paths to learn; None: gold solutions alone.

        Raises:
            UsageError: `paths` is neither "right" nor NAME:T.
        """
        if self.paths is None:
            return None
        if self.paths == "right":
            return OwnPaths(None, 0.0, self.gold, self.max_per_problem, self.most)
        name, _, least = self.paths.rpartition(":")
        try:
            threshold = float(least)
        except ValueError:
            threshold = math.nan
        if not name or not math.isfinite(threshold):
            raise UsageError(f"--paths {self.paths!r} is neither right nor NAME:T", "For example --paths prm:0.5.")
        return OwnPaths(name, threshold, self.gold, self.max_per_problem, self.most)


@dataclass(frozen=True)
class RewardModelSettings:
    """What a reward model learns."""

    labels: str = setting("hard", f"Targets: {LABELS}")
    outcome: bool = setting(False, "Train an outcome reward model: the path's outcome is every step's target.")
    sigmoid_head: bool = setting(
        False, "Put a sigmoid between the last hidden state and the head.", panel=Panel.MORE,
        source="authors' code of arXiv 2412.08393",
    )  # fmt: skip
    held_out: float = setting(0.1, "Share of the problems kept out of training, to measure on.", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        _check_share(self.held_out)


@dataclass(frozen=True)
class OrpoSettings:
    """How preference pairs are weighed."""

    beta: float = setting(0.1, "Weight of the odds-ratio term.", low=0.0, source="arXiv 2412.08393")
    sft_weight: float = setting(1.0, "Weight of the chosen text's negative log-likelihood.", low=0.0, panel=Panel.MORE)
    nll: NllTokens = setting(
        "all", "Tokens of that likelihood: those of prompt and chosen completion, or the completion's alone.",
        panel=Panel.MORE,
    )  # fmt: skip
    held_out: float = setting(
        0.0, "Share of the problems whose pairs are kept out of training, to measure on.", low=0.0, high=1.0
    )
    max_prompt_length: int | None = setting(
        None, "Leave out pairs whose prompt is longer than this, in tokens.", low=1, panel=Panel.MORE
    )

    def __post_init__(self) -> None:
        if not 0 <= self.beta < math.inf:
            raise UsageError(f"beta is {self.beta}", "Give a weight of 0 or more; the paper uses 0.1.")
        if not 0 <= self.sft_weight < math.inf:
            raise UsageError(f"the weight of the NLL is {self.sft_weight}", "Give a weight of 0 or more; ORPO has 1.")
        if not self.beta and not self.sft_weight:
            raise UsageError("both terms of the loss weigh 0", "Give --beta or --sft-weight a value above 0.")
        _check_share(self.held_out)


@dataclass(frozen=True)
class DpoSettings:
    """How preference pairs are weighed by DPO."""

    beta: float = setting(
        0.1, "How strongly the policy is held to the model it starts from.", low=0.0, source="arXiv 2305.18290"
    )
    sft_weight: float = setting(
        0.0, "Weight of the chosen path's negative log-likelihood; 1 is RPO.", low=0.0, source="arXiv 2404.19733"
    )
    held_out: float = setting(
        0.0, "Share of the problems whose pairs are kept out of training, to measure on.", low=0.0, high=1.0
    )
    max_prompt_length: int | None = setting(
        None, "Leave out pairs whose prompt is longer than this, in tokens.", low=1, panel=Panel.MORE
    )

    def __post_init__(self) -> None:
        if not 0 < self.beta < math.inf:
            raise UsageError(f"beta is {self.beta}", "Give a weight above 0, as 0.1.")
        if not 0 <= self.sft_weight < math.inf:
            raise UsageError(f"the weight of the likelihood is {self.sft_weight}", "Give a weight of 0 or more.")
        _check_share(self.held_out)


@dataclass(frozen=True)
class TrainingFiles:
    """How a training stage treats its input and output."""

    strict: bool = setting(False, "Stop at the first bad line instead of skipping it.", panel=Panel.FILES)
    overwrite: bool = setting(False, "Start over, replacing the model and any unfinished run.", panel=Panel.FILES)
    dry_run: bool = setting(False, "Show what would be done, then stop.", panel=Panel.FILES)
    calibrate: int | None = setting(
        None, "With --dry-run: time this many updates on typical batches and one on the longest, keep no weights, and "
        "estimate tokens, seconds and memory of the whole run.", low=2, panel=Panel.FILES,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_calibrate(self.calibrate, self.dry_run)
