"""`sipf doctor`: what works on this machine."""

from __future__ import annotations

from evals.errors import ModelError
from sipf_cli.console import Table, emit
from sipf_cli.generated import new_app
from sipf_cli.options import ConsoleOptions

app = new_app()


@app.command()
def doctor(console: ConsoleOptions) -> None:
    """Say what works on this machine, and what to do about the rest.

    The exit code is 0 if the core works and 4 if it does not; optional engines and devices do not count. Nothing is
    sent over the network.

    \b
    Example:
      sipf doctor
    """
    from stages.doctor import examine

    findings = examine()
    broken = [finding.name for finding in findings if finding.needed and not finding.works]
    summary = {"works": not broken, "broken": broken, "findings": [finding.as_dict() for finding in findings]}
    rows = [(f.area, f.name, _state(f.works, f.needed), f.found) for f in findings]
    todo = [(f.name, f.advice) for f in findings if not f.works]
    tables = [Table(("area", "what", "works", "found"), rows)]
    if todo:
        tables.append(Table(("to have", "do this"), todo))
    emit(summary, tables, json=console.json)
    if broken:
        raise ModelError(f"the core does not work here: {', '.join(broken)}", "See above what to do.")


def _state(works: bool, needed: bool) -> str:
    if works:
        return "yes"
    return "NO" if needed else "no"
