"""Numbers as people and models write them, read as exact rationals.

    "$1,234.50" -> 2469/2     "1 000" -> 1000     "-$3" -> -3    "1 1/2" -> 3/2     "18 apples" -> 18     "2^10" -> None

Nothing is evaluated: a power, a root or a product is not a number here. The text is hostile until proven otherwise, so
every pattern takes linear time, and a literal of more than `MAX_DIGITS` digits is not a number.
"""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 200
MAX_WORDS = 200
"""Characters of words that a text may have around its number; a longer text is prose, not an answer."""

_PLAIN = str.maketrans(
    {
        "\u2212": "-",  # minus sign
        "\ufe63": "-",
        "\uff0d": "-",
        "\u2044": "/",  # fraction slash
        "\u00a0": " ",  # spaces that do not break
        "\u2007": " ",
        "\u2009": " ",
        "\u202f": " ",
        **{chr(0xFF10 + digit): str(digit) for digit in range(10)},
    }
)

_GROUPED = r"[0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}(?![0-9])"
_SPACED = r"[0-9]{1,3}(?:[ ][0-9]{3})+(?![0-9])"
_DECIMAL = rf"(?:(?:{_GROUPED}|{_SPACED}|[0-9]+)(?:\.[0-9]+)?|(?<![\w.)])\.[0-9]+)"
_OVER = r"[ ]?/[ ]?[0-9]+(?![0-9.,]*[0-9])"
_POWER = r"(?:[ ]?\^[ ]?[({]?-?[0-9.]+[)}]?|\*\*[({]?-?[0-9.]+[)}]?|[ ]\*\*[ ][0-9.]+|:[0-9]+)"

NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![0-9A-Za-z)\]}}%.])-)?
    [$£€]?(?P<inner>(?<=[$£€])-)?
    (?<![0-9^])(?<![0-9]\.)
    (?P<value>
        (?P<whole>[0-9]+)[ ](?P<part>[0-9]+/[0-9]+)(?![0-9])
      | {_DECIMAL}(?:[eE][+-]?[0-9]{{1,2}}(?![0-9A-Za-z.]))?
    )
    (?P<over>{_OVER})?
    (?P<power>{_POWER}+)?
    """,
    re.VERBOSE,
)
"""One number. A power (`9**9`), a clock time or a ratio (`5:30`) is also one token, so that its parts are not read."""

_LATEX = re.compile(
    r"(?P<before>[0-9]?)\\[dt]?frac\s?\{\s?(?P<top>[0-9]{1,99})\s?\}\s?\{\s?(?P<bottom>[0-9]{1,99})\s?\}"
    r"|(?P<comma>\{,\})|(?P<gap>\\[,;: ])|(?P<nothing>\\!|\\[()\[\]])|(?P<literal>\\[$%])"
    r"|\\(?:text|textbf|mathrm|mathbf)\s?\{(?P<words>[^{}\\]{0,80})\}"
)
_WORDS_AROUND = re.compile(r"(?:[^\W\d_]|[\s$£€%°.,;:!?'\"*_`~-]|=|(?<=[^\W\d_])/(?=[^\W\d_]))*", re.IGNORECASE)
_UNKNOWN_BESIDE = re.compile(r"[xyzn\u03c0](?![^\W\d_])", re.IGNORECASE)


def with_plain_signs(text: str) -> str:
    """The text with look-alike signs, spaces and digits replaced by plain ones, character by character."""
    return text.translate(_PLAIN)


def _latex_as_text(found: re.Match[str]) -> str:
    if found["top"]:
        return f"{found['before']}{' ' if found['before'] else ''}{found['top']}/{found['bottom']}"
    if found["words"] is not None:
        return f" {found['words']}"
    if found["literal"]:
        return found["literal"][1]
    return "," if found["comma"] else " " if found["gap"] else ""


def without_latex(text: str) -> str:
    """`with_plain_signs`, and with LaTeX fractions, separators, currencies and units written as ordinary text."""
    return _LATEX.sub(_latex_as_text, with_plain_signs(text))


def value(found: re.Match[str]) -> Fraction | None:
    """The value of a match of `NUMBER`; None for a power, a ratio, a zero denominator or too many digits."""
    if found["power"] or len(found["value"]) + len(found["over"] or "") > MAX_DIGITS:
        return None
    sign = -1 if found["sign"] or found["inner"] else 1
    bottom = Fraction((found["over"] or "1").strip(" /"))
    if found["part"]:
        top, under = (int(number) for number in found["part"].split("/"))
        if under == 0 or found["over"]:
            return None
        return sign * (int(found["whole"]) + Fraction(top, under))
    if bottom == 0:
        return None
    return sign * Fraction(found["value"].replace(",", "").replace(" ", "")) / bottom


def shown(found: re.Match[str]) -> str:
    """A match of `NUMBER` in its shortest usual form: `-$1,234.50` is `-1234.5`, `2/4` stays `2/4`."""
    number = value(found)
    if number is None:
        return found.group().strip()
    if found["over"] and "." not in found["value"]:
        sign = "-" if number < 0 else ""
        top = int(found["value"].replace(",", "").replace(" ", ""))
        return f"{sign}{top}/{int(found['over'].strip(' /'))}"
    return written(number)


def written(number: Fraction) -> str:
    """A rational as a finite decimal if it has one of at most `MAX_DIGITS` digits, else as `p/q`."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > MAX_DIGITS or places == 0:
        return str(number)
    digits = str(abs(number.numerator) * 10**places // number.denominator).rjust(places + 1, "0")
    return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def number(text: str) -> Fraction | None:
    """The one number in a short text, which may have plain words and units around it; None if there is none or several.

    Fractions and mixed numbers count, `%` and currency signs are dropped; `2x`, `\\sqrt{2}` and `2^10` are not
    numbers.
    """
    if len(text) > MAX_DIGITS + MAX_WORDS:
        return None
    clean = without_latex(text)
    found = list(NUMBER.finditer(clean))
    if len(found) != 1:
        return None
    before, after = clean[: found[0].start()], clean[found[0].end() :]
    if _UNKNOWN_BESIDE.match(after) or not (_WORDS_AROUND.fullmatch(before) and _WORDS_AROUND.fullmatch(after)):
        return None
    return value(found[0])
