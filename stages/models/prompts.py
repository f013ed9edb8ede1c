"""How a problem becomes token ids: the one place where every stage, training and sampling alike, builds its prompt.

    prompter = make_prompter(tokenizer, task.templates)
    prompter.prompt(problem)                            # "Question: ...\nAnswer:\n"
    prompter.encode(problem, "40+32=72\n...", end=True) # Encoded(prompt_ids=[1, ...], completion_ids=[..., 2])

The prompt's ids are the same whatever is appended, because at sampling time the model sees the prompt first and writes
after it; a completion whose first character would melt into the prompt's last token is tokenised on its own instead.
BOS stands in front exactly when the tokenizer itself puts it there; a chat template writes its own.

A chat template may write what it is told by `--chat-arg` (a date, `enable_thinking`) or what it finds by itself (the
date of today). So a manifest hashes what it makes of a fixed question, and a model's card keeps what it was told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evals.errors import DataError, ModelError, SipfError
from evals.records import Problem, Prompting
from evals.tasks import task_of
from evals.tasks.base import ProgramTask
from evals.tasks.prompts import CHAT, plain_prompt, turns
from stages.models.template_trial import check_template

# A completion tokenised alone gets a space of its own in front from some tokenizers; behind this it does not.
ANCHOR = "\n"
# Stands for the step that follows a prefix: before a word, tokenizers cut white space otherwise than at a text's end.
NEXT = "a"
FIXED_QUESTION = "What is 1 plus 2?"
"""What is rendered to tell whether two runs prompt alike."""
CHAT_ARGS = "chat_args"
"""Key of a model's card, and of manifests."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a prompt and of what follows it.

    Args:
        given: how many of the completion's ids belong to a prefix that was given, and are not the model's own.
    """

    prompt_ids: list[int]
    completion_ids: list[int]
    given: int = 0

    @property
    def ids(self) -> list[int]:
        """Both, one after the other."""
        return self.prompt_ids + self.completion_ids


@dataclass(frozen=True)
class Prompter:
    """Builds prompts for one tokenizer and one template.

    Args:
        tokenizer: a transformers tokenizer.
        name: the template's name ("chat": the tokenizer's own chat template).
        text: the plain template, with `{question}` in it; None for chat.
        chat_args: what the chat template is told besides the messages, by name.
    """

    tokenizer: Any
    name: str
    text: str | None
    chat_args: Mapping[str, Any] = field(default_factory=dict)
    head: tuple[int, ...] = field(init=False, repr=False)
    """Ids that stand before every prompt: BOS where the tokenizer adds it, nothing for chat."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", () if self.text is None else _head(self.tokenizer))

    @property
    def recorded(self) -> str:
        """What a model folder keeps so that the same prompts are built again: "chat" or the template's text."""
        return CHAT if self.text is None else self.text

    @property
    def card(self) -> dict[str, Any]:
        """What a model's card says of its prompts, for every later stage."""
        arguments = {CHAT_ARGS: dict(self.chat_args)} if self.text is None and self.chat_args else {}
        return {"template": self.recorded, "prompt_sha256": self.describe()["sha256"], **arguments}

    def describe(self) -> dict[str, Any]:
        """Name of the template, and sha256 of what it makes of a fixed question, for manifests.

        Raises:
            DataError: the chat template refuses the question.
            ModelError: it takes too much time or memory.
        """
        if self.text is None:
            text, arguments = self._chat(turns(FIXED_QUESTION)), dict(self.chat_args)
        else:
            text, arguments = plain_prompt(self.text, FIXED_QUESTION), {}
        named = {CHAT_ARGS: arguments} if arguments else {}
        return {"name": self.name, "sha256": hashlib.sha256(text.encode()).hexdigest(), **named}

    def prompt(self, problem: Problem) -> str:
        """The prompt as text, BOS not included: header and worked examples where this run has them, the question."""
        question = task_of(problem).question(problem)
        how = problem.prompting or Prompting()
        if self.text is None:
            return self._chat(turns(question, how.header, how.shots))
        return plain_prompt(self.text, question, how.header, how.shots)

    def stops(self, stop: Sequence[str], problem: Problem) -> tuple[str, ...]:
        """The stop strings that hold under this template.

        A chat model writes its program into a fenced block, where the strings that end the raw continuation of a
        function would cut it off at its first line.
        """
        chat_code = self.text is None and isinstance(task_of(problem), ProgramTask)
        return () if chat_code else tuple(stop)

    def prompt_ids(self, problem: Problem) -> list[int]:
        """The prompt's token ids, BOS included where it belongs."""
        return self._prompt_ids(self.prompt(problem))

    def encode(self, problem: Problem, completion: str, end: bool, prefix: str = "") -> Encoded:
        """Ids of the problem's prompt (always `prompt_ids`) and of a completion; `end` appends EOS.

        Args:
            prefix: what the completion begins with and was given. The ids are those of the whole completion; a token
                with a character of the prefix belongs to it, as in `step_positions`.

        Raises:
            ModelError: a prefix, and a slow tokenizer, which knows no character offsets.
        """
        return self._encode(self.prompt(problem), completion, end, prefix=prefix)

    def encode_raw(self, prompt: str | list[dict[str, Any]], completion: str, end: bool, prefix: str = "") -> Encoded:
        """The same for a prompt that is given: text as it is, or the messages of a chat.

        Raises:
            ModelError: as `encode`.
            DataError: messages, and a tokenizer that has no chat template, or one that refuses them.
        """
        prompt, head = self._given(prompt)
        return self._encode(prompt, completion, end, head, prefix)

    def begun(self, problem: Problem, prefix: str) -> Encoded:
        """Ids of the problem's prompt and of a step prefix that is to be continued.

        Its tokens are those that it has at the beginning of a longer text: many tokenizers make one token of two line
        breaks at the end of a text, and two tokens before a word.
        """
        if prefix:
            longer = self.encode(problem, prefix + NEXT, end=False)
            *ids, last = longer.completion_ids
            if self.tokenizer.convert_ids_to_tokens(last) == NEXT:
                return Encoded(longer.prompt_ids, ids)
        return self.encode(problem, prefix, end=False)

    def step_positions(self, problem: Problem, text: str, ends: Sequence[int]) -> tuple[list[int], list[int]]:
        """Where the steps of a text end, in tokens.

        Args:
            problem: whose prompt stands before the text.
            text: the completion.
            ends: character offset in `text` just past each step.

        Returns:
            Ids of prompt and text (no EOS), and for each step the index into them of the last token that holds a
            character of it or of what comes before it.

        Raises:
            ModelError: the tokenizer is a slow one and knows no character offsets.
        """
        return self._positions(self.prompt(problem), self.head, text, ends)

    def step_positions_raw(
        self, prompt: str | list[dict[str, Any]], text: str, ends: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        """The same behind a prompt that is given, as for `encode_raw`."""
        prompt, head = self._given(prompt)
        return self._positions(prompt, head, text, ends)

    def _given(self, prompt: str | list[dict[str, Any]]) -> tuple[str, tuple[int, ...]]:
        if isinstance(prompt, str):
            bos = self.tokenizer.bos_token
            return prompt, () if bos and prompt.startswith(bos) else _head(self.tokenizer)
        if not self.tokenizer.chat_template:
            raise DataError(
                "prompt: a list of messages, and the model has no chat template", "Give the prompt as text."
            )
        return self._chat(prompt), ()

    def _positions(
        self, prompt: str, head: tuple[int, ...], text: str, ends: Sequence[int]
    ) -> tuple[list[int], list[int]]:
        self._need_offsets()
        prompt_ids = self._prompt_ids(prompt, head)
        ids, starts = self._continuation(prompt, text, offsets=True)
        positions = []
        for end in ends:
            inside = [i for i, start in enumerate(starts) if start < end]
            if not inside:
                raise DataError(f"steps: no token holds the step that ends at character {end}")
            positions.append(len(prompt_ids) + inside[-1])
        return prompt_ids + ids, positions

    def _need_offsets(self) -> None:
        if not self.tokenizer.is_fast:
            kind = type(self.tokenizer).__name__
            raise ModelError(
                f"{kind} does not say which characters a token covers, so steps cannot be marked",
                "Use a model whose folder has a tokenizer.json (a fast tokenizer).",
            )

    def _chat(self, messages: list[dict[str, Any]]) -> str:
        how = {**self.chat_args, "add_generation_prompt": True}
        try:
            template, tokens = self.tokenizer.get_chat_template(), self.tokenizer.special_tokens_map
            check_template(template, {**tokens, **how}, turns(FIXED_QUESTION))
            return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **how))
        except SipfError:
            raise
        except Exception as error:  # a template is a program of its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise DataError(
                f"prompt: the model's chat template refuses it ({said})",
                "Give roles in an order that it takes, what it wants to know by --chat-arg, or another --template.",
            ) from error

    def _plain(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt_ids(self, prompt: str, head: tuple[int, ...] | None = None) -> list[int]:
        return [*(self.head if head is None else head), *self._plain(prompt)]

    def _encode(
        self, prompt: str, completion: str, end: bool, head: tuple[int, ...] | None = None, prefix: str = ""
    ) -> Encoded:
        if prefix:
            self._need_offsets()
        prompt_ids = self._prompt_ids(prompt, head)
        ids, starts = self._continuation(prompt, completion, offsets=bool(prefix))
        given = sum(start < len(prefix) for start in starts)
        if end:
            ids = [*ids, self.tokenizer.eos_token_id]
        return Encoded(prompt_ids, ids, given)

    def _continuation(self, prompt: str, completion: str, offsets: bool) -> tuple[list[int], list[int]]:
        """Ids of the completion, and the character each begins at (empty unless `offsets`).

        Tokenised behind the prompt if that leaves the prompt's own ids as they are, else without it.
        """
        if not completion:
            return [], []
        for before in (prompt, ANCHOR, ""):
            known = self._plain(before) if before else []
            both = self.tokenizer(before + completion, add_special_tokens=False, return_offsets_mapping=offsets)
            ids = list(both["input_ids"])
            if ids[: len(known)] == known:
                spans = both["offset_mapping"][len(known) :] if offsets else []
                return ids[len(known) :], [start - len(before) for start, _ in spans]
        raise AssertionError("nothing in front always fits")


def _head(tokenizer: Any) -> tuple[int, ...]:
    """The ids the tokenizer itself puts before a text (an EOS that it puts behind is not one of them)."""
    bare = list(tokenizer("1", add_special_tokens=False)["input_ids"])
    full = list(tokenizer("1", add_special_tokens=True)["input_ids"])
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start])
    return ()
