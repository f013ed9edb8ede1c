"""The page in a browser: what it shows after its scripts have run, the keyboard, its width and its colours.

Every test here uses one Chromium, which starts with the first of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from docs.chromium import PROGRAM, Opened, chromium, opened
from stages.page.problems import problem_section
from stages.page.render import page
from stages.report import report, write_page
from stages.settings.report import ReportSettings
from stages.shown import visible
from tests.html_pages import Element, tree
from tests.stages.page.rounds import line, save_rounds, written
from tests.stages.page.run_folder import HOSTILE as HOSTILE_NAME
from tests.stages.page.run_folder import save_hostile, save_loop

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium here (apt-get install chromium)")

HOSTILE = "</script><script>failures.push('script ran')</script><img src=x onerror=\"failures.push('image ran')\">"
TURNED = "\u202egnp.exe\u202c \u2028 \x00\x1b[2J שלום {{ 7 * 7 }} <!--"
SIGNS = [
    {"sign": "plateau", "why": "+0.5 points against the round before (p = 0.6)", "advice": "Take new questions."},
    {"sign": "weak reward model", "why": "right about 64.6% of 48 held-out steps", "advice": "Give it more labels."},
]
Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole page of a loop with every part: results, health, costs, a reward model, training, problems."""
    folder = save_loop(save_rounds(tmp_path_factory.mktemp("run") / "demo"))
    health = [
        {"round": n, "accuracy": 0.7, "interval": [0.4, 0.9], "gain": 0.005, "p": 0.6, "signs": SIGNS, "best": 1,
         "best_model": "m1", "chosen_on": "test", "stop": None, "drawn": {"distinct_per_draw": 0.5}}
        for n in (1, 2)
    ]  # fmt: skip
    (folder / "health.jsonl").write_text("".join(json.dumps(row) + "\n" for row in health))
    out = folder.parent / "report.html"
    write_page([folder], report([folder], ReportSettings()), ReportSettings(), out, None)
    return out


@pytest.fixture(scope="module")
def show() -> Iterator[Open]:
    """Opens pages, which stay open until the last test of this module has run."""
    with ExitStack() as stack:
        browser = stack.enter_context(chromium())
        yield lambda file, **how: stack.enter_context(opened(browser, file, **how))


@pytest.fixture
def browser_of_problems(tmp_path: Path) -> Path:
    """A page with nothing but the problems of two rounds and two policies."""
    file = tmp_path / "page.html"
    made = page("Problems", "", [], "", problem_section({"run": save_rounds(tmp_path / "run")}, most=99, seed=0))
    file.write_text(made, encoding="utf-8")
    return file


def rows(found: Opened) -> list[str]:
    """The ids in the list of problems."""
    return found.page.locator("#problems-list .id").all_inner_texts()


def title(found: Opened) -> str:
    return found.page.locator("#problems-one-title").inner_text()


def counted(found: Opened) -> str:
    return found.page.locator("#problems-count").inner_text()


def test_the_page_is_shown_without_an_error_and_asks_for_nothing_else(whole: Path, show: Open) -> None:
    found = show(whole)
    assert (found.said, found.asked) == ([], [whole.as_uri()])
    shown, expected = tree(found.page.content()), tree(whole.read_text(encoding="utf-8"))
    assert [part.name for part in outside(shown)] == [part.name for part in outside(expected)]
    assert len(rows(found)) > 9, "the script has filled in the problems"


def outside(root: Element) -> Iterator[Element]:
    """Every element outside the browser of problems, which a script fills in."""
    for part in root.parts:
        if isinstance(part, Element) and part.attributes.get("id") != "problems":
            yield part
            yield from outside(part)


def test_problems_are_filtered_searched_and_paged(browser_of_problems: Path, show: Open) -> None:
    found = show(browser_of_problems)
    at = found.page
    assert (rows(found), title(found)) == ([f"q/{i}" for i in range(12)], "q/0")
    assert at.locator("#problems-page").inner_text() == "page 1 of 6"
    marks = "".join(at.locator("#problems-one td.mark").all_inner_texts())
    assert marks.replace("✗", "-").replace("✓", "+") == "+++--" * 2
    at.click("#problems-later")
    assert rows(found)[0] == "q/12"
    for name, chosen, count in (("odd", "wrong-step", 13), ("odd", "disagree", 12), ("none", "no right path", 12)):
        at.select_option(f"#problems-{name}", chosen)
        assert counted(found).startswith(f"{count} of 70 problems match."), chosen
        at.select_option(f"#problems-{name}", "")
    assert counted(found).startswith("All 70 problems.")
    at.select_option("#problems-odd", "changes")
    assert rows(found) == [f"t/{i}" for i in range(1, 20, 2)]
    at.click("#problems-filter button")
    at.select_option("#problems-split", "test")
    assert rows(found) == [f"t/{i}" for i in range(12)]
    at.select_option("#problems-answers", "none-right")
    assert rows(found) == []
    at.select_option("#problems-split", "")
    at.select_option("#problems-answers", "")
    at.fill("#problems-search", "what q/7?")
    assert rows(found) == ["q/7"]
    assert found.said == []


def test_keys_walk_through_the_problems_but_not_while_one_types(browser_of_problems: Path, show: Open) -> None:
    found = show(browser_of_problems)
    at = found.page
    at.focus("#problems-one")
    for key in ("j", "j", "k", "ArrowRight"):
        at.keyboard.press(key)
    assert title(found) == "q/2"
    assert at.evaluate("[location.hash, document.activeElement.id]") == ["#problem=q%2F2", "problems-one"]
    at.keyboard.press("ArrowLeft")
    assert title(found) == "q/1"
    at.focus("#problems-search")
    at.keyboard.type("jj")
    assert (title(found), at.input_value("#problems-search")) == ("q/1", "jj")
    at.keyboard.press("Enter")
    assert at.url.startswith(browser_of_problems.as_uri()), "the form goes nowhere"
    assert found.said == []


def test_a_link_opens_its_problem_and_says_if_there_is_none(browser_of_problems: Path, show: Open) -> None:
    found = show(browser_of_problems, fragment="#problem=t%2F13")
    at = found.page
    assert title(found) == "t/13"
    at.fill("#problems-search", "q/7")
    at.evaluate("location.hash = '#problem=q%2F12'")
    at.wait_for_function("document.getElementById('problems-one-title').textContent === 'q/12'")
    assert at.input_value("#problems-search") == "", "what hid it is cleared"
    at.evaluate("location.hash = '#problem=%3Cb%3Egone'")
    at.wait_for_function("!document.getElementById('problems-one-title')")
    assert at.locator("#problems-one").inner_text().startswith("<b>gone is not in the sample")
    assert found.said == []


def test_a_program_has_its_outcome_where_others_have_an_answer(tmp_path: Path, show: Open) -> None:
    ends = {"passed": True, "wrong": False, "timeout": False}
    paths = [{"text": "x", "steps": ["x"], "correct": right, "outcome": end} for end, right in ends.items()]
    written(tmp_path / "run/r0/paths.jsonl", [line("q/0", *paths, {"text": "y", "steps": ["y"], "correct": False})])
    file = tmp_path / "page.html"
    section = problem_section({"run": tmp_path / "run"}, most=9, seed=0)
    file.write_text(page("Problems", "", [], "", section), encoding="utf-8")
    heads = show(file).page.locator("#problems-one h5 > span:nth-child(2)").all_inner_texts()
    assert heads == ["✓ right, passed", "✗ wrong", "✗ wrong, timeout", "✗ wrong, no answer"]


def test_hostile_texts_are_text(tmp_path: Path, show: Open) -> None:
    bad = f"{HOSTILE} {TURNED}"
    text = f"{bad}\n{'<b>' * 34_000}\nThe answer is {bad}"
    path = {
        "text": text, "steps": [bad, "<b>" * 34_000], "answer": bad, "correct": True, "failure": bad,
        "labels": [{"k": 2, "draws": 2, "hits": 0, "settled": True}] * 2,
        "scores": {bad: {"steps": [0.5, 0.1], "mean": 0.3, "min": 0.1, "product": 0.05, "last": 0.1}},
    }  # fmt: skip
    row = line(bad, path, {**path, "correct": False}, question=bad, choices=[bad], split=bad, task="chain")
    row["paths"][1]["text"] += " "
    written(tmp_path / "run<b>/r0/scored.jsonl", [row])
    pair = {"id": f"{bad}#0>1", "problem": bad, "rule": bad, "prefix": f"{bad}\n", "chosen": bad, "rejected": "x"}
    written(tmp_path / "run<b>/r0/pairs.jsonl", [pair])
    written(tmp_path / "run<b>/r0/pairs.jsonl.reasons.jsonl", [{"problem": bad, "rule": bad, "reason": bad}])
    made = page("Problems", "", [], "", problem_section({bad: tmp_path / "run<b>"}, most=9, seed=0))
    file = tmp_path / "page.html"
    file.write_text(made.replace("<style>", "<script>var failures = [];</script><style>", 1), encoding="utf-8")
    assert "\u202e" not in made
    for width in (1280, 420):
        found = show(file, width=width)
        at = found.page
        assert (at.evaluate("failures"), found.said, found.asked) == ([], [], [file.as_uri()])
        assert at.locator("#problems-one").inner_text().count("script ran") > 10, "it is there to be read"
        counts = "[document.scripts.length, document.images.length, document.querySelectorAll('b').length]"
        assert at.evaluate(counts) == [3, 0, 0]
        assert title(found) == visible(bad)
        assert "\\u202egnp.exe" in title(found)
        assert at.locator("#problems-one code").first.inner_text().endswith(" :1")
        assert 2_000 < max(map(len, at.locator("td.text").all_text_contents())) < 2_100
        assert too_wide(found) == [], "no text makes the page wider than the window"
        assert at.locator(".flag").count() == 5


@pytest.mark.parametrize("width", [420, 1280])
def test_a_whole_page_of_hostile_texts_is_text(tmp_path: Path, show: Open, width: int) -> None:
    file = tmp_path / "report.html"
    folder, settings = save_hostile(tmp_path / "run"), ReportSettings(against=HOSTILE_NAME)
    write_page([folder], report([folder], settings), settings, file, None)
    found = show(file, width=width)
    found.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert (found.said, found.asked) == ([], [file.as_uri()]), "no error, no dialog, nothing fetched"
    assert found.page.evaluate("[document.scripts.length, document.querySelectorAll('main, style').length]") == [2, 2]
    assert found.page.locator("body").inner_text().count("<script>alert(1)</script>") > 20
    assert too_wide(found) == []


def too_wide(found: Opened) -> list[str]:
    """What reaches out of the window, unless it can be scrolled on its own."""
    reaching: list[str] = found.page.evaluate("""() => [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
        .filter((one) => !one.closest(".scroll > *, svg *, .skip"))
        .map((one) => one.tagName + "." + one.className + "#" + one.id)""")
    return reaching


@pytest.mark.parametrize("width", [420, 1280])
def test_nothing_reaches_out_of_the_window_and_names_are_not_broken(whole: Path, show: Open, width: int) -> None:
    found = show(whole, width=width)
    found.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert too_wide(found) == []
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    heads = found.page.locator("table.steps th.figure span").all()
    assert {head.inner_text() for head in heads} >= {"hits/draws", "prm"}
    assert all((box := head.bounding_box()) and box["height"] < 24 for head in heads), "each stands in one line"


def test_tab_reaches_everything_that_can_be_used_and_shows_where_it_is(whole: Path, show: Open) -> None:
    found = show(whole)
    at = found.page
    at.keyboard.press("Tab")
    assert at.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert at.evaluate("document.activeElement.getBoundingClientRect().left") >= 0, "it is seen once it has the focus"
    at.evaluate("window.walked = new Set([document.activeElement])")
    step = """() => {
        const one = document.activeElement, how = getComputedStyle(one), box = one.getBoundingClientRect();
        if (one === document.body || one === document.documentElement) return "end";
        const told = (fault) => fault + ": " + one.outerHTML.slice(0, 200);
        if (walked.has(one)) return told("twice");
        walked.add(one);
        if (how.outlineStyle === "none" || parseFloat(how.outlineWidth) < 1) return told("no outline");
        return box.bottom > 0 && box.top < innerHeight ? "" : told("out of sight");
    }"""
    faults = []
    for _ in range(500):
        at.keyboard.press("Tab")
        fault = at.evaluate(step)
        if fault == "end":
            break
        faults += [fault] if fault else []
    assert (fault, faults) == ("end", [])
    usable = "a[href], button:enabled, input, select, summary, [tabindex='0']"
    left: list[str] = at.evaluate(
        """(usable) => [...document.querySelectorAll(usable)]
        .filter((one) => one.checkVisibility() && !walked.has(one)).map((one) => one.outerHTML.slice(0, 200))""",
        usable,
    )
    assert left == []
    assert at.evaluate("walked.size") > 40
    at.locator("details > summary").first.focus()
    at.keyboard.press("Enter")
    assert at.evaluate("document.activeElement.parentElement.open"), "a table opens with the keyboard"
    assert found.said == []


CONTRAST = """() => {
    const PASSED_OVER = "script, style, option, title, desc, button:disabled";
    const channel = (c) => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const ground = (one) => {
        for (let at = one; at; at = at.parentElement) {
            const found = numbers(getComputedStyle(at).backgroundColor);
            if (found.length < 4 || found[3] === 1) return found;
        }
        return [255, 255, 255];
    };
    const faint = new Map();
    for (const one of document.querySelectorAll("body *")) {
        const own = [...one.childNodes].some((part) => part.nodeType === 3 && part.textContent.trim());
        if (!own || !one.checkVisibility() || one.matches(PASSED_OVER)) continue;
        const how = getComputedStyle(one);
        const [a, b] = [light(numbers(one.closest("svg") ? how.fill : how.color)), light(ground(one))];
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        if (ratio < 4.5) faint.set(one.tagName + "." + one.getAttribute("class"), ratio.toFixed(2));
    }
    return Object.fromEntries(faint);
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_every_text_can_be_told_from_its_ground(whole: Path, show: Open, dark: bool) -> None:
    found = show(whole, dark=dark)
    found.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert found.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == dark
    ground = found.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
    assert found.page.evaluate(CONTRAST) == {}, "WCAG AA: 4.5 to 1"


def test_colour_never_says_anything_alone(whole: Path, show: Open) -> None:
    found = show(whole)
    for kind, sign in (("right", "✓"), ("wrong", "✗")):
        marks = found.page.locator(f"#problems-one tr.{kind} > td.mark").all_inner_texts()
        assert marks, kind
        assert set(marks) == {sign}
    dashes: list[list[str | None]] = found.page.evaluate("""() => [...document.querySelectorAll("svg.chart")].map(
        (chart) => [...chart.querySelectorAll("path.line")].map((one) => one.getAttribute("stroke-dasharray")))""")
    assert any(len(set(lines)) > 1 for lines in dashes)
