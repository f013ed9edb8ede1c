"""The browser of problems: which problems are drawn, what is said of them, and what Chromium makes of hostile texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stages.files.reading import BadLines
from stages.page import problems
from stages.page.problems import problem_section
from stages.page.render import page
from stages.pairs import write_pairs
from stages.seeds import lot
from stages.settings.pairs import PairSettings
from stages.shown import visible
from tests.stages.page.chromium import needs_chromium, opened
from tests.stages.pairing.questions import solved

CATCH = '<script>var failures = []; addEventListener("error", (event) => failures.push(event.message));</script>'
HOSTILE = "</script><script>failures.push('script ran')</script><img src=x onerror=\"failures.push('image ran')\">"
TURNED = "\u202egnp.exe\u202c \u2028 \x00\x1b[2J שלום {{ 7 * 7 }} <!--"


def written(path: Path, rows: Iterable[Mapping[str, Any]], **manifest: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")
    if manifest:
        Path(f"{path}.manifest.json").write_text(json.dumps({"complete": True, **manifest}))
    return path


def line(identity: str, *paths: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = [{**path, "id": f"{identity}#{i}"} for i, path in enumerate(paths)]
    row = {"id": identity, "task": "chain", "question": f"What is {identity}?", "answer": "76", "paths": made}
    return {**row, "split": "train", **fields}


RIGHT = solved(0, "ab", True, labels=[True, True], scores=[0.9, 0.8])
WRONG = solved(1, "acd", labels=[True, False, False], scores=[0.9, 0.2, 0.1])
BY_WRONG_STEP = solved(2, "ab", True, labels=[False, True], scores=[0.1, 0.9])
ODD = solved(3, "ab", labels=[True, False], scores=[0.9, 0.8])


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    """Two rounds of forty problems, the second scored and with ten of its own, and two policies' results."""
    kinds = [[RIGHT, WRONG], [BY_WRONG_STEP, WRONG], [WRONG, ODD], [WRONG]]
    first = [line(f"q/{i}", *({**path, "scores": None} for path in kinds[i % 4])) for i in range(40)]
    second = [line(f"q/{i}", *kinds[i % 4]) for i in range(50)]
    written(tmp_path / "run/r0/labels.jsonl", first)
    written(tmp_path / "run/r1/paths.jsonl", [])
    scored = written(tmp_path / "run/r1/scored.jsonl", second)
    write_pairs(str(scored), str(scored.with_name("pairs.jsonl")), PairSettings(rule=("outcome",)), BadLines())
    for number, name in enumerate(("sft", "round1")):
        answers = [solved(0, "ab", number == 1 or i % 2 == 0, source="eval") for i in range(20)]
        rows = [line(f"t/{i}", answer, split="test") for i, answer in enumerate(answers)]
        written(tmp_path / f"run/eval/{name}.jsonl", rows, finished=f"2026-01-0{number + 1}")
    return tmp_path / "run"


def by_id(section: Mapping[str, Any]) -> dict[str, Any]:
    return {problem["id"]: problem for problem in section["problems"]}


def test_the_same_problems_are_drawn_in_every_file_by_their_ids_and_the_seed(loop: Path) -> None:
    drawn = problem_section({"run": loop}, most=8, seed=3)
    for kind, count in (("q", 50), ("t", 20)):
        ids = sorted((f"{kind}/{i}" for i in range(count)), key=lambda identity: lot(identity, 3))[:8]
        assert {identity for identity in by_id(drawn) if identity[0] == kind} == set(ids)
    sample = drawn["sample"]
    assert (sample["taken"], sample["drawn"], sample["of"], sample["seed"]) == (16, 16, 70, 3)
    for identity, problem in by_id(drawn).items():
        rounds = ["sft", "round1"] if identity[0] == "t" else ["round 0", "round 1"][int(identity[2:]) >= 40 :]
        assert [view["name"] for view in problem["views"]] == rounds
        for view in problem["views"]:
            assert json.loads(Path(view["file"]).read_text().splitlines()[view["line"] - 1])["id"] == identity
            assert view["command"] == f"sipf show {view['file']} {identity}"
    assert list(by_id(drawn)) == sorted(by_id(drawn), key=lambda identity: (identity[0], int(identity[2:])))
    assert by_id(problem_section({"run": loop}, most=8, seed=4)).keys() != by_id(drawn).keys()


def test_what_is_odd_about_a_problem_is_decided_here(loop: Path) -> None:
    found = by_id(problem_section({"run": loop}, most=99, seed=0))
    flags = [["right", "wrong"], ["right", "wrong", "wrong-step"], ["disagree", "wrong"], ["wrong"]]
    for i in range(50):
        assert found[f"q/{i}"]["flags"] == flags[i % 4]
        reasons = {2: ["no right path"], 3: ["fewer than two usable paths"]}
        assert found[f"q/{i}"]["none"] == reasons.get(i % 4, [])
    assert found["t/1"]["flags"] == ["changes", "right", "wrong"]
    assert found["t/2"]["flags"] == ["right"]
    assert [(view["right"], view["judged"]) for view in found["t/1"]["views"]] == [(0, 1), (1, 1)]


def test_a_step_has_its_text_verdict_label_and_scores_and_a_pair_its_branches(loop: Path) -> None:
    before, after = by_id(problem_section({"run": loop}, most=99, seed=0))["q/1"]["views"]
    first, second = after["paths"]
    assert first["pieces"][:2] == [
        ["a+2=1", 0, "0/2", [[0.1, 0, 1]], "first"], ["b+2=1", 1, "1/2", [[0.9, 1, 1]]]
    ]  # fmt: skip
    assert first["pieces"][2] == ["The answer is 76"]
    assert first["notes"] == ["right answer by a wrong step"]
    assert (first["correct"], second["correct"], first["names"]) == (True, False, ["prm"])
    assert "names" not in before["paths"][0]
    (pair,) = after["pairs"]
    assert (pair["shared"], pair["chosen"][0], pair["rejected"][0]) == ([], "a+2=1", "a+1=1")
    assert (pair["chosen_correct"], pair["rejected_correct"], pair["rule"]) == (True, False, "outcome")
    odd = by_id(problem_section({"run": loop}, most=99, seed=0))["q/2"]["views"][1]["paths"][1]
    assert odd["pieces"][1][3] == [[0.8, 1, 0]]


def test_a_round_that_repeats_the_one_before_shows_its_paths_once(loop: Path) -> None:
    written(loop / "r2/pool.jsonl", [json.loads(raw) for raw in (loop / "r1/scored.jsonl").read_text().splitlines()])
    views = by_id(problem_section({"run": loop}, most=99, seed=0))["q/5"]["views"]
    assert [("same" in view, len(view["paths"])) for view in views] == [(False, 2), (False, 2), (True, 0)]


def test_two_loops_stand_side_by_side_under_their_names(loop: Path) -> None:
    found = by_id(problem_section({"a": loop, "b": loop}, most=3, seed=0))
    names = {tuple(view["name"] for view in problem["views"]) for problem in found.values()}
    assert ("a, sft", "a, round1", "b, sft", "b, round1") in names


def test_long_texts_are_cut_and_counted_and_the_whole_stays_within_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = {"text": "x" * 100_000, "steps": ["x" * 100_000], "correct": False}
    rows = [line(f"q/{i}", *[long] * 40, question="é<" * 1_500) for i in range(30)]
    written(tmp_path / "r0/paths.jsonl", rows)
    one = problem_section({"run": tmp_path}, most=1, seed=0)
    assert one["problems"][0]["views"][0]["more"] == 8
    assert one["sample"]["cut"] == {"texts": 33, "characters": 32 * 98_000 + 1_000, "paths": 8, "lines": 0}
    assert one["problems"][0]["question"].endswith(" ... [1,000 more characters]")
    monkeypatch.setattr(problems, "BYTES", 300_000)
    some = problem_section({"run": tmp_path}, most=30, seed=0)
    assert 1 < some["sample"]["taken"] < some["sample"]["drawn"] == 30
    assert len(page_of(some)) - len(page_of({**some, "problems": []})) <= 300_000
    lots = sorted((row["id"] for row in rows), key=lambda identity: lot(identity, 0))
    assert set(by_id(some)) == set(lots[: some["sample"]["taken"]])


def test_an_empty_folder_has_no_problems(tmp_path: Path) -> None:
    assert problem_section({"run": tmp_path}, most=9, seed=0)["problems"] == []


def page_of(section: Mapping[str, Any], then: str = "") -> str:
    """The page with nothing but the browser of problems; `then` is a script that runs at its end."""
    made = page("Problems", "", [], "", section)
    return made.replace("<style>", f"{CATCH}<style>", 1).replace("</body>", f"<script>{then}</script></body>")


SAY = """
const told = {};
const say = (name, value) => { told[name] = value; };
const byId = (name) => document.getElementById(name);
const press = (key) =>
  (document.activeElement || document.body).dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const set = (name, value) => { byId(name).value = value; byId(name).dispatchEvent(new Event("input")); };
const rows = () => [...document.querySelectorAll("#problems-list .id")].map((one) => one.textContent);
const title = () => byId("problems-one-title").textContent;
const end = () => { const pre = document.createElement("pre"); pre.id = "told"; told.failures = failures;
  pre.textContent = JSON.stringify(told); document.body.append(pre); };
"""


def told(dom: str) -> dict[str, Any]:
    """What the script of a test found."""
    found = re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    text = found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&nbsp;", "\xa0").replace("&amp;", "&")
    said: dict[str, Any] = json.loads(text)
    return said


@needs_chromium
def test_in_a_browser_problems_are_filtered_searched_paged_and_walked_by_keys(loop: Path, tmp_path: Path) -> None:
    script = (
        SAY
        + """
    say("rows", rows()); say("first", title()); say("pager", byId("problems-page").textContent);
    say("marks", [...document.querySelectorAll("#problems-one td.mark")].map((one) => one.textContent).join(""));
    byId("problems-later").click(); say("second page", rows()[0]);
    byId("problems-one").focus(); press("j"); press("j"); press("k"); press("ArrowRight");
    say("walked", title()); say("address", location.hash); say("focus", document.activeElement.id);
    set("problems-odd", "wrong-step"); say("wrong-step", byId("problems-count").textContent);
    set("problems-odd", "disagree"); say("disagree", byId("problems-count").textContent);
    set("problems-odd", "changes"); say("changes", rows()); set("problems-odd", "");
    set("problems-none", "no right path"); say("none", byId("problems-count").textContent); set("problems-none", "");
    set("problems-split", "test"); say("test", rows());
    set("problems-answers", "none-right"); say("wrong", rows().length);
    set("problems-split", ""); set("problems-answers", ""); set("problems-search", "what q/7?"); say("search", rows());
    byId("problems-search").focus(); press("j"); say("typed", title());
    location.hash = "#problem=q%2F12";
    setTimeout(() => { say("linked", title()); say("cleared", byId("problems-search").value);
      location.hash = "#problem=gone";
      setTimeout(() => { say("gone", byId("problems-one").textContent); end(); }, 300); }, 300);
    """
    )
    file = tmp_path / "page.html"
    file.write_text(page_of(problem_section({"run": loop}, most=99, seed=0), script), encoding="utf-8")
    dom, console = opened(file, tmp_path / "profile")
    said = told(dom)
    assert said["failures"] == console == []
    assert said["rows"] == [f"q/{i}" for i in range(12)]
    assert (said["first"], said["pager"], said["second page"]) == ("q/0", "page 1 of 6", "q/12")
    assert said["marks"].replace("✗", "-").replace("✓", "+") == "+++--" * 2
    assert (said["walked"], said["address"], said["focus"]) == ("q/2", "#problem=q%2F2", "problems-one")
    matches = {"wrong-step": 13, "disagree": 12, "none": 12}
    for name, count in matches.items():
        assert said[name].startswith(f"{count} problems match of 70."), name
    assert said["changes"] == [f"t/{i}" for i in range(1, 20, 2)]
    assert said["test"] == [f"t/{i}" for i in range(12)]
    assert said["wrong"] == 0
    assert (said["search"], said["typed"]) == (["q/7"], "q/2")
    assert (said["linked"], said["cleared"]) == ("q/12", "")
    assert said["gone"].startswith("gone is not in the sample")


@needs_chromium
def test_a_link_opens_its_problem(loop: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(page_of(problem_section({"run": loop}, most=99, seed=0), SAY + 'say("title", title()); end();'))
    said = told(opened(file, tmp_path / "profile", "#problem=t%2F13")[0])
    assert (said["title"], said["failures"]) == ("t/13", [])


@needs_chromium
def test_in_a_browser_hostile_texts_are_text(tmp_path: Path) -> None:
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
    script = (
        SAY
        + """
    say("texts", document.getElementById("problems-one").innerText.split("script ran").length - 1);
    say("scripts", document.scripts.length); say("images", document.images.length);
    say("bold", document.querySelectorAll("b").length); say("title", title());
    say("longest", Math.max(...[...document.querySelectorAll("td.text")].map((one) => one.textContent.length)));
    say("wide", [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth)
      .map((one) => one.tagName + "." + one.className + "#" + one.id));
    say("command", document.querySelector("#problems-one code").textContent);
    say("flags", [...document.querySelectorAll(".flag")].length); end();
    """
    )
    file = tmp_path / "page.html"
    file.write_text(page_of(problem_section({bad: tmp_path / "run<b>"}, most=9, seed=0), script), encoding="utf-8")
    assert "\u202e" not in file.read_text(encoding="utf-8")
    dom, console = opened(file, tmp_path / "profile")
    said = told(dom)
    assert said["failures"] == console == []
    assert said["texts"] > 10, "it is there to be read"
    assert (said["scripts"], said["images"], said["bold"]) == (4, 0, 0)
    assert said["title"] == visible(bad)
    assert "\\u202egnp.exe" in said["title"]
    assert said["command"].endswith(" :1")
    assert 2_000 < said["longest"] < 2_100
    assert not said["wide"], "no text makes the page wider than the window"
    assert said["flags"] == 5
