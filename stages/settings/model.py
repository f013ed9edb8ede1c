"""Which model runs, on what, and through which engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stages.settings.declare import Panel, setting

Device = Literal["auto", "cpu", "cuda", "mps"]
EngineName = Literal["hf", "vllm", "server", "scripted"]
Dtype = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class WriterSettings:
    """Which engine writes text, and with which model. `batch_rows` None: chosen from the device's memory."""

    model: str | None = setting(
        None,
        "Folder, adapter folder, hub name, or 'chain-base', 'chain-teacher' or 'functions-base' (embedded); for a "
        "server, its name for the model.",
        flags=("-m", "--model"), panel=Panel.MODEL,
    )  # fmt: skip
    engine: EngineName = setting("hf", "Engine that writes the text.", panel=Panel.MODEL)
    script: str | None = setting(
        None, "scripted: a file of canned answers, or gold:P to be right with probability P.", metavar="FILE|gold:P",
        panel=Panel.MODEL,
    )  # fmt: skip
    script_delay: float = setting(
        0.0, "scripted: milliseconds that an answer takes, 64 or --batch-rows at a time.", low=0.0, panel=Panel.MORE
    )
    batch_rows: int | None = setting(
        None, "hf, vllm: sequences decoded at once; by default as many as fit in memory.", low=1, panel=Panel.MODEL
    )
    compile: bool = setting(
        False, "hf: compile the decode step (Llama, Mistral, Qwen-2, Qwen-3, Gemma), on a GPU as a CUDA graph; "
        "it takes up to a minute.", flags=("--compile/--no-compile",), panel=Panel.MORE,
    )  # fmt: skip


@dataclass(frozen=True)
class ModelSettings:
    """Settings of every stage that loads a model."""

    revision: str | None = setting(
        None, "Branch, tag or commit of a hub model (also: owner/model@revision); by default main.", panel=Panel.MODEL
    )
    base: str | None = setting(
        None, "Base model of an adapter, where it is not the one that the adapter names: folder or hub name.",
        panel=Panel.MODEL,
    )  # fmt: skip
    device: Device = setting("auto", "Where the model runs; auto takes the best device available.", panel=Panel.MODEL)
    dtype: Dtype = setting(
        "auto", "Number format to compute in; auto depends on the device. Training keeps float32 weights.",
        panel=Panel.MODEL,
    )  # fmt: skip
    load_in_4bit: bool = setting(
        False, "Load the base weights as 4-bit nf4 (needs CUDA).", flags=("--load-in-4bit/--no-load-in-4bit",),
        panel=Panel.MODEL,
    )  # fmt: skip
    template: str = setting(
        "auto", "Prompt template: auto, chat, one of the task's, or a file with {question} in it.", panel=Panel.MODEL
    )
    chat_arg: tuple[str, ...] = setting(
        (), "Tell the chat template, such as enable_thinking=false; may be given again. A trained model keeps what it "
        "was told.", metavar="NAME=VALUE", panel=Panel.MORE,
    )  # fmt: skip
    trust_remote_code: bool = setting(False, "Run code that comes with the model.", panel=Panel.MORE)


@dataclass(frozen=True)
class VllmSettings:
    """Settings of vLLM."""

    tensor_parallel: int = setting(1, "vllm: number of GPUs that share the model.", low=1, panel=Panel.MORE)
    gpu_memory: float = setting(
        0.9, "vllm: share of each GPU's memory that it may take.", low=0.01, high=1.0, panel=Panel.MORE
    )
    max_model_len: int | None = setting(
        None, "vllm: longest sequence in tokens; by default the model's own limit.", low=2, panel=Panel.MORE
    )


@dataclass(frozen=True)
class ServerSettings:
    """How a server is reached."""

    url: tuple[str, ...] = setting(
        (), "server: its address, such as http://localhost:8000/v1; given again for further servers of the same model, "
        "among which the problems are divided.", panel=Panel.MODEL,
    )  # fmt: skip
    tokenizer: str | None = setting(
        None, "server: model folder or hub name whose tokenizer makes the prompts.", panel=Panel.MORE
    )
    concurrency: int = setting(64, "server: requests in flight at once, at each address.", low=1, panel=Panel.MORE)
    timeout: float = setting(300.0, "server: seconds to wait for one answer.", low=0.01, panel=Panel.MORE)
    retries: int = setting(6, "server: how many times a failed request is sent again.", low=0, panel=Panel.MORE)


@dataclass(frozen=True)
class EngineSettings(ServerSettings, VllmSettings, ModelSettings, WriterSettings):
    """Which engine writes text, with which model, and how it runs."""


@dataclass(frozen=True)
class _ScorerEngine:
    engine: Literal["hf", "vllm"] = setting("hf", "Engine that computes the scores.", panel=Panel.MODEL)
    batch_tokens: int = setting(
        0, "hf: tokens per batch, padding included; 0 chooses by device.", low=0, panel=Panel.MODEL
    )


@dataclass(frozen=True)
class ScorerSettings(VllmSettings, ModelSettings, _ScorerEngine):
    """How a reward model runs."""
