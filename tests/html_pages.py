"""A page of HTML as a tree, made with the standard library; a page whose elements do not close is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input", "wbr"}


@dataclass
class Element:
    """An element, its attributes, and what is in it."""

    name: str
    attributes: dict[str, str | None]
    parts: list[Element | str] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Every element of that name inside."""
        for part in self.parts:
            if isinstance(part, Element):
                if part.name == name:
                    yield part
                yield from part.all(name)

    def everything(self) -> Iterator[Element]:
        """Every element inside."""
        for part in self.parts:
            if isinstance(part, Element):
                yield part
                yield from part.everything()

    def text(self) -> str:
        """All text inside."""
        return "".join(part if isinstance(part, str) else part.text() for part in self.parts)

    def cells(self) -> list[list[str]]:
        """The rows of a table, as text."""
        return [
            [cell.text() for cell in row.parts if isinstance(cell, Element) and cell.name in ("th", "td")]
            for row in self.all("tr")
        ]


class _Tree(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(set(names)) == len(names), f"<{tag}> has an attribute twice"
        made = Element(tag, dict(attrs))
        self.open[-1].parts.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].parts.append(Element(tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].parts.append(data)


def tree(text: str) -> Element:
    """The page as a tree. Raises AssertionError where an element is not closed, or closes another."""
    parser = _Tree()
    parser.feed(text)
    parser.close()
    assert parser.open == [parser.root], f"<{parser.open[-1].name}> is never closed"
    return parser.root
