r"""Which part of a text is the reply: not the prompt that it repeats, and nothing from where it runs on to a new one.

    Question: 3 and 4?\nAnswer: 3+4=7\n#### 7\n\nQuestion: 5 and 5?\n#### 10
                              ---------------------

A question that nothing has answered yet is the repeated one, and the reply begins after it; a question after an
answer is the next one, and ends the reply. The marks are headings (`Question:`, `Human:`, `### Instruction:`) and the
tokens of chat templates (`<|im_end|>`, `</s>`, `[/INST]`). Where the reply begins depends only on the text before it,
so a prefix of a text is read as the text is.
"""

from __future__ import annotations

import re

from evals import thoughts

_LEAD = r"^[ \t>]{0,9}(?:\#{1,6}[ \t]*)?(?:\*\*|__)?"
_COLON = r"(?:\*\*|__)?[ \t]*:"
_HASHED = r"^[ \t]{0,9}\#{1,6}[ \t]*(?:\*\*|__)?"
_MARK = re.compile(
    rf"""
    (?P<token><[|\uff5c][^<>|\uff5c\n]{{1,40}}[|\uff5c]>(?:(?:user|human|system|assistant|model)\b)?
        | </?s> | <(?:eos|bos|pad)> | <(?:start|end)_of_turn>(?:user|model)? | \[/?INST\]
        | (?<=[.!?)}}$*0-9])assistant[ \t]*\n)
  | (?P<question>{_LEAD}(?:Question|QUESTION|Q|Human|HUMAN|USER){_COLON}
        | {_HASHED}(?:Instructions?|Question|Human|User)\b(?![ ]?\#?[0-9])
        | ^(?:user|system)[ \t]*$)
  | (?P<perhaps>{_LEAD}(?:(?:Next|New|Another|Second|Similar|Follow[- ]?up)[ ](?:question|problem|exercise|example)
            | (?:Question|Q|Problem|Exercise|Example|Task)[ ]?\#?[0-9]{{1,3}}
            | Problem|Exercise|Example|Instructions?|User|Input|Prompt|Student){_COLON}
        | {_HASHED}(?:Problem|Exercise|Example|Question|Input)\b)
  | (?P<reply>{_LEAD}(?:Answer|ANSWER|A|Solution|Response|Assistant|ASSISTANT|AI|Output|Explanation|Reasoning){_COLON}
        | {_HASHED}(?:Answer|Solution|Response|Assistant|Output)\b
        | ^(?:assistant|model)[ \t]*$)
    """,
    re.MULTILINE | re.VERBOSE,
)
_WORDS = (
    "<|", "<\uff5c", "<s>", "</s>", "<eos>", "<bos>", "<pad>", "_of_turn>", "INST]", "ssistant", "uestion", "QUESTION",
    "Q", "uman", "HUMAN", "USER", "nstruction", "User", "user", "system", "problem", "Problem", "xample", "xercise",
    "Task", "Input", "Prompt", "Student",
)  # fmt: skip
"""Every mark that could begin or end a reply has one of these in it; most texts have none, and are not searched."""
_ASKS = re.compile(r"user|human|system|prompter|query|(?<!/)INST", re.IGNORECASE)
_REPLIES = re.compile(r"assistant|model\b|bot\b|/INST", re.IGNORECASE)
_ANSWERED = re.compile(
    r"####[ ]*\S|boxed\s?\{\s?[^}\s]|</answer>"
    r"|\banswer(?:[*_\"']{0,3}[ \t]{0,3}[:=]|[ \t]is\b)[ \t:*_$\"']{0,9}[^\s,;]",
    re.IGNORECASE,
)
_SAYS = re.compile(r"[0-9]|(?<![A-Za-z0-9_'\u2019])[A-D](?![A-Za-z0-9_'\u2019])")
_RESTATES = re.compile(
    r"\b(?:restat|rephras|repeat|rewrit|re-?read|recap|once more|(?:question|problem) (?:again|is|says|asks|states))",
    re.IGNORECASE,
)
_OPENS = re.compile(r"\b(?:sure|okay|ok|certainly|of course|here|let)\b|:[*_\s]*\Z", re.IGNORECASE)
LONG = 20
"""Characters from which on a question is recognised wherever it stands."""


def reply(text: str, question: str = "") -> str:
    """The reply in a text; see `reply_span`."""
    start, end = reply_span(text, question)
    return text[start:end]


def reply_span(text: str, question: str = "") -> tuple[int, int]:
    """Start and end offset of the reply in a text. Marks inside a thought do not count.

    Args:
        question: the problem's, if it is known. Then worked examples before it are part of the repeated prompt, too.
    """
    asked_at = text.find(question) if len(question) >= LONG else -1
    if asked_at < 0 and not any(word in text for word in _WORDS):
        return 0, len(text)
    return _Turns(text, asked_at + len(question) if asked_at >= 0 else 0).span()


class _Turns:
    """One walk over the marks of a text.

    Args:
        known: the offset just past the problem's own question; 0 if that does not stand in the text.
    """

    def __init__(self, text: str, known: int) -> None:
        self.text = _without_thoughts(text)
        self.start = 0
        self.asked = False
        """Whether a question was begun that nothing has answered yet."""
        self.blank_to = 0
        """Up to here there are only tokens after `start`."""
        self.searched, self.has_answer = 0, False
        if known:
            first = _MARK.search(self.text, 0, known)
            echoed = first is not None and not self.text[: first.start()].strip() and first.lastgroup != "reply"
            if echoed or not _ANSWERED.search(self.text, 0, known):
                self._begin(known)
                self.asked = True

    def span(self) -> tuple[int, int]:
        for mark in _MARK.finditer(self.text, self.start):
            end = getattr(self, f"_{mark.lastgroup}")(mark)
            if end is not None:
                return self.start, end
        return self.start, len(self.text)

    def _token(self, mark: re.Match[str]) -> int | None:
        replies, asks = _REPLIES.search(mark[0]), _ASKS.search(mark[0])
        if self.asked:
            if replies:
                self._begin(mark.end())
            return None
        if self.text[self.blank_to : mark.start()].strip():
            if not replies or mark[0].startswith("assistant") or self._answered(mark.start()):
                return mark.start()
            self._begin(mark.end())  # what stands before it is a question without a mark of its own
        self.blank_to = mark.end()
        if replies:
            self._begin(mark.end())
        elif asks:
            self._begin(mark.end())
            self.asked = True
        return None

    def _question(self, mark: re.Match[str]) -> int | None:
        if self._answered(mark.start()) if self.asked else not self._leads_to(mark.start()):
            return mark.start()
        self._begin(self._below(mark.end()))
        self.asked = True
        return None

    def _perhaps(self, mark: re.Match[str]) -> int | None:
        """Words that solutions use as headings, too: after a marked answer they begin a new question, and at the
        beginning of a text a repeated one, if an answer's heading follows."""
        if self._answered(mark.start()):
            return mark.start()
        self.asked = self.asked or not self.text[self.blank_to : mark.start()].strip()
        return None

    def _reply(self, mark: re.Match[str]) -> int | None:
        if self.asked and not self._answered(mark.start()):
            self._begin(mark.end())
        return None

    def _begin(self, start: int) -> None:
        self.start = self.blank_to = self.searched = start
        self.asked = self.has_answer = False

    def _answered(self, end: int) -> bool:
        """Whether a marked answer stands between the reply's start and `end`, which only grows."""
        if not self.has_answer and end > self.searched:
            self.has_answer = _ANSWERED.search(self.text, self.searched, end) is not None
            self.searched = max(self.searched, self.text.rfind("\n", self.searched, end) + 1)
        return self.has_answer

    def _leads_to(self, end: int) -> bool:
        """Whether what stands before a question only leads to it ("Let me restate it.") and answers nothing."""
        before = self.text[self.blank_to : end].strip()
        if not before:
            return True
        if self._answered(end):
            return False
        last = before[before.rfind("\n") + 1 :]
        if _RESTATES.search(last):
            return True
        return not _SAYS.search(before) and (len(before.split()) > 3 or _OPENS.search(last) is not None)

    def _below(self, at: int) -> int:
        """The end of the line that a heading's question is on: its own, or the next one with something on it."""
        end = self._line_end(at)
        if self.text[at:end].strip("*_ \t\r"):
            return end
        found = re.compile(r"\s*").match(self.text, end)
        return self._line_end(found.end() if found else end)

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end + 1


def _without_thoughts(text: str) -> str:
    """The text with every thought blanked out, so that offsets stay."""
    spans = thoughts.spans(text)
    if not spans:
        return text
    parts, at = [], 0
    for first, last in spans:
        parts += [text[at:first], " " * (last - first)]
        at = last
    return "".join([*parts, text[at:]])
