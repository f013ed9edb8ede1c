"""The frame: what it does with a name that is not there, and the one place of the browser of problems."""

from __future__ import annotations

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment, UndefinedError

from stages.page import render
from tests.html_pages import tree


def test_an_unknown_name_is_an_error_and_values_are_escaped() -> None:
    made = render.environment()
    with pytest.raises(UndefinedError):
        made.from_string("{{ nothing }}").render()
    assert made.from_string("{{ a }}").render(a="<b>\u202e\x00") == "&lt;b&gt;\\u202e\\x00"


def test_the_browser_of_problems_has_its_place_styles_script_and_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    own = DictLoader({
        "problems.html": '<section id="problems"><h2>Problems</h2><p>{{ problems.said }}</p></section>',
        "problems.css": ".problem { color: red; }",
        "problems.js": "const shown = {{ problems.rows | tojson }};",
    })  # fmt: skip
    plain = render.environment

    def with_problems() -> Environment:
        made = plain()
        assert made.loader is not None
        made.loader = ChoiceLoader([own, made.loader])
        return made

    monkeypatch.setattr(render, "environment", with_problems)
    page = tree(render.page("t", "l", [], "f", {"said": "<i>", "rows": ["</script><b>"]}))
    (part,) = page.all("section")
    assert part.text().endswith("<i>")
    assert [link.attributes["href"] for nav in page.all("nav") for link in nav.all("a")] == ["#problems"]
    assert ".problem" in next(page.all("style")).text()
    (script,) = page.all("script")
    assert script.text().strip() == 'const shown = ["\\u003c/script\\u003e\\u003cb\\u003e"];'
    assert not list(tree(render.page("t", "l", [], "f")).all("script"))


def test_no_line_ends_inside_an_option_and_what_a_paragraph_says_is_escaped() -> None:
    long = "--" + "a" * 40
    assert render.unbroken(f"Draw more (--want-right <b>), -2.5 {long}\x00") == (
        'Draw more <span class="option">(--want-right</span> &lt;b&gt;), -2.5 '
        f'<span class="option">{long[:33]}</span>{long[33:]}\\x00'
    )
