"""What a row looks like, told by its keys: rows that a command cannot use are named, with the command that reads them.

named({"messages": [...], "rejected_response": "..."})    # Form("a pair in ms-swift's form", "sipf orpo or sipf dpo")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from evals.errors import DataError


class Form(NamedTuple):
    """What rows of a form are called, and what reads them; `reader` "": nothing here does."""

    what: str
    reader: str


_PAIRS, _STEPS, _SFT = "sipf orpo or sipf dpo", "sipf train-prm, or sipf data steps", "sipf sft"
_FORMS: tuple[tuple[frozenset[str], Form], ...] = tuple(
    (frozenset(keys.split()), Form(what, reader))
    for keys, what, reader in (
        ("task_id canonical_solution test", "a row of HumanEval", "sipf data humaneval --path FILE"),
        ("task_id test_list code", "a row of MBPP", "sipf data mbpp --path FILE"),
        ("prompt tests entry_point", "a problem of a code file", "sipf data code --path FILE"),
        ("problem steps final_answer_correct", "a row of ProcessBench", "sipf data processbench --path FILE"),
        ("doc_id resps", "a sample log of lm-evaluation-harness", "sipf eval PROBLEMS --from FILE"),
        ("prompt completions labels", "a line of step labels", "sipf train-prm"),
        ("question process", "a row of step labels in OpenR's form", _STEPS),
        ("input label task", "a row of Math-Shepherd", "sipf train-prm, or sipf data math-shepherd"),
        ("input value", "a row of step labels in OpenRLHF's form", _STEPS),
        ("question label", "a row of PRM800K", _STEPS),
        ("messages rejected_response", "a pair in ms-swift's form", _PAIRS),
        ("messages rejected_messages", "a pair in ms-swift's form", _PAIRS),
        ("chosen rejected", "a pair", _PAIRS),
        ("messages label", "an unpaired preference (KTO)", ""),
        ("completion label", "an unpaired preference (KTO)", ""),
        ("task_id completion", "a sample of a program", "sipf eval PROBLEMS --from FILE"),
        ("messages", "a conversation", _SFT),
        ("conversations", "a conversation", _SFT),
        ("conversation", "a conversation", _SFT),
        ("prompt completion", "a prompt and its completion", _SFT),
        ("query response", "a query and its response", _SFT),
        ("instruction output", "an instruction in Alpaca's form", _SFT),
        ("input output", "an input and its output", _SFT),
        ("question answer", "a problem of a math file", "sipf data math --path FILE, or sipf data gsm8k"),
        ("problem solution", "a row of MATH", "sipf data math --path FILE"),
        ("text", "plain text to pre-train on", ""),
    )
)


def named(row: Mapping[str, Any]) -> Form | None:
    """The form that a row has by its keys; None if it is none of those that are known here."""
    present = {key for key, value in row.items() if value is not None}
    if {"task", "question"} <= present:
        return None  # a problem, with whatever else somebody put beside it
    if is_rlhflow(row):
        return Form("a row of step labels in RLHFlow's form", _STEPS)
    return next((form for keys, form in _FORMS if keys <= present), None)


def is_rlhflow(row: Mapping[str, Any]) -> bool:
    """Whether a row is a conversation in which the assistant says nothing but + and -, as RLHFlow labels steps."""
    turns = row.get("conversations", row.get("messages"))
    if not isinstance(turns, list) or not all(isinstance(turn, Mapping) for turn in turns):
        return False
    said = [turn.get("content", turn.get("value")) for turn in turns if turn.get("role") == "assistant"]
    return bool(said) and all(isinstance(text, str) and text.strip() in ("+", "-") for text in said)


def refusal(row: Mapping[str, Any], error: DataError, readers: str) -> DataError:
    """What to say of a row that was refused: what it looks like, if another command reads that, else `error`.

    Args:
        readers: part of the name of the command that refused it.
    """
    form = named(row)
    if form is None or readers in form.reader:
        return error
    return DataError(
        f"this looks like {form.what} ({error.message})",
        f"Use {form.reader}." if form.reader else "No command here reads that; see docs/formats.md.",
    )
