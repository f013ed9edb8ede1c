"""Groups of options that several commands share, each written once as a dataclass.

    @app.command()
    @expanded
    def score(lines: o.Input, output: o.Output, engine: EngineOptions, console: ConsoleOptions) -> None: ...

`expanded` gives Typer a signature in which every field of a group is an option of its own; the command gets the group.
A help lists the command's own options first, then those of the groups.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from sipf_cli import options as o

if TYPE_CHECKING:
    from stages.engines.opening import EngineSettings
    from stages.runs.runner import LineRun
    from stages.settings.checks import CheckSettings
    from stages.training.options import TrainOptions


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """The function with each parameter that is a group replaced by the group's fields, as keyword parameters."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    own, shared = [], []
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in groups:
            own.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        inside = get_type_hints(groups[name], include_extras=True)
        shared += [
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=inside[f.name])
            for f in fields(groups[name])
        ]

    @wraps(function)
    def command(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{f.name: given.pop(f.name) for f in fields(group)})
        function(**given)

    command.__signature__ = inspect.Signature(own + shared)  # type: ignore[attr-defined]  # inspect reads it
    return command


@dataclass(frozen=True)
class ConsoleOptions:
    """How the command takes its settings and speaks."""

    config: o.Config = None
    preset: o.Preset = None
    json: o.Json = False
    debug: o.Debug = False


@dataclass(frozen=True)
class LineOptions:
    """How a run over lines treats its input and output."""

    shard: o.Shard = None
    strict: o.Strict = False
    skip_failed: o.SkipFailed = False
    overwrite: o.Overwrite = False
    manifest: o.Manifest = None
    dry_run: o.DryRun = False

    def run(self, stage: str, lines: Path, output: Path, options: dict[str, Any], facts: dict[str, Any]) -> LineRun:
        """The run that the options ask for; `{shard}` in the output's name becomes the shard's number."""
        from stages.files.shards import Shard
        from stages.runs.runner import LineRun

        shard = None if self.shard is None else Shard.parse(self.shard)
        name = str(output) if shard is None else str(output).replace("{shard}", str(shard.index))
        return LineRun(
            stage=stage,
            source=str(lines),
            output=name,
            options=options,
            facts=facts,
            shard=shard,
            strict=self.strict,
            overwrite=self.overwrite,
            skip_failed=self.skip_failed,
            manifest=None if self.manifest is None else str(self.manifest),
        )


@dataclass(frozen=True)
class CheckOptions:
    """How programs are checked, for the tasks whose answer is code."""

    sandbox: o.Sandbox = o.SandboxName.auto
    unsafe_exec: o.UnsafeExec = False
    check_cpu: o.CheckCpu = None
    check_wall: o.CheckWall = None
    check_memory: o.CheckMemory = None

    def settings(self) -> CheckSettings:
        """The same for the middle floor."""
        from stages.settings.checks import CheckSettings

        usual = CheckSettings()
        return CheckSettings(
            sandbox=self.sandbox.value,
            unsafe_exec=self.unsafe_exec,
            check_cpu=self.check_cpu or usual.check_cpu,
            check_wall=self.check_wall or usual.check_wall,
            check_memory=self.check_memory or usual.check_memory,
        )


@dataclass(frozen=True)
class EngineOptions:
    """Who writes the text."""

    model: o.EngineModel = None
    engine: o.Engine = o.EngineName.hf
    script: o.Script = None
    device: o.DeviceOption = o.Device.auto
    dtype: o.DtypeOption = o.Dtype.auto
    load_in_4bit: o.LoadIn4bit = False
    batch_rows: o.BatchRows = None
    template: o.Template = "auto"
    trust_remote_code: o.TrustRemoteCode = False
    tensor_parallel: o.TensorParallel = 1
    gpu_memory: o.GpuMemory = 0.9
    max_model_len: o.MaxModelLen = None
    url: o.Url = None
    tokenizer: o.TokenizerOption = None
    concurrency: o.Concurrency = 64
    timeout: o.Timeout = 300.0
    retries: o.Retries = 6

    def settings(self) -> EngineSettings:
        """The same for the middle floor."""
        from stages.engines.opening import EngineSettings

        return EngineSettings(
            engine=self.engine.value,
            model=self.model,
            script=self.script,
            device=self.device.value,
            dtype=self.dtype.value,
            rows=self.batch_rows,
            load_in_4bit=self.load_in_4bit,
            template=self.template,
            trust_remote_code=self.trust_remote_code,
            tensor_parallel=self.tensor_parallel,
            gpu_memory=self.gpu_memory,
            max_model_len=self.max_model_len,
            url=self.url,
            tokenizer=self.tokenizer,
            concurrency=self.concurrency,
            timeout=self.timeout,
            retries=self.retries,
        )


@dataclass(frozen=True)
class TrainingOptions:
    """How a model is trained."""

    epochs: o.Epochs = 3.0
    lr: o.Lr = 1e-4
    batch: o.Batch = 8
    accumulation: o.Accumulation = 1
    schedule: o.ScheduleOption = o.Schedule.linear
    warmup: o.Warmup = 0.1
    weight_decay: o.WeightDecay = 0.0
    max_grad_norm: o.MaxGradNorm = 1.0
    max_length: o.MaxLength = 1024
    packing: Annotated[bool, typer.Option("--packing", help="Pack several examples into a row (sft).")] = False
    group_by_length: Annotated[
        bool, typer.Option("--group-by-length", help="Batch examples of similar length, for less padding.")
    ] = False
    lora: o.Lora = False
    lora_r: o.LoraR = 16
    lora_alpha: o.LoraAlpha = 32
    lora_dropout: o.LoraDropout = 0.05
    load_in_4bit: o.LoadIn4bit = False
    merge: o.Merge = False
    gradient_checkpointing: Annotated[bool, typer.Option("--gradient-checkpointing", help="Trade time for memory.")] = (
        False
    )
    save_steps: Annotated[int, typer.Option("--save-steps", min=1, help="Updates between two checkpoints.")] = 500
    logging_steps: Annotated[int, typer.Option("--logging-steps", min=1, help="Updates between two log lines.")] = 10
    device: o.DeviceOption = o.Device.auto
    dtype: o.DtypeOption = o.Dtype.auto
    template: o.Template = "auto"
    trust_remote_code: o.TrustRemoteCode = False
    seed: o.Seed = 42
    overwrite: o.Overwrite = False
    dry_run: o.DryRun = False

    def settings(self) -> TrainOptions:
        """The same for the middle floor (template, overwrite and dry_run are given on their own)."""
        from stages.training.options import TrainOptions

        names = {f.name for f in fields(TrainOptions)}
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name in names}
        return TrainOptions(**{name: getattr(value, "value", value) for name, value in given.items()})
