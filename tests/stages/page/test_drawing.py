"""Charts as SVG: well formed, told apart without colour, and harmless whatever their names say."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from stages.page.charts import Axis, Chart, Kind, Point, Series
from stages.page.drawing import COLOURS, DASHES, TOP, file_of, svg
from stages.page.svg import element

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script> \"'&]]> \x00\x1b[31m \u202egnp.exe\u202c </svg> --> <!-- \ufffe"


def chart(kind: Kind = "lines", names: int = 3, said: str = "series") -> Chart:
    series = tuple(
        Series(f"{said} {n}", tuple(Point(x, x * n, x * n - 1, x * n + 1) for x in range(4))) for n in range(names)
    )
    axis = Axis("x", ("one", "two", "three", "four")) if kind == "bars" else Axis("x")
    return Chart(f"chart-{kind}", f"Title {said}", axis, Axis(f"y {said}"), series, kind, f"Note {said}.")


@pytest.mark.parametrize("kind", ["lines", "bars", "steps"])
def test_a_file_is_well_formed_and_says_what_it_shows(kind: Kind) -> None:
    root = ElementTree.fromstring(file_of(chart(kind)).encode())
    assert root.tag == f"{SVG}svg"
    said = {root.find(f"{SVG}{name}").get("id"): root.find(f"{SVG}{name}").text for name in ("title", "desc")}  # type: ignore[union-attr]  # else the test fails
    assert root.get("aria-labelledby", "").split() == list(said)
    assert root.get("role") == "img"
    assert all(said.values())
    assert root.find(f"{SVG}style") is not None
    assert "style" not in str(svg(chart(kind))), "on the page the page's own styles are used"
    texts = {text.text for text in root.iter(f"{SVG}text")}
    assert {"series 0", "series 1", "series 2", "Title series"} <= texts


def test_lines_differ_in_dash_and_marker_as_well_as_in_colour() -> None:
    root = ElementTree.fromstring(svg(chart(names=6)))
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class", "").startswith("s")]
    lines = [next(part for part in group if part.get("class") == "line") for group in groups[:6]]
    assert len({line.get("stroke-dasharray") for line in lines}) == len(DASHES) == 6
    marks = [next(part for part in group if part.get("class") == "mark") for group in groups[:6]]
    shapes = {(mark.tag, (mark.get("d") or "").count("L")) for mark in marks}
    assert len(shapes) >= 4
    assert len({group.get("class") for group in groups}) == COLOURS


def test_more_lines_than_colours_are_told_apart_by_dash_and_marker_too() -> None:
    root = ElementTree.fromstring(svg(chart(names=2 * COLOURS)))
    styles = [
        (group.get("class"), line.get("stroke-dasharray"))
        for group in root.iter(f"{SVG}g")
        for line in group.findall(f"{SVG}path")
        if line.get("class") == "line"
    ]
    assert len(set(styles)) == 2 * COLOURS
    assert len(styles) == 4 * COLOURS, "each in the drawing and in the legend"


def test_whatever_a_name_says_is_text() -> None:
    text = file_of(chart(said=HOSTILE))
    root = ElementTree.fromstring(text.encode())
    assert {part.tag for part in root.iter()} <= {f"{SVG}{name}" for name in (
        "svg", "title", "desc", "style", "g", "path", "line", "text", "circle", "rect",
    )}  # fmt: skip
    assert "<script>" in "".join(root.itertext()), "shown, not run"
    assert not any(letter in text for letter in "\x00\x1b\u202e\u202c\ufffe")


def test_texts_and_attributes_of_an_element_are_escaped_and_what_cannot_be_seen_is_spelled_out() -> None:
    assert element("text", "a\x00\u202e", id="\x1b") == '<text id="\\x1b">a\\x00\\u202e</text>'
    assert element("text", "a < b", x=4.0, fill=None, class_="l") == '<text x="4" class="l">a &lt; b</text>'
    assert element("g", id='"><script>') == '<g id="&#34;&gt;&lt;script&gt;"></g>'


def test_one_point_no_point_and_equal_points_are_drawn() -> None:
    for points in ((), (Point(1, 5),), (Point(1, 5), Point(2, 5))):
        for kind in ("lines", "steps"):
            ElementTree.fromstring(svg(Chart("c", "t", Axis("x"), Axis("y"), (Series("s", points),), kind)))
    ElementTree.fromstring(svg(Chart("c", "t", Axis("x", ()), Axis("y"), (), "bars")))


def test_a_series_with_a_style_of_its_own_looks_the_same_in_every_chart() -> None:
    def groups(*series: Series) -> list[str | None]:
        drawn = ElementTree.fromstring(svg(Chart("c", "t", Axis("x"), Axis("y"), series)))
        return [one.get("class") for one in drawn.iter(f"{SVG}g") if one.get("class")]

    points = (Point(0, 1), Point(1, 2))
    first, second = Series("a", points, style=0), Series("b", points, style=1)
    assert groups(first, second) == ["s0", "s1", "s0", "s1"], "drawn, and in the legend"
    assert groups(second) == ["s1"]
    assert groups(Series("b", points)) == ["s0"]


def test_values_that_are_nearly_equal_far_from_the_start_of_the_axis_stay_below_its_end() -> None:
    points = (Point(0, 37.25), Point(1, 37.24))
    drawn = Chart("length", "Length", Axis("round", ("1", "2")), Axis("tokens", low=0.0), (Series("one", points),))
    root = ElementTree.fromstring(svg(drawn))
    marks = [part for part in root.iter(f"{SVG}circle") if part.get("class") == "mark"]
    assert all(float(mark.get("cy", "0")) > TOP + 5 for mark in marks[:2])
    assert len(marks) >= 2
