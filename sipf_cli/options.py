"""Options that more than one command has, declared once.

    def merge(sources: Inputs, output: Output, overwrite: Overwrite = False, json: Json = False, ...) -> None:

A parameter bears its option's long name, so that flag (`--top-p`), variable (`SIPF_SAMPLE_TOP_P`) and configuration key
(`top-p`) agree. Every command takes `config`, `preset` (in this order: a file may name the preset), `json` and `debug`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from sipf_cli.settings import on_config, on_debug, on_preset


class Device(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Dtype(StrEnum):
    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


class EngineName(StrEnum):
    hf = "hf"
    vllm = "vllm"
    server = "server"
    scripted = "scripted"


class ScorerName(StrEnum):
    hf = "hf"
    vllm = "vllm"


class SandboxName(StrEnum):
    auto = "auto"
    bubblewrap = "bubblewrap"
    landlock = "landlock"


class Schedule(StrEnum):
    linear = "linear"
    cosine = "cosine"
    constant = "constant"


def on_shard(shard: str | None) -> str | None:
    """Refuse a shard that is neither `i/n` nor `slurm` (exit 2)."""
    if shard is None or shard == "slurm":
        return shard
    i, slash, n = shard.partition("/")
    if not (slash and i.isdecimal() and n.isdecimal() and int(i) < int(n)):
        raise typer.BadParameter(f"{shard!r} is neither i/n with 0 <= i < n nor 'slurm'.")
    return shard


# What a command reads and writes.
Input = Annotated[
    Path, typer.Argument(allow_dash=True, metavar="LINES", help="Lines to read: .jsonl, .jsonl.gz, or - for stdin.")
]
Inputs = Annotated[list[Path], typer.Argument(metavar="LINES...", help="Files of lines, .jsonl or .jsonl.gz.")]
Output = Annotated[Path, typer.Option("--output", "-o", allow_dash=True, help="File to write, or - for stdout.")]
OutputFolder = Annotated[Path, typer.Option("--output", "-o", file_okay=False, help="Folder for the trained model.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start anew, replacing the output and its journal.")]
Manifest = Annotated[Path | None, typer.Option("--manifest", help="Where the manifest goes when lines go to stdout.")]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="I/N", callback=on_shard, help="Do lines I, I+N, ...; 'slurm' reads the array job."
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first bad line instead of skipping it.")]

# How a command runs and speaks.
Config = Annotated[
    Path | None,
    typer.Option("--config", callback=on_config, is_eager=True, help="TOML file with one table of options a command."),
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", callback=on_preset, is_eager=True, help="Named set of options, such as 'paper'."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object instead of a table.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", callback=on_debug, is_eager=True, help="Show the traceback of an expected error, too."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what it would cost, then stop.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]

# Models and the engines that run them.
Model = Annotated[str, typer.Option("--model", "-m", help="Folder, adapter folder, hub name, or 'chain-base'.")]
Engine = Annotated[EngineName, typer.Option("--engine", help="Who writes the text.")]
ScorerEngine = Annotated[ScorerName, typer.Option("--engine", help="Who computes the scores.")]
Script = Annotated[
    str | None, typer.Option("--script", metavar="FILE|gold:P", help="Canned answers of the scripted engine.")
]
EngineModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Folder, adapter folder, hub name, 'chain-base', or the server's name for it."),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the model runs.")]
DtypeOption = Annotated[
    Dtype, typer.Option("--dtype", help="Number format to compute in; training keeps float32 weights.")
]
BatchRows = Annotated[
    int | None, typer.Option("--batch-rows", min=1, help="Rows decoded at once; chosen from memory unless given.")
]
Template = Annotated[
    str, typer.Option("--template", help="Prompt template: auto, chat, one of the task's, or a file with {question}.")
]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run code that comes with the model.")]
TensorParallel = Annotated[int, typer.Option("--tensor-parallel", min=1, help="GPUs that share the model (vllm).")]
GpuMemory = Annotated[
    float, typer.Option("--gpu-memory", min=0.01, max=1.0, help="Share of a GPU's memory that vllm may take.")
]
MaxModelLen = Annotated[
    int | None, typer.Option("--max-model-len", min=2, help="Longest sequence for vllm; the model's unless given.")
]
Url = Annotated[
    str | None, typer.Option("--url", help="Address of the server engine, such as http://localhost:8000/v1.")
]
TokenizerOption = Annotated[
    str | None,
    typer.Option("--tokenizer", help="Model folder or hub name whose tokenizer makes the server's prompts."),
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Requests the server gets at a time.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.01, help="Seconds to wait for the server's answer.")]
Retries = Annotated[int, typer.Option("--retries", min=0, help="Times a request to the server is tried again.")]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="Sampling temperature; 0 is greedy.")]
TopP = Annotated[float, typer.Option("--top-p", min=0.0, max=1.0, help="Nucleus sampling: mass of tokens kept.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="New tokens a completion may take; the task's unless given.")
]

# Training.
Lr = Annotated[float, typer.Option("--lr", min=0.0, help="Peak learning rate.")]
Epochs = Annotated[float, typer.Option("--epochs", min=0.0, help="Passes over the training data.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Examples a device and step.")]
Accumulation = Annotated[int, typer.Option("--accumulation", min=1, help="Steps whose gradients are added up.")]
ScheduleOption = Annotated[Schedule, typer.Option("--schedule", help="Learning rate after the warm-up.")]
Warmup = Annotated[
    float, typer.Option("--warmup", min=0.0, help="Warm-up: below 1 a share of all updates, else updates.")
]
WeightDecay = Annotated[float, typer.Option("--weight-decay", min=0.0, help="Decoupled weight decay.")]
MaxGradNorm = Annotated[float, typer.Option("--max-grad-norm", min=0.0, help="Gradients are clipped to this norm.")]
MaxLength = Annotated[int, typer.Option("--max-length", min=1, help="Tokens of prompt and completion together.")]
Lora = Annotated[bool, typer.Option("--lora", help="Train a LoRA adapter instead of all weights.")]
LoraR = Annotated[int, typer.Option("--lora-r", min=1, help="Rank of the adapter.")]
LoraAlpha = Annotated[int, typer.Option("--lora-alpha", min=1, help="Scale of the adapter, over its rank.")]
LoraDropout = Annotated[float, typer.Option("--lora-dropout", min=0.0, max=1.0, help="Dropout on the adapter's input.")]
LoadIn4bit = Annotated[bool, typer.Option("--load-in-4bit", help="Load the base weights in 4-bit nf4 (needs CUDA).")]
Merge = Annotated[bool, typer.Option("--merge", help="Write the full model, the adapter merged into it.")]


# How programs that a model wrote are checked (tasks whose answer is code).
Sandbox = Annotated[SandboxName, typer.Option("--sandbox", help="Where programs run; auto: the strongest that holds.")]
UnsafeExec = Annotated[
    bool, typer.Option("--unsafe-exec", help="Where no sandbox works, run programs all the same, unguarded.")
]
CheckCpu = Annotated[float | None, typer.Option("--check-cpu", min=0.1, help="CPU seconds a check may take; 10.")]
CheckWall = Annotated[float | None, typer.Option("--check-wall", min=0.1, help="Seconds a check may last; 30.")]
CheckMemory = Annotated[int | None, typer.Option("--check-memory", min=64, help="MiB a program may take; 512.")]

SkipFailed = Annotated[bool, typer.Option("--skip-failed", help="Finish without the problems that failed.")]


def temperature_range(text: str) -> tuple[float, float]:
    """`T` or `LOW:HIGH` as two numbers (exit 2 if it is neither)."""
    low, _, high = text.partition(":")
    try:
        pair = float(low), float(high or low)
    except ValueError:
        pair = -1.0, -1.0
    if not 0 <= pair[0] <= pair[1]:
        raise typer.BadParameter(f"--temperature {text!r} is neither T nor LOW:HIGH with 0 <= LOW <= HIGH.")
    return pair
