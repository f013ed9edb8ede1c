"""Makes pictures of the page of `sipf report`, of three real runs: the demo, word problems with scores, and programs.

    python -m docs.make_looks [--work runs/looks] [--only code]

The demo is that of `make demo`. The others are two small rounds of `examples/loop.sh` with a reward model. The run on
word problems also has a second arm with outcome feedback, and eight answers per problem from its last policy. The
script saves a picture of every part of each page, light and dark, 1280 and 420 pixels wide, in WORK/shots/RUN/. It
stops if the browser's console shows any message.
docs/report.png and docs/report-dark.png, for the README, show one problem of the programs. The runs resume, so a second
call takes a minute; the first took half an hour on two cores, beside other work.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from docs.chromium import Opened, chromium, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
SETTINGS = {
    "SFT_N": "72", "QUESTIONS_N": "150", "TEST_N": "150", "OOD_N": "60",
    # Every rollout is made, of half of the problems, and each update is logged, so that each chart has its numbers.
    "SIPF_SIMULATE_STRATEGY": "brute", "SIPF_SIMULATE_SHARE": "0.5", "SIPF_TRAIN_PRM_EPOCHS": "2",
    "SIPF_ORPO_LOGGING_STEPS": "1",
}  # fmt: skip
"""Of the small runs; all else is as in the demo."""
_ASSIGNED = " ".join(f"{name}={value}" for name, value in SETTINGS.items())
LOOP = f"env {_ASSIGNED} bash {ROOT}/examples/loop.sh --config {ROOT}/examples/demo.toml --rounds 2"
RUNS = {
    "demo": (
        f"env OUT=demo bash {ROOT}/examples/demo.sh",
        "sipf report demo/labels demo/siof demo/siof-tokens -o demo.html --figures demo/figures",
    ),
    "chain": (
        f"{LOOP} --task chain --out chain/scores",
        f"{LOOP} --task chain --rule outcome --sft-from chain/scores --paths-of chain/scores --out chain/outcome",
        "sipf eval chain/scores/data/eval.jsonl --model chain/scores/m2 -n 8 --temperature 0.8 "
        "-o chain/scores/eval/drawn.jsonl",
        "sipf report chain/scores chain/outcome -o chain.html --figures chain/figures",
    ),
    "code": (
        f"{LOOP} --task functions --out code/programs",
        "sipf report code/programs -o code.html --figures code/figures",
    ),
}
WIDTHS = (1280, 420)
TALLEST = 1400
"""Pixels of one picture; a taller part gives several."""
BEST = """() => {
    const { problems } = JSON.parse(document.getElementById("problems-data").textContent);
    const lines = (view) => view.paths.concat(view.pairs).map((one) => one.pieces || one.chosen.concat(one.rejected))
        .reduce((sum, part) => sum + part.length, 0);
    const shows = (view) => view.pairs.length && ["right", "wrong"].every((kind) => view.paths.some(
        (path) => path.labelled && path.correct === (kind === "right") && path.id !== "#gold"
            && (kind === "right" || path.pieces.some((piece) => piece[4]))));
    const found = problems.filter((one) => shows(one.views[0])).sort((a, b) => lines(a.views[0]) - lines(b.views[0]));
    return found.length ? found[0].id : null;
}"""
"""The problem with the fewest lines whose first round has a right path, a wrong one with a first wrong step, a pair."""


def run(commands: tuple[str, ...], work: Path) -> None:
    """Run the commands in the folder `work`; those that are complete do nothing."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in commands:
        print(f"+ {command}", file=sys.stderr)
        environment = {**os.environ, "PATH": path}
        subprocess.run(command.split(), cwd=work, env=environment, stdout=subprocess.DEVNULL, check=True)


def parts(found: Opened, folder: Path, ending: str) -> None:
    """A picture of the head of the page and of each of its sections."""
    names: list[str] = found.page.eval_on_selector_all("section", "all => all.map((one) => one.id)")
    for name in ("header", *names):
        picture(found, "body > header" if name == "header" else f"#{name}", folder, f"{name}-{ending}")


def picture(found: Opened, selector: str, folder: Path, name: str) -> None:
    """Pictures of a part from top to bottom, as wide as the window, none taller than `TALLEST`."""
    box = found.page.locator(selector).bounding_box()
    if box is None:
        raise SystemExit(f"{selector} is not on the page")
    top = box["y"] + found.page.evaluate("scrollY")
    heights = range(0, int(box["height"]) + 1, TALLEST)
    for start in heights:
        clip = {"x": 0, "y": top + start, "width": found.page.viewport_size["width"],
                "height": min(TALLEST, box["height"] - start)}  # fmt: skip
        number = f"-{start // TALLEST + 1}" if len(heights) > 1 else ""
        found.page.screenshot(path=folder / f"{name}{number}.png", full_page=True, clip=clip)


def shoot(browser: Browser, page: Path, folder: Path) -> None:
    """Every part of a page, light and dark, wide and narrow."""
    folder.mkdir(parents=True, exist_ok=True)
    for width in WIDTHS:
        for dark in (False, True):
            with opened(browser, page, width=width, dark=dark) as found:
                parts(found, folder, f"{width}-{'dark' if dark else 'light'}")
                if found.said or len(found.asked) > 1:
                    raise SystemExit(f"{page} at {width}: {found.said}, asked for {found.asked}")


def best_part(browser: Browser, page: Path) -> None:
    """The pictures in the README: one problem, its first round."""
    for dark in (False, True):
        with opened(browser, page, width=1060, dark=dark, scale=1.25) as found:
            identity = found.page.evaluate(BEST)
            if identity is None:
                raise SystemExit(f"{page} has no problem that would make a good picture")
            found.page.evaluate("(id) => { location.hash = '#problem=' + encodeURIComponent(id); }", identity)
            found.page.wait_for_function(
                "(id) => document.getElementById('problems-one-title').textContent === id", arg=identity
            )
            found.page.evaluate("document.querySelectorAll('.view ~ .view').forEach((one) => one.remove())")
            one = found.page.locator("#problems-one")
            found.page.evaluate("document.activeElement.blur()")
            one.screenshot(path=DOCS / f"report{'-dark' if dark else ''}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / "runs/looks", help="folder of the runs and pictures")
    parser.add_argument("--only", choices=RUNS, help="this run alone")
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    names = [chosen.only] if chosen.only else list(RUNS)
    for name in names:
        run(RUNS[name], work)
    with chromium() as browser:
        for name in names:
            shoot(browser, work / f"{name}.html", work / "shots" / name)
        if "code" in names:
            best_part(browser, work / "code.html")


if __name__ == "__main__":
    main()
