"""A model's folder holds data alone: what would be opened as something else is refused before any library sees it.

    check_files("runs/m1", Path("runs/m1"))      # ModelError: its index names pytorch_model.bin

transformers and PEFT look for pickled weights where they find no safetensors, follow the names in an index, and open
what an adapter's configuration names. Code in the folder is another matter: `trust_remote_code`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evals.errors import ModelError

CONVERT = "The folder has no .safetensors weights; pickled ones are not read: convert them to safetensors."
ADAPTER = "adapter_model.safetensors"
_KERNELS = ("attn_implementation", "_attn_implementation", "experts_implementation", "_experts_implementation")


def check_files(name: str, folder: Path) -> None:
    """Refuse a folder whose weights are not all safetensors, or whose configuration has something else loaded.

    Raises:
        ModelError: and what to do about it.
    """
    for index in folder.glob("*.index.json"):
        found = _read(index).get("weight_map")
        names = found.values() if isinstance(found, dict) else ()
        odd = next((one for one in names if not _is_weights(one)), None)
        if odd is not None and "safetensors" in index.name:
            raise ModelError(f"{name}: {index.name} names {str(odd)[:100]!r}, which is no .safetensors file", CONVERT)
    kernel = next(_kernels(_read(folder / "config.json")), None)
    if kernel is not None:
        raise ModelError(
            f"{name}: config.json wants code of the hub to be run ({kernel[:100]!r})",
            "Take attn_implementation and experts_implementation out of its config.json.",
        )
    adapter = _read(folder / "adapter_config.json")
    if adapter.get("prompt_tuning_init_state_dict_path"):
        raise ModelError(
            f"{name}: adapter_config.json names another file to begin from",
            "Take prompt_tuning_init_state_dict_path out of it: a trained adapter holds its own weights.",
        )
    wanted = ADAPTER if adapter else "*.safetensors" if (folder / "config.json").is_file() else ""
    if wanted and not any(folder.glob(wanted)):
        raise ModelError(f"{name}: there is no {wanted} in {folder}", CONVERT)


def _is_weights(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def _kernels(value: Any) -> Iterator[str]:
    """The repositories of code that a configuration names, at any depth."""
    if isinstance(value, list):
        for one in value:
            yield from _kernels(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key in _KERNELS:
                yield from (text for text in _texts(one) if "/" in text)
            yield from _kernels(one)


def _texts(value: Any) -> list[str]:
    return [one for one in (value.values() if isinstance(value, dict) else [value]) if isinstance(one, str)]


def _read(file: Path) -> dict[str, Any]:
    """A file's JSON object; empty where there is none: whoever needs it will say so."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
