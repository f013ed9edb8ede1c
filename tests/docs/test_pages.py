"""What the pages point at exists, and the line that docs/line.md shows is one, with every key explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from docs import make_terminal
from evals.records import Problem
from tests.docs.pages import PAGES, ROOT, blocks

FOLDERS = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
MADE = ("runs/", "build/", "dist/")
"""Folders that commands make."""
LINK = re.compile(r"\]\(([^)\s]+)\)")
NAME = re.compile(r"`((?:[\w.-]+/)+[\w.-]*)`")


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The headings of a page as GitHub links to them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path) -> None:
    names = [name for name in NAME.findall(prose(page)) if name.startswith(FOLDERS) and not name.startswith(MADE)]
    missing = [name for name in names if "NAME" not in name and not (ROOT / name).exists()]
    assert not missing


def test_every_page_is_linked_from_the_readme() -> None:
    linked = set(LINK.findall(prose(ROOT / "README.md")))
    assert {f"docs/{page.name}" for page in PAGES if page.parent.name == "docs"} <= linked


def test_the_readme_opens_with_a_short_sentence_and_fits_two_screens() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split("\n\n")[1].split()) <= 25
    assert len(text.splitlines()) <= 140


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys(part)


def test_the_line_on_its_page_is_a_problem_with_labels_and_scores_and_every_key_is_explained() -> None:
    page = ROOT / "docs/line.md"
    (shown,) = [block.text for block in blocks(page) if block.language == "json"]
    (path,) = Problem.from_row(json.loads(shown)).paths
    assert path.labels
    assert path.scores
    explained = set(re.findall(r"`(\w+)`", prose(page)))
    assert set(keys(json.loads(shown))) - {"prm"} <= explained


def test_the_picture_is_text_that_follows_the_colour_scheme_and_loads_nothing() -> None:
    picture = (ROOT / "docs/line.svg").read_text(encoding="utf-8")
    drawn = ElementTree.fromstring(picture)
    said = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"sipf sample", "sipf simulate", "sipf score", "sipf pairs", "chosen", "rejected"} <= set(said)
    assert "prefers-color-scheme: dark" in picture
    assert "url(" not in picture
    assert "href" not in picture


def test_the_recording_has_every_command_in_its_order_and_loads_nothing() -> None:
    picture = (ROOT / "docs/terminal.svg").read_text(encoding="utf-8")
    said = [element.text or "" for element in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert [line for line in said if line.startswith("sipf ")] == list(make_terminal.COMMANDS)
    assert any("first wrong step" in line for line in said[said.index(make_terminal.COMMANDS[-1]) :])
    assert "prefers-reduced-motion" in picture
    assert set(re.findall(r"url\((.*?)\)", picture)) == {"#screen"}
    assert "href" not in picture


def test_pictures_are_small_and_shown_on_a_page() -> None:
    pictures = [path for path in (ROOT / "docs").iterdir() if path.suffix in (".svg", ".png")]
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(pictures) >= 4
    for picture in pictures:
        assert picture.stat().st_size <= 200_000, picture.name
        assert picture.name in shown
