r"""Numbers as people and models write them, read as exact rationals.

    "$1,234.50" -> 2469/2     "1 000" -> 1000     "-$3" -> -3    "1 1/2" -> 3/2     "18 apples" -> 18     "2^10" -> None
    "1.2 million" -> 1200000  "1.2 \times 10^6" -> 1200000       "2 dozen" -> 24    "12'000" -> 12000    "1½" -> 3/2

Nothing is evaluated but a power of ten: another power, a root or a product is not a number here. The text is hostile
until proven otherwise, so every pattern takes linear time, and a literal of more than `MAX_DIGITS` digits is not a
number.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction

from evals.reading.latex import without_commands

MAX_DIGITS = 200
MAX_WORDS = 200
"""Characters of words that a text may have around its number; a longer text is prose, not an answer."""


class _Plain(dict[int, str]):
    """What a look-alike character stands for, found out when it first occurs: a digit of any script, a fraction."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        digit, plain = unicodedata.decimal(sign, None), sign
        if digit is not None:
            plain = str(digit)
        elif unicodedata.category(sign) == "Zs":
            plain = " "
        elif unicodedata.decomposition(sign).startswith("<fraction>"):
            plain = " " + unicodedata.normalize("NFKC", sign).replace("\u2044", "/")
        self[code] = plain
        return plain


_PLAIN = _Plain(
    {
        **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"), "-"),
        **dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"), ""),  # no width
        ord("\u2044"): "/", ord("\u2215"): "/", ord("\uff0f"): "/",
        ord("\u066a"): "%", ord("\uff05"): "%", ord("\uff04"): "$", ord("\ufe69"): "$",
        ord("\u066b"): ".", ord("\uff0e"): ".", ord("\u066c"): ",", ord("\uff0c"): ",",
        ord("\uff1a"): ":", ord("\uff1d"): "=", ord("\uff08"): "(", ord("\uff09"): ")", ord("\u3002"): ". ",
        ord("\u2715"): "\u00d7", ord("\u22c5"): "\u00d7", ord("\u00b7"): "\u00d7", ord("\u2062"): "",
    }
)  # fmt: skip
_RAISED = re.compile("(?<=[0-9A-Za-z)])[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]{1,20}")
_RAISED_DIGITS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b", "0123456789+-"
)

MONEY = "$\u00a3\u20ac\u00a5\u20b9\u20a9\u20bd\u20ba\u20a6\u0e3f"
_GROUPED = r"[0-9]{1,3}(?:,[0-9]{2,3}){0,60},[0-9]{3}(?![0-9])"
_SPACED = r"[0-9]{1,3}(?:[ ][0-9]{3}){1,60}(?![0-9])"
_MARKED = r"[0-9]{1,3}(?:'[0-9]{3}){1,60}(?![0-9'])|[0-9]{1,3}(?:\u2019[0-9]{3}){1,60}(?![0-9])"
_MARKED += r"|[0-9]{1,3}(?:_[0-9]{3}){1,60}(?![0-9_])"
_EUROPEAN = r"[0-9]{1,3}(?:[. ][0-9]{3}){1,60},[0-9]{1,2}(?![0-9,])|[0-9]{1,3}(?:\.[0-9]{3}){2,60}(?![0-9.]*[0-9])"
_DECIMAL = rf"(?:(?P<european>{_EUROPEAN})|(?:{_GROUPED}|{_SPACED}|{_MARKED}|[0-9]+)(?:\.[0-9]+)?|(?<![\w.)])\.[0-9]+)"
_OVER = r"[ ]?/[ ]?[0-9]+(?![0-9.,]*[0-9])"
_TEN = r"[ ]?(?:\*|x|\u00d7)[ ]?10[ ]?(?:\^|\*\*)[ ]?[({]?(?P<exponent>[+-]?[0-9]{1,4})[)}]?(?![0-9])"
_POWER = r"(?:[ ]?\^[ ]?[({]?-?[0-9.]+[)}]?|\*\*[({]?-?[0-9.]+[)}]?|[ ]\*\*[ ][0-9.]+|:[0-9]+)"
_SCALE = (
    r"(?:[ ]{0,2}-?(?i:hundred|thousand|million|billion|trillion|dozen|lakh|crore"
    r"|mio|mln|bln|mrd)(?i:s?)(?!\w)(?![ -]dollar[ -]bill))+"
    r"|(?:k|K|M|m|B|b|bn|mn|T)(?![\w/^])"
)
NUMBER = re.compile(
    rf"""
    (?P<sign>(?<![0-9A-Za-z)\]}}%.])-|(?:(?<=[=({{])|(?<=[=({{][ ]))-[ ])?
    (?:(?P<money>[{MONEY}])(?:[ ]?(?P<inner>-)[ ]?|[ ])?)?
    (?<![0-9^])(?<![0-9]\.)
    (?P<value>
        (?P<whole>[0-9]+)[ ]{{1,2}}(?P<part>[0-9]+/[0-9]+)(?![0-9])
      | {_DECIMAL}(?:[eE][+-]?[0-9]{{1,2}}(?![0-9A-Za-z.]))?
    )
    (?P<over>{_OVER})?
    (?P<ten>{_TEN})?
    (?P<power>{_POWER}+)?
    (?P<scale>{_SCALE})?
    """,
    re.VERBOSE,
)
"""One number. A power (`9**9`), a clock time or a ratio (`5:30`) is also one token, so that its parts are not read."""

_SCALES = {
    "hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
    "lakh": 10**5, "crore": 10**7, "mio": 10**6, "mln": 10**6, "bln": 10**9, "mrd": 10**9,
    "k": 1000, "K": 1000, "M": 10**6,
}  # fmt: skip
_MONEY_SCALES = {"m": 10**6, "mn": 10**6, "b": 10**9, "B": 10**9, "bn": 10**9, "T": 10**12}
"""Behind an amount of money only: elsewhere they are units."""
_POWER_OF_TEN = re.compile(
    r"[ ]?(?:\^|\*\*)[ ]?[({]?(?P<exponent>[+-]?[0-9]{1,4})[)}]?|[ ]\*\*[ ](?P<spaced>[0-9]{1,4})"
)
_MINUS = re.compile(r"(?:\bnegative|(?:\A|\b(?:is|was|be|at|to|equals|of)|[=:(])[ ]{0,2}minus)[ ]\Z", re.IGNORECASE)
_HALVES = re.compile(
    r"(?<=[0-9])(?:[ ]and[ ](?:(?P<digits>[0-9]{1,3}/[0-9]{1,3})(?![0-9/])"
    r"|(?P<many>an?|one|two|three)[ -](?P<name>half|third|quarter|fourth|fifth)s?\b))",
    re.IGNORECASE,
)
_MANY = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}
_NAMES = {"half": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5}
_AROUND = (
    rf"(?:[^\W\d_]|[\s{MONEY}%\u00b0.,;:!?'\"*_`~-]|=|(?<=[^\W\d_])/(?=[^\W\d_])"
    r"|(?<=[^\W\d_]{2})\^[23]|(?<=[ /][ms])\^[23])*"
)
_WORDS_AROUND = re.compile(_AROUND, re.IGNORECASE)
_UNKNOWN_BESIDE = re.compile(r"[xyzn](?![^\W\d_])|[ ]?\u03c0|[ ][xyz][ ]?\Z|[,'_.:][0-9]|!", re.IGNORECASE)


def with_plain_signs(text: str) -> str:
    """The text with look-alike signs, spaces, digits of other scripts and vulgar fractions replaced by plain ones."""
    if text.isascii():
        return text
    return _RAISED.sub(lambda found: "^" + found[0].translate(_RAISED_DIGITS), text.translate(_PLAIN))


def without_latex(text: str) -> str:
    """`with_plain_signs`, and with LaTeX fractions, separators, currencies and units written as ordinary text, and
    `2 and a half` as `2 1/2`."""
    text = without_commands(with_plain_signs(text))
    return _HALVES.sub(_as_fraction, text) if " and " in text else text


def _as_fraction(found: re.Match[str]) -> str:
    if found["digits"]:
        return f" {found['digits']}"
    return f" {_MANY[found['many'].casefold()]}/{_NAMES[found['name'].casefold()]}"


def value(found: re.Match[str]) -> Fraction | None:
    """The value of a match of `NUMBER`; None for a power other than of ten, a ratio, a zero denominator or too many
    digits."""
    if len(found["value"]) + len(found["over"] or "") > MAX_DIGITS:
        return None
    if found[0].isdigit():  # as most numbers are: nothing but digits
        number = Fraction(int(found[0]))
    else:
        unsigned, factor = _unsigned(found), _factor(found)
        if unsigned is None or factor is None:
            return None
        number = unsigned * factor
    negative = found["sign"] or found["inner"] or _MINUS.search(found.string, max(0, found.start() - 20), found.start())
    return -number if negative else number


def _unsigned(found: re.Match[str]) -> Fraction | None:
    bottom = Fraction((found["over"] or "1").strip(" /"))
    if found["part"]:
        top, under = (int(number) for number in found["part"].split("/"))
        return None if under == 0 or found["over"] else int(found["whole"]) + Fraction(top, under)
    return Fraction(_digits(found)) / bottom if bottom else None


def _digits(found: re.Match[str]) -> str:
    """The value's digits without separators."""
    digits = found["value"]
    if found["european"]:
        digits = digits.replace(".", "").replace(",", ".")
    for separator in (",", " ", "'", "\u2019", "_"):
        digits = digits.replace(separator, "")
    return digits


def _factor(found: re.Match[str]) -> Fraction | None:
    """What the number is multiplied by: a power of ten, `million`; None where it is no number because of a power."""
    factor = Fraction(1)
    if found["power"]:
        ten = _POWER_OF_TEN.fullmatch(found["power"])
        if ten is None or found["value"] != "10" or found["over"] or found["ten"]:
            return None
        exponent = int(ten["exponent"] or ten["spaced"])
        if abs(exponent) > MAX_DIGITS:
            return None
        factor = Fraction(10) ** (exponent - 1)
    if found["ten"]:
        exponent = int(found["exponent"])
        if abs(exponent) > MAX_DIGITS:
            return None
        factor = Fraction(10) ** exponent
    return factor * _scale(found)


def _scale(found: re.Match[str]) -> int:
    scale = found["scale"]
    if not scale:
        return 1
    if scale in _MONEY_SCALES:
        return _MONEY_SCALES[scale] if found["money"] else 1
    if scale in _SCALES:
        return _SCALES[scale]
    factor = 1
    for word in re.findall(r"[a-z]+", scale.casefold()):
        factor *= _SCALES[word.removesuffix("s")]
    return factor


def shown(found: re.Match[str]) -> str:
    """A match of `NUMBER` in its shortest usual form: `-$1,234.50` is `-1234.5`, `2/4` stays `2/4`."""
    number = value(found)
    if number is None:
        return found.group().strip()
    if found["over"] and "." not in found["value"] and not (found["ten"] or found["scale"]):
        return f"{'-' if number < 0 else ''}{int(_digits(found))}/{int(found['over'].strip(' /'))}"
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
    r"""The one number in a short text, which may have words and units around it; None if there is none or several.

    Fractions and mixed numbers count, `%` and currency signs are dropped; `2x`, `\sqrt{2}` and `2^10` are not numbers.
    """
    if len(text) > MAX_DIGITS + MAX_WORDS:
        return None
    clean = without_latex(text).strip()
    if clean[:1] + clean[-1:] in ("()", "{}"):
        clean = clean[1:-1]
    clean = _SPACED_SIGN.sub("-", clean)
    found = list(NUMBER.finditer(clean))
    if len(found) != 1:
        return None
    before, after = clean[: found[0].start()], clean[found[0].end() :]
    if _UNKNOWN_BESIDE.match(after) or not (_WORDS_AROUND.fullmatch(before) and _WORDS_AROUND.fullmatch(after)):
        return None
    return value(found[0])


_SPACED_SIGN = re.compile(rf"\A[\s*_${{]{{0,9}}-[ ](?=[{MONEY}]?[ ]?[0-9.])")
