"""Pages of HTML in Debian's Chromium, driven by Playwright: for the tests of the report's page, and for its pictures.

    with chromium() as browser, opened(browser, Path("report.html"), width=420, dark=True) as page:
        page.page.keyboard.press("Tab")
        page.said                     # errors and everything else on the console; [] is as it should be

Playwright's own browsers are not needed and not fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROGRAM = which("chromium") or which("chromium-browser") or which("google-chrome")
HEIGHT = 900


@dataclass
class Opened:
    """An open page, what it wrote to the console (errors and dialogs too), and the addresses that it asked for."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless browser. Playwright runs an event loop in this thread until it is closed, so `asyncio.run` fails here.

    Raises:
        RuntimeError: there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    if PROGRAM is None:
        raise RuntimeError("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(
    browser: Browser, file: Path, *, fragment: str = "", width: int = 1280, dark: bool = False, scale: float = 1.0
) -> Iterator[Opened]:
    """Open a page in a new window and wait until it is loaded and its scripts have run.

    Args:
        fragment: what follows the address, with its #.
        width: of the window, in pixels of the page; `scale`: pixels of a picture per pixel of the page.
    """
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if dark else "light",
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    found = Opened(context.new_page())
    found.page.on("console", lambda message: found.said.append(f"{message.type}: {message.text}"))
    found.page.on("pageerror", lambda error: found.said.append(f"error: {error}"))
    found.page.on("dialog", lambda dialog: (found.said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    found.page.on("request", lambda request: found.asked.append(request.url))
    try:
        found.page.goto(file.resolve().as_uri() + fragment)
        yield found
    finally:
        context.close()
