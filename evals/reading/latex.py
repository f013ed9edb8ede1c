r"""LaTeX as models write it in answers, turned into ordinary text as far as an answer goes.

    \dfrac{1}{2} -> 1/2      1\frac12 -> 1 1/2      12{,}000 -> 12,000
    5\text{ cm}^2 -> 5 cm^2   90^{\circ} -> 90°    1.2 \times 10^{6} -> 1.2 * 10^6

Roots, letters and other commands stay; `canonical` gives them one spelling. Every pattern takes linear time.
"""

from __future__ import annotations

import re

_NUMBER = r"\s?[-+]?[0-9][0-9.,]{0,99}\s?"
_COMMAND = re.compile(
    rf"(?P<before>[0-9]?)\s?\\[dtc]?frac\s?(?:\{{(?P<top>{_NUMBER})\}}|(?P<top_digit>[0-9]))"
    rf"\s?(?:\{{(?P<bottom>{_NUMBER})\}}|(?P<bottom_digit>[0-9])(?![0-9]))"
    r"|(?P<over>\\[dtc]?frac(?![A-Za-z]))"
    r"|\\(?:text|textbf|textit|textrm|textnormal|texttt|mathrm|mathbf|mathit|mathsf|mathtt|mbox|hbox|operatorname"
    r"|boldsymbol|bm|underline|emph|bf|rm)\s?\{(?P<words>[^{}\\]{0,80})\}"
    r"|(?P<degree>\^\s?\{?\s?\\circ\s?\}?|\\degrees?(?![A-Za-z]))"
    r"|(?P<nothing>\\!\s{0,3}|\\[()\[\]]|\\(?:left|right|[bB]igg?[lr]?)\s?(?=[()\[\]|.{}\\])"
    r"|\\(?:displaystyle|textstyle|large|Large|bf|rm)(?![A-Za-z]))"
    r"|(?P<space>\\[,;: ]|~|\\q?quad(?![A-Za-z]))"
    r"|(?P<times>\\(?:times|cdot)(?![A-Za-z]))|(?P<div>\\div(?![A-Za-z]))"
    r"|(?P<digit>\\(?=[0-9]))"
)
_SIGNS = {"degree": "\u00b0", "over": "\\frac", "times": "*", "div": "\u00f7", "space": " "}
_LITERAL = re.compile(r"\\([$%#&])|(?<![A-Za-z])\{(,)\}|\\(?:pounds|euro|yen)(?![A-Za-z])")
_RAISED = re.compile(r"\^\s?\{\s?([-+]?[0-9A-Za-z]{1,3})\s?\}")
_SINGLE = re.compile(r"\{([A-Za-z0-9])\}")


def without_commands(text: str) -> str:
    """The text with fractions of numbers, units, separators, degrees and signs of multiplication as ordinary text."""
    if "\\" in text or "{" in text:
        text = _LITERAL.sub(lambda found: found[1] or found[2] or "", text)
        text = _COMMAND.sub(_as_text, text)
        text = _RAISED.sub(r"^\1", text)
    return text.replace("~", " ") if "~" in text else text


def canonical(text: str) -> str:
    r"""One spelling for what LaTeX reads alike: `\sqrt2` for `\sqrt{2}`, `x^2` for `x^{2}`."""
    return _SINGLE.sub(r"\1", text)


def _as_text(found: re.Match[str]) -> str:
    if found["top"] or found["top_digit"]:
        return _fraction(found)
    if (words := found["words"]) is not None:
        return words if words in ("k", "K", "M", ",", ".") else f" {words}"
    return _SIGNS.get(found.lastgroup or "", "")


def _fraction(found: re.Match[str]) -> str:
    r"""`\frac{-1}{2}` as `-1/2`, with its sign in front, and behind a whole number as the rest of a mixed number."""
    top = (found["top"] or found["top_digit"]).strip().replace(",", "")
    bottom = (found["bottom"] or found["bottom_digit"]).strip().replace(",", "")
    sign = "-" if top.startswith("-") != bottom.startswith("-") else ""
    before = f"{found['before']} " if found["before"] else ""
    return f"{before}{sign}{top.lstrip('+-')}/{bottom.lstrip('+-')}"
