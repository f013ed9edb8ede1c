"""The root of the command line: names and one-line helps; a command's module is imported only when it is needed.

    app = new_app()             # in sipf_cli/<command>.py, see sipf_cli/generated.py

    @app.command()
    def merge(...): ...

`sipf --help` reads `COMMANDS` and imports no command. `sipf merge ...` imports `sipf_cli.merge` and hands over to its
`app`. Every expected error becomes one line (and one of advice) on stderr and the exit code of its class.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from evals.errors import SipfError
from sipf_cli.configuration import DEBUG, checked
from stages.files.interrupts import signals_interrupt
from stages.files.secrets import for_a_terminal

COMMANDS = {
    "data": "Write problems, one per line: an embedded world, published sets, or a file of your own.",
    "sft": "Fine-tune a model on gold solutions, or on right paths that a policy has drawn.",
    "sample": "Draw reasoning paths for every problem.",
    "simulate": "Label every step of the paths: right if a rollout from its prefix still reaches the answer.",
    "relabel": "Derive the step labels again from the rollouts that simulate kept, without a model.",
    "train-prm": "Train a process reward model on the step labels, or an outcome reward model.",
    "score": "Score every step of every path: with a reward model, or by how likely any language model finds it.",
    "pairs": "Choose preference pairs by a rule, and show what it yields and why pairs are missing.",
    "orpo": "Train a policy on preference pairs with ORPO.",
    "dpo": "Train a policy on preference pairs with DPO, to compare ORPO with.",
    "eval": "Measure a model's accuracy, judge answers from a file, or compare two result files.",
    "eval-prm": "Measure a reward model by the first wrong steps that people marked, and by best of n.",
    "export": "Write lines in a form that other tools read.",
    "show": "Show a problem in the terminal: every path with the labels and scores of its steps, or its pairs.",
    "merge": "Join the shards of one run into one file.",
    "doctor": "Say what works on this machine, and what to do about the rest.",
    "recipes": "List and copy the loop as shell scripts, with their settings.",
    "health": "Say how a round of the loop went and what is wrong with it; the figures go to FOLDER/health.jsonl.",
    "report": "Put the results of a loop, or of several with the same test problems, into one table.",
}
"""Command names in the order of the loop, with the sentence that opens each one's help."""


class LazyCommand(TyperCommand):
    """Stands in for a command; imports its module when the command is run, completed or asked for its help."""

    def load(self) -> Any:
        """The command (or group of commands) of that name."""
        module = import_module(f"sipf_cli.{str(self.name).replace('-', '_')}")
        return without_variables(typer.main.get_command(module.app))

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        command = self.load()
        if parent is not None and parent.default_map and info_name in parent.default_map:
            parent.default_map[info_name] = checked(parent.default_map[info_name], command, f"[{info_name}]")
        return command.make_context(info_name, args, parent=parent, **extra)


class LazyGroup(TyperGroup):
    """The root of the command line."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        without_variables(self)
        for name, sentence in COMMANDS.items():
            self.add_command(LazyCommand(name, short_help=sentence, rich_markup_mode=None))

    def invoke(self, ctx: Any) -> Any:
        try:
            with signals_interrupt():
                return super().invoke(ctx)
        except SipfError as error:
            show_error(error, debug=bool(ctx.meta.get(DEBUG)))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            for advice in error.args:
                _show("interrupted", advice)
            raise


def without_variables(command: Any) -> Any:
    """The command without SIPF_* variables in its help: the root's help states once how they are named."""
    for param in command.params:
        param.show_envvar = False
    for nested in getattr(command, "commands", {}).values():
        without_variables(nested)
    return command


def show_error(error: SipfError, *, debug: bool) -> None:
    """Print an expected error on stderr: `sipf: what is wrong`, then what to do next."""
    if debug:
        import traceback

        print(for_a_terminal("".join(traceback.format_exception(error))), file=sys.stderr)
    _show(error.message, error.advice)


def _show(message: str, advice: str | None) -> None:
    print(for_a_terminal(f"sipf: {message}"), file=sys.stderr)
    if advice:
        print(for_a_terminal(f"      {advice}"), file=sys.stderr)
