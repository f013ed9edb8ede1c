"""Elements of SVG as text. Every attribute and every text is escaped, and what cannot be seen is made visible.

element("text", "a < b", x=4)        # <text x="4">a &lt; b</text>
"""

from __future__ import annotations

import re

from markupsafe import Markup, escape

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)
"""Control characters, which XML forbids and browsers drop; marks that turn the direction of the text after them; and
what is no character at all. Tab and line feed are text."""


def visible(text: str) -> str:
    """The text with every character of that kind as its picture (`\\x00` as `␀`) or its code (`[U+202E]`)."""
    return _HIDDEN.sub(lambda found: _picture(ord(found[0])), text)


def _picture(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)
    return chr(0x2421) if code == 0x7F else f"[U+{code:04X}]"


def element(name: str, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One element; attributes that are None are left out, `class_` becomes class, and `_` in a name becomes `-`.

    Args:
        children: elements as Markup; plain text is escaped.
    """
    given = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _attribute(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(child if isinstance(child, Markup) else escape(visible(child)) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, given, inner)


def _attribute(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else visible(str(value))
