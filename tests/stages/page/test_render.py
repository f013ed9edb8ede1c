"""The frame: what it does with a name that is not there, and the one place of the browser of problems."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from jinja2 import ChoiceLoader, DictLoader, Environment, UndefinedError

from stages.page import render
from stages.page.svg import element
from stages.shown import visible
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


VECTORS = (
    '" onload="x', "' onload='x", "<svg/onload=x>", "</text><script>x</script>", "</script><script>x", "<!--<script>",
    "-->", "]]>", "<![CDATA[", "&lt;b&gt;", "&#x3c;b&#x3e;", "</title>", "</style>", "`${x}`", "\\u003cb>",
    "\u2028\u2029",
    "javascript:x", "data:text/html,<b>", "<?xml?>", "\x00<b>", "\ufeff<b", "{{ 7*7 }}", "{% raw %}", "\x1b[2J",
)  # fmt: skip


@pytest.mark.parametrize("text", VECTORS)
def test_no_text_leaves_its_place_in_a_chart(text: str) -> None:
    (found,) = ElementTree.fromstring(f"<svg>{element('text', text, class_=text, data_name=text)}</svg>")  # made here
    assert (found.tag, list(found)) == ("text", [])
    assert found.attrib == {"class": visible(text), "data-name": visible(text)}
    assert found.text == visible(text)


@pytest.mark.parametrize("text", VECTORS)
def test_no_text_leaves_its_place_in_a_script_or_a_page(text: str) -> None:
    made = render.environment()
    script = made.from_string("{{ rows | tojson }}").render(rows={text: [text]})
    assert not set(script) & set("<>&'\u2028\u2029")
    assert json.loads(script) == {text: [text]}
    page = tree(render.page(text, text, [], text))
    assert page.text().count(visible(text)) >= 3
    assert not list(page.all("svg")) + list(page.all("b")) + list(page.all("script"))


@pytest.mark.parametrize("text", VECTORS)
def test_no_text_ends_an_attribute(text: str) -> None:
    made = render.environment()
    (link,) = tree(made.from_string('<a href="#{{ text }}" title="{{ text }}">x</a>').render(text=text)).all("a")
    assert link.attributes == {"href": f"#{visible(text)}", "title": visible(text)}
