"""Examining the machine: which versions are installed, where models and code can run, which engines work.

    Finding("version", "torch", works=True, needed=True, found="2.13.0, wanted <2.14,>=2.13", advice="")

Only the libraries themselves are loaded, nothing is written, and no network is used. Sandboxes are started and
attacked, because that is the only way to know whether they hold.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from evals.errors import ModelError, SandboxError, UsageError
from stages.engines.server.engine import key_from_environment
from stages.engines.vllm.start import vllm_version
from stages.models.naming import EMBEDDED

GIB = 2**30
OPTIONAL_EXTRAS = ("vllm", "ray")
OPENERS = (
    "accelerate", "datasets", "httpx2", "huggingface_hub", "jinja2", "numpy", "pyarrow", "safetensors", "sympy",
    "tokenizers", "torch", "transformers",
)  # fmt: skip
"""Libraries that open what others made: weights, templates, tables, answers of a server."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. What is not `needed` may be missing; `advice` says how to get it."""

    area: str
    name: str
    works: bool
    needed: bool
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        return asdict(self)


def examine() -> list[Finding]:
    """Everything that is worth knowing before a run, in the order to read it."""
    found = [*versions(), *machine(), *devices(), *engines(), *sandboxes(), *security(), *privacy()]
    return [replace(finding, advice="") if finding.works else finding for finding in found]


def versions() -> Iterator[Finding]:
    """Python and every dependency against the versions this release was made for."""
    python = platform.python_version()
    yield Finding(
        "version",
        "python",
        sys.version_info >= (3, 11),
        True,
        f"{python}, wanted >=3.11",
        "install Python 3.11 or newer",
    )
    from packaging.requirements import Requirement

    for line in metadata.requires("sipf") or []:
        need = Requirement(line)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            yield _version(need, needed=True, extra="")
            continue
        for extra in OPTIONAL_EXTRAS:
            if need.marker.evaluate({"extra": extra}) and find_spec(need.name) is not None:
                yield _version(need, needed=False, extra=extra)


def _version(need: Any, *, needed: bool, extra: str) -> Finding:
    advice = f"in sipf's folder: pip install -e '.[{extra}]'" if extra else f"pip install '{need.name}{need.specifier}'"
    try:
        # vLLM's CPU build has another name
        named = metadata.packages_distributions().get(need.name, [need.name]) if extra else [need.name]
        installed = metadata.version(named[0])
    except metadata.PackageNotFoundError:
        return Finding("version", need.name, False, needed, f"missing, wanted {need.specifier}", advice)
    fits = need.specifier.contains(installed, prereleases=True)
    return Finding("version", need.name, fits, needed, f"{installed}, wanted {need.specifier}", advice)


def machine() -> Iterator[Finding]:
    """Cores, memory and disk, as far as this process may use them."""
    import psutil

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory()
    limit = _memory_limit()
    total = memory.total if limit is None else min(memory.total, limit)
    free = min(memory.available, total)
    disk = shutil.disk_usage(Path.cwd()).free
    yield Finding("machine", "cores", True, False, f"{cores}, {platform.machine()}, {platform.system()}")
    yield Finding(
        "machine", "memory", free >= GIB, False, f"{free / GIB:.1f} of {total / GIB:.1f} GiB free",
        "the embedded model needs 1 GiB; lower --batch-rows or end other programs",
    )  # fmt: skip
    yield Finding(
        "machine", "disk", disk >= GIB, False, f"{disk / GIB:.1f} GiB free in the current folder",
        "models and journals need room: write to another disk with --output",
    )  # fmt: skip


def _memory_limit() -> int | None:
    """The container's memory limit in bytes, None where there is none."""
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def devices() -> Iterator[Finding]:
    """Where a model can run, and in which number formats."""
    try:
        import torch
    except Exception as error:  # a broken build fails in many ways, and reporting that is the purpose here
        yield Finding("device", "cpu", False, True, _told(error), "pip install -c constraints.txt torch")
        return
    yield Finding("device", "cpu", True, True, f"float32 and bfloat16, {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        for i in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(i)
            formats = "float32 and bfloat16" if torch.cuda.is_bf16_supported() else "float32 only"
            name = torch.cuda.get_device_name(i)
            found = f"{name}, {formats}, {free / GIB:.1f} of {total / GIB:.1f} GiB free"
            yield Finding("device", f"cuda:{i}", True, False, found)
    else:
        why = "this build of torch has no CUDA" if torch.version.cuda is None else "no GPU or driver was found"
        yield Finding("device", "cuda", False, False, why, "on a machine with a GPU, install torch's CUDA build")
    if sys.platform == "darwin":
        mps = torch.backends.mps.is_available()
        yield Finding("device", "mps", mps, False, "ready" if mps else "Metal is not available", "update macOS")


def engines() -> Iterator[Finding]:
    """Which engines can write text here, whether training works, and the embedded model."""
    for name, module, needed, advice in (
        ("hf", "transformers", True, "pip install -c constraints.txt transformers"),
        ("training", "trl", True, "pip install -c constraints.txt trl peft"),
    ):
        try:
            import_module(module)
        except Exception as error:  # as above: any failure is the finding
            yield Finding("engine", name, False, needed, _told(error), advice)
        else:
            yield Finding("engine", name, True, needed, f"{module} {metadata.version(module)} imports")
    yield Finding("engine", "scripted", True, False, "canned answers, needs nothing")
    yield _vllm()
    yield _ray()
    yield _server()
    four_bit = find_spec("bitsandbytes") is not None
    yield Finding(
        "engine", "4-bit", four_bit, False,
        "bitsandbytes is installed" if four_bit else "bitsandbytes is not installed",
        "pip install bitsandbytes (needs a GPU), or leave out --load-in-4bit",
    )  # fmt: skip
    for name, folder in EMBEDDED.items():
        there = any((Path(__file__).parent / "embedded" / folder).glob("*.safetensors"))
        yield Finding(
            "engine", name, there, True, "it came with sipf" if there else "its files are missing",
            "install sipf again",
        )  # fmt: skip


def _server() -> Finding:
    """Whether there is a key for a server."""
    try:
        key = "a key is set" if key_from_environment() else "SIPF_API_KEY is not set; many servers do not need it"
    except UsageError as error:
        return Finding("engine", "server", False, False, error.message, error.advice)
    return Finding("engine", "server", True, False, f"any OpenAI-compatible --url; {key}")


def _vllm() -> Finding:
    """Whether vLLM is installed, and for which device it was built."""
    try:
        installed = vllm_version()
    except ModelError:
        advice = "in sipf's folder: pip install -e '.[vllm]' (for a GPU; `make setup-vllm` builds one for the CPU)"
        return Finding("engine", "vllm", False, False, "not installed", advice)
    return Finding("engine", "vllm", True, False, f"{installed} is installed")


def _ray() -> Finding:
    """Whether work can be shared with a cluster."""
    if find_spec("ray") is None:
        advice = "in sipf's folder: pip install -e '.[ray]' (for --ray; --workers needs nothing)"
        return Finding("engine", "ray", False, False, "not installed", advice)
    return Finding("engine", "ray", True, False, f"{metadata.version('ray')} is installed, for --ray")


def sandboxes() -> Iterator[Finding]:
    """Where code that a model wrote can run: each sandbox is started and attacked with hostile programs."""
    from evals.sandbox import checker, landlock, probes

    works = []
    for layer in checker.LAYERS:
        try:
            through = probes.attack(layer)
        except SandboxError as error:
            said = error.message.removeprefix(f"{layer}: ")
            yield Finding("sandbox", layer, False, False, said, checker.advice())
            continue
        attacks = len(probes.ATTACKS) + len(probes.TRICKS)
        found = f"let through: {', '.join(through)}" if through else f"held against {attacks} hostile programs"
        if not through:
            works.append(layer)
        if layer == "bubblewrap" and not landlock.abi():
            found += "; no landlock beneath it"
        yield Finding("sandbox", layer, not through, False, found, checker.advice())
    used = works[0] if works else "none: code tasks end with exit code 5"
    yield Finding("sandbox", "code tasks", bool(works), False, f"run in {used}" if works else used, checker.advice())


def security() -> Iterator[Finding]:
    """Versions of what guards the machine or opens foreign files, to be compared with lists of known holes."""
    there = [f"{name} {metadata.version(name)}" for name in OPENERS if find_spec(name) is not None]
    yield Finding("security", "opens foreign files", True, False, ", ".join(there))
    bwrap = shutil.which("bwrap")
    said = bwrap and subprocess.run([bwrap, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    yield Finding("security", "guards", True, False, f"{platform.system()} {platform.release()}, {said or 'no bwrap'}")
    yield Finding(
        "security", "known holes", True, False,
        "not looked up, as no network is used; with one, pip-audit compares these versions with osv.dev",
    )  # fmt: skip


def privacy() -> Iterator[Finding]:
    """Whether the model libraries may send telemetry."""
    off = os.environ.get("HF_HUB_DISABLE_TELEMETRY", "").lower() in ("1", "true", "yes", "on")
    yield Finding("privacy", "telemetry off", off, False, "yes" if off else "no", "export HF_HUB_DISABLE_TELEMETRY=1")


def _told(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
