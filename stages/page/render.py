"""Puts sections into the frame: one file of HTML with styles, charts and scripts inside, which fetches nothing.

Everything that is put into a template is escaped, unless it was made as Markup; what cannot be seen is made visible.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from stages.page import charts
from stages.page.blocks import Charts, Group, Section, Text
from stages.page.charts import Table
from stages.page.drawing import svg
from stages.shown import visible

_OPTION = re.compile(r"(?<!\S)(\(?--?[a-z][a-z0-9-]{0,30})")


def environment() -> Environment:
    """The templates of this folder; a name that is not there is an error and not an empty text."""
    made = Environment(
        loader=PackageLoader("stages.page"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: visible(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.tests["text"] = lambda block: isinstance(block, Text)
    made.tests["table"] = lambda block: isinstance(block, Table)
    made.tests["charts"] = lambda block: isinstance(block, Charts)
    made.tests["group"] = lambda block: isinstance(block, Group)
    made.filters["svg"] = svg
    made.filters["cell"] = cell
    made.filters["unbroken"] = unbroken
    return made


def unbroken(text: str) -> Markup:
    """The text, escaped, in which no line ends inside an option (`--max-length`)."""
    parts = (
        Markup('<span class="option">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(_OPTION.split(visible(text)))
    )
    return Markup("").join(parts)


def cell(value: object) -> str:
    """A cell of a table as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return charts.number(value) if isinstance(value, int | float) else str(value)


def page(
    title: str, lead: str, sections: Sequence[Section], foot: str, problems: Mapping[str, Any] | None = None
) -> str:
    """The whole page.

    Args:
        lead: a sentence below the title; `foot`: one at the end.
        problems: what `problems.html` (a section with the id "problems"), `problems.css` and `problems.js` show as
            `problems`, or None for a page without that part.
    """
    template = environment().get_template("page.html")
    return template.render(title=title, lead=lead, sections=sections, foot=foot, problems=problems)
