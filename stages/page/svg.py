"""Elements of SVG as text. Every attribute and every text is escaped, and what cannot be seen is made visible.

element("text", "a < b", x=4)        # <text x="4">a &lt; b</text>
"""

from __future__ import annotations

from markupsafe import Markup, escape

from stages.shown import visible


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
