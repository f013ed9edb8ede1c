"""How much memory this process has held at most.

peak_memory()     # {"resident": 912_261_120}, on a GPU also {"device": 1_811_939_328}
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path


def peak_memory() -> dict[str, int]:
    """Bytes of main memory, and of the GPU's where torch has used one; processes that this one started are not in it.

    Linux's own high-water mark counts from the start of the program; `getrusage` would count that of the process it was
    forked from.
    """
    found = {"resident": _resident()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        found["device"] = torch.cuda.max_memory_reserved()
    return found


def _resident() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
