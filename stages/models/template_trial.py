"""A chat template comes with a model, and is a program: it is tried in a process of its own before it is used here.

    check_template(tokenizer.chat_template, {"bos_token": "<s>"}, [{"role": "user", "content": "What is 1 plus 2?"}])
    # ModelError: the model's chat template takes more than 5 s of CPU time for a short question

jinja's sandbox, which transformers renders templates in, keeps one from files and from Python, but not from looping for
ever or filling the memory. A template that does so only for certain texts still gets past this.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from evals.errors import ModelError

CPU_S = 5
WALL_S = 60.0
"""Much more, as the machine may be busy."""
MEMORY_MIB = 1024
LONGEST = 1 << 20
"""Characters."""
_TOO_LONG, _NO_MEMORY = 3, 4
"""Exit statuses."""


def check_template(template: str, values: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> None:
    """Render a template with limits; once for each in this process.

    Args:
        values: what it is told beside the messages.

    Raises:
        ModelError: it takes too much time or memory, or writes too much. Its other errors are told where it is used.
    """
    if not template:
        return
    request = {"template": template, "values": {**values, "messages": list(messages)}, "cpu_s": CPU_S}
    said = _tried(json.dumps(request, default=str))
    if said:
        raise ModelError(
            f"the model's chat template {said} for a short question", "Repair it, or choose another --template."
        )


@cache
def _tried(request: str) -> str:
    """What is wrong with it; "" if nothing is."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        status = subprocess.run(
            [sys.executable, "-m", __name__], input=request.encode(), env=environment, timeout=WALL_S,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        ).returncode  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"takes more than {WALL_S:.0f} s"
    return {
        0: "",
        _TOO_LONG: f"writes more than {LONGEST:,} characters",
        _NO_MEMORY: f"needs more than {MEMORY_MIB} MiB of memory",
        -signal.SIGXCPU: f"takes more than {CPU_S} s of CPU time",
        -signal.SIGKILL: f"takes more than {CPU_S} s of CPU time",
    }.get(status, "ends the process that renders it")


def _serve() -> None:
    with suppress(ValueError, OSError):  # where the system knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB << 20, MEMORY_MIB << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = json.load(sys.stdin)
    resource.setrlimit(resource.RLIMIT_CPU, (request["cpu_s"], request["cpu_s"] + 1))
    try:
        written = sum(map(len, _environment().from_string(request["template"]).generate(**request["values"])))
    except MemoryError:
        sys.exit(_NO_MEMORY)
    except Exception:  # its own errors are told where the template is used
        sys.exit(0)
    sys.exit(_TOO_LONG if written > LONGEST else 0)


def _environment() -> Any:
    """A sandbox with what transformers' own has."""
    from jinja2 import TemplateError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012  # jinja's own way

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller: Any) -> Any:
            return caller()

    def refuse(message: str) -> None:
        raise TemplateError(message)

    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    made.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False)
    made.globals |= {"raise_exception": refuse, "strftime_now": lambda form: "2026-01-01"}
    return made


if __name__ == "__main__":
    _serve()
