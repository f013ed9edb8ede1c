"""What a command has left, and whether it is what it should be.

complete(Path("out.jsonl.manifest.json"))      # raises Wrong if out.jsonl is not what the manifest describes
difference(made, wanted)                       # "counts: {...} and not {...}"
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from pathlib import Path

import psutil

KEPT = (
    "complete", "stage", "options", "facts", "shard", "input", "output", "counts", "bad_lines", "gaps", "failed",
    "beside",
)  # fmt: skip
"""What a manifest must say in the same words however often the run was killed."""
SPENT = re.compile(r'"(seconds|started|finished)": [^,}\n]*')
"""What differs from run to run in the files of a model's folder."""


class Wrong(Exception):
    """Something that the README promises did not hold."""


def complete(manifest: Path) -> None:
    """Refuse a manifest beside an output that it does not describe."""
    output = Path(str(manifest).removesuffix(".manifest.json"))
    said = json.loads(manifest.read_text(encoding="utf-8"))["output"]["sha256"]
    found = hashlib.sha256(output.read_bytes()).hexdigest() if output.exists() else "no file"
    if said != found:
        raise Wrong(f"{manifest.name} stands beside an output that it does not describe")


def difference(made: Path, wanted: Path) -> str:
    """What differs between two files; in a manifest or a history that is not times and costs."""
    if made.name.endswith("manifest.json") or made.name == "beside.json":
        try:
            one, two = (json.loads(path.read_text(encoding="utf-8")) for path in (made, wanted))
        except ValueError as error:
            return f"no JSON ({error})"
        keys = KEPT if "identity" not in one else sorted({*one, *two} - {"seconds", "started", "finished", "usage"})
        found = [key for key in keys if one.get(key) != two.get(key)]
        return ", ".join(f"{key}: {one.get(key)} and not {two.get(key)}"[:300] for key in found)
    one, two = made.read_bytes(), wanted.read_bytes()
    if made.suffix in (".json", ".jsonl", ".md") and one != two:
        one, two = (SPENT.sub("", part.decode()).encode() for part in (one, two))
    return "" if one == two else f"{len(one)} and {len(two)} bytes"


def tree(folder: Path) -> set[str]:
    """The names of all files and folders below one."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def shared_memory() -> set[str]:
    """The names of what lies in shared memory."""
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


def mapped(name: str) -> bool:
    """Whether a process that lives uses it: it may belong to another program of this machine."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            maps = Path(f"/proc/{process.pid}/maps").read_text()
            held = [os.readlink(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
            if name in maps or any(name in target for target in held):
                return True
    return False
