"""The whole page, of a folder written by hand: its numbers are the report's, and whatever the folder says is text."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from evals.errors import DataError
from evals.metrics import mcnemar
from stages.page.accuracy import interval, p_value, percent
from stages.page.training import MOST
from stages.report import report, write_page
from stages.settings.report import ReportSettings
from tests.html_pages import Element, tree
from tests.stages.page.run_folder import (
    HOSTILE,
    result,
    save_hostile,
    save_lines,
    save_loop,
    save_manifest,
    save_model,
    save_results,
)


def made(folders: list[Path], out: Path, **settings: Any) -> tuple[Element, dict[str, Any]]:
    """The page as a tree, and the report that it shows."""
    chosen = ReportSettings(**settings)
    found = report(folders, chosen)
    write_page(folders, found, chosen, out, None)
    text = out.read_text(encoding="utf-8")
    assert out.stat().st_size == len(text.encode())
    return tree(text), found


def section(page: Element, anchor: str) -> Element:
    (found,) = [part for part in page.all("section") if part.attributes["id"] == anchor]
    return found


def table(part: Element, caption: str) -> list[list[str]]:
    found = [one.cells() for one in part.all("table") for said in one.all("caption") if said.text() == caption]
    assert found, caption
    return found[0]


@pytest.fixture
def loop(tmp_path: Path) -> Path:
    return save_loop(tmp_path / "demo")


def test_the_numbers_are_those_of_the_report(loop: Path, tmp_path: Path) -> None:
    page, found = made([loop], tmp_path / "out.html")
    part = section(page, "accuracy")
    shown = [row for one in part.all("table") for row in one.cells()]
    for row in found["policies"]:
        assert [row["policy"], str(row["right"]), str(row["n"]), percent(row["rate"]), interval(row)] == next(
            cells[:5] for cells in shown if cells[:3] == [row["policy"], str(row["right"]), str(row["n"])]
        )
    gains = table(part, "Paired gains over sft and over the round before")
    assert gains[4] == ["round2", "+40.0", p_value(mcnemar(1, 5)), "no clear difference", "round1", "-10.0", "1",
                        "no clear difference"]  # fmt: skip
    costs = table(section(page, "costs"), "What each round took and made")
    assert ["rollouts", "100"] in costs
    assert ["of brute force", "0.312"] in costs
    assert ["PRM accuracy", "0.646"] in costs


def test_what_was_dropped_and_why_pairs_are_missing_stands_by_stage(loop: Path, tmp_path: Path) -> None:
    page, _ = made([loop], tmp_path / "out.html")
    part = section(page, "costs")
    dropped = table(part, "What was dropped or left out, by stage")[1:]
    assert ["r0/paths.jsonl", "sample", "19", "dropped: duplicate"] in dropped
    assert ["r0/pairs.jsonl", "pairs", "12", "threshold: problems without a pair: no right path"] in dropped
    assert not any("bad lines" in row[3] for row in dropped), "there were none"
    assert not any("kept" in row[3] or row[3].endswith(": pairs") for row in dropped)
    by_rule = table(part, "Pairs by rule and reason")
    assert by_rule[0] == ["rule", "r0", "what"]
    assert ["threshold", "4", "pairs left out: max-per-problem"] in by_rule


def test_a_reward_model_is_measured_on_what_it_has_seen_and_on_what_it_has_not(loop: Path, tmp_path: Path) -> None:
    page, _ = made([loop], tmp_path / "out.html")
    part = section(page, "reward")
    rows = {row[0]: row[1:] for row in table(part, "Scores against labels of steps and answers of paths")}
    held = int(rows["problems"][1])
    assert rows["problems"][0] == "30"
    assert 0 < held < 30
    assert rows["steps"] == [str(4 * 30), str(4 * held)]
    assert rows["step accuracy at 0.5"] == ["100.0 %", "100.0 %"]
    assert rows["step majority baseline"] == ["75.0 %", "75.0 %"]
    assert rows["step AUC"] == ["1.000", "1.000"]
    assert rows["path accuracy at 0.5"] == ["100.0 %", "100.0 %"], "0.8 of the right path, 0.4 of the wrong one"
    assert rows["right paths"] == ["30", str(held)], "gold paths are not measured"
    bins = {0.9: 1.0, 0.7: 1.0, 0.6: 1.0, 0.2: 0.0}
    error = sum(abs(score - right) for score, right in bins.items()) / 4
    assert rows["step calibration error"][0] == f"{error:.3f}"
    (agreed,) = [row for row in table(part, "Agreement with Monte Carlo labels; a step that scores at least 0.5 is "
                                            "called right") if row[0] == "all problems"]  # fmt: skip
    assert agreed == ["all problems", "90", "0", "0", "30", "100.0 %", "100.0 %"]
    measured = {row[0]: row[1] for row in table(part, "Measured by train-prm on the problems held out of training")[1:]}
    assert (measured["accuracy"], measured["majority baseline"]) == ("0.646", "0.708")
    names = {figure.attributes["id"] for figure in part.all("figure")}
    assert {
        f"{kind}-demo-r0" for kind in ("reliability", "roc", "position", "agreement", "steps", "paths", "best-of")
    } == names


def test_every_chart_has_its_table_its_words_and_a_file(loop: Path, tmp_path: Path) -> None:
    folders = [loop]
    found = report(folders)
    written = write_page(folders, found, ReportSettings(), tmp_path / "out.html", tmp_path / "figures")
    figures = list(tree((tmp_path / "out.html").read_text(encoding="utf-8")).all("figure"))
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert len(figures) == written["charts"] == written["figures"] == len(files) > 12
    assert files == sorted(f"{figure.attributes['id']}.svg" for figure in figures)
    for figure in figures:
        (drawn,) = figure.all("svg")
        assert drawn.attributes["role"] == "img"
        assert next(drawn.all("title")).text()
        assert next(drawn.all("desc")).text()
        (rows,) = [one.cells() for one in figure.all("table")]
        assert len(rows) > 1
        assert all(len(row) == len(rows[0]) for row in rows)
    for file in files:
        ElementTree.parse(tmp_path / "figures" / file)


def test_the_curves_of_training_are_those_of_the_histories(loop: Path, tmp_path: Path) -> None:
    long = [{"step": n, "loss": 1 / n} for n in range(1, 1001)]
    save_model(loop / "m10", long, stage="orpo")
    page, _ = made([loop], tmp_path / "out.html")
    part = section(page, "training")
    loss = table(part, "Training loss, policies")
    assert loss[0] == ["update", "m1", "m2", "m10"], "m10 after m2"
    rows = {row[0]: row for row in loss}
    assert rows["1"][1:3] == ["1", "1"]
    assert "1,000" in rows, "the last step is always there"
    assert len([row for row in loss[1:] if row[3] != "-"]) <= MOST + 1
    assert table(part, "Log-probability of chosen and rejected, policies")[0][1:3] == ["m1 chosen", "m1 rejected"]
    assert table(part, "Loss on held-out problems, M0 and reward models")[1] == ["2", "0.6"]
    assert table(part, "Log odds ratio of chosen against rejected, policies")[1][1] == "0.3"


def test_settings_and_inputs_stand_at_each_output(loop: Path, tmp_path: Path) -> None:
    page, _ = made([loop], tmp_path / "out.html")
    folds = {one.text().split("\n")[0].strip(): one for one in section(page, "settings").all("details")}
    (prm,) = [one for name, one in folds.items() if name.startswith("r0/prm")]
    assert ["options.lr", "0.0003"] in [row for one in prm.all("table") for row in one.cells()]
    caption = "What was made of what; a trained model's input is the rows it learnt from"
    columns, *rows = table(section(page, "settings"), caption)
    order = [row[0] for row in rows]
    shown = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    assert shown["m1"] | {"model": "m0", "input": "-", "input's sha256": "0123456789ab"} == shown["m1"]
    assert (shown["m1"]["sipf"], shown["m1"]["finished"]) == ("0.1.0", "2026-01-01 02:03 UTC")
    assert order.index("r0/paths.jsonl") < order.index("r0/labels.jsonl") < order.index("r0/prm") < order.index("m1")
    assert order.index("m1") < order.index("eval/round1.jsonl") < order.index("m2") < order.index("eval/round2.jsonl")


CHOSEN = {"best_model": "m1", "chosen_on": "test", "stop": None}
"""What every line of health.jsonl says besides."""


def test_health_is_shown_with_its_signs(loop: Path, tmp_path: Path) -> None:
    lines = [
        {"round": 1, "accuracy": 0.8, "interval": [0.49, 0.94], "gain": 0.5, "p": 0.125, "signs": [], "best": 1},
        {"round": 2, "accuracy": {"rate": 0.7, "low": 0.4, "high": 0.9}, "gain": -0.1, "p": 1.0, "best": 1,
         "signs": [{"sign": "plateau", "why": "no gain", "advice": "Take new questions."}], "drawn": {"overlap": 0.31},
         "odd": [1, "a"], "stop": {"when": "plateau", "sign": "plateau"}},
    ]  # fmt: skip
    (loop / "health.jsonl").write_text("".join(json.dumps({**CHOSEN, **line}) + "\n" for line in lines))
    page, _ = made([loop], tmp_path / "out.html")
    part = section(page, "health")
    assert table(part, "Accuracy and signs by round")[1:] == [
        ["1", "80.0", "49.0 to 94.0", "+50.0", "0.12", "none"],
        ["2", "70.0", "40.0 to 90.0", "-10.0", "1", "plateau"],
    ]
    (advice,) = [one.text() for one in part.all("p") if one.attributes.get("class") == "notice"]
    assert advice == "Plateau. Round 2: no gain. Take new questions."
    assert ["drawn.overlap", "-", "0.31"] in table(part, "Figures by round")
    assert table(part, "Diversity of the paths that were drawn") == [
        ["round", "overlap of two paths' steps"], ["2", "0.31"]
    ]  # fmt: skip
    assert "demo: of 2 rounds the best model is that of round 1 (m1), by the test problems. " in (
        section(page, "overview").text()
    )
    assert "The loop was ended by: plateau." in section(page, "overview").text()


def test_what_is_missing_is_left_out_and_what_is_unfinished_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    save_results(folder, "sft", 1, {"test": {1}})
    (folder / "r0").mkdir()
    (folder / "r0" / "labels.jsonl.part").write_text("{")
    (folder / "m1").mkdir()
    page, _ = made([folder], tmp_path / "out.html")
    anchors = [part.attributes["id"] for part in page.all("section")]
    assert anchors == ["overview", "accuracy", "costs", "settings", "problems"], "no health, reward model or training"
    notices = [part.text() for part in page.all("p") if part.attributes.get("class") == "notice"]
    assert any("r0/labels.jsonl is not finished" in notice for notice in notices)
    assert any("m1 is not finished" in notice for notice in notices)
    targets = [str(link.attributes["href"]) for link in page.all("nav").__next__().all("a")]
    assert targets == [f"#{anchor}" for anchor in anchors]


def test_several_loops_are_told_apart_and_share_the_reference(loop: Path, tmp_path: Path) -> None:
    other = tmp_path / "outcome"
    save_results(other, "round1", 3, {"test": {0, 1, 9, 4}, "ood": {0, 1}})
    save_results(other, "drawn", 4, {"test": {0, 1}, "ood": {0}})
    save_manifest(other / "r0" / "paths.jsonl", "sample", counts={"drawn": 7, "dropped: duplicate": 3})
    save_model(other / "m1", [{"step": 1, "loss": 0.5}], stage="orpo")
    page, found = made([loop, other], tmp_path / "out.html")
    row = next(row for row in found["policies"] if row["policy"] == "outcome/round1" and row["split"] == "test")
    assert (row["before"], row["gain_before"], row["p_before"]) == ("sft", pytest.approx(0.1), 1.0)
    drawn = table(section(page, "accuracy"), "Accuracy by round on test")
    assert drawn[0] == ["policy", "demo", "outcome"]
    assert [cells[0] for cells in drawn[1:]] == ["base", "sft", "round1", "round2"]
    assert drawn[4][2] == "-"
    assert "outcome/drawn" in {row["policy"] for row in found["policies"]}
    short = table(section(page, "overview"), "The last policy of each loop")[1:]
    assert [row[:2] for row in short if row[0] == "test"] == [["test", "demo/round2"], ["test", "outcome/round1"]]
    assert short[1][-2].startswith("+10.0, no clear difference (p")
    rates = table(section(page, "accuracy"), "Accuracy and its interval")
    assert {cells[0] for cells in rates[1:]} >= {"base", "sft", "demo/round1", "outcome/round1"}
    assert any(figure.attributes["id"] == "trace-test" for figure in page.all("figure"))
    ids = [part.attributes["id"] for part in page.everything() if "id" in part.attributes]
    assert len(set(ids)) == len(ids)
    assert ["r0/paths.jsonl", "sample", "3", "dropped: duplicate"] in [
        row for one in section(page, "costs").all("table") for row in one.cells()
    ]


def test_several_answers_give_pass_and_majority_by_k(tmp_path: Path) -> None:
    rows = [result(f"q/{i}", "test", right) for i, right in enumerate(([True, False], [False, True], [False, False]))]
    save_lines(tmp_path / "run" / "eval" / "sft.jsonl", rows, "eval")
    page, found = made([tmp_path / "run"], tmp_path / "out.html")
    drawn = found["policies"][0]["drawn"]
    assert [(row["n"], row["oracle"]["rate"]) for row in drawn["rows"]] == [
        (1, pytest.approx(1 / 3)),
        (2, pytest.approx(2 / 3)),
    ]
    assert drawn["rows"][1]["majority"]["rate"] == pytest.approx(1 / 3), "two different answers: by lot"
    (shown,) = [one.cells() for one in page.all("table") if one.cells()[0][0] == "k answers"]
    assert shown[2][1].startswith("66.7")


def test_whatever_files_and_models_say_is_text(tmp_path: Path) -> None:
    folder = save_hostile(tmp_path / "run")
    page, _ = made([folder], tmp_path / "out.html", against=HOSTILE)
    write_page([folder], report([folder]), ReportSettings(), None, tmp_path / "figures")
    assert [script.attributes.get("id") for script in page.all("script")] == ["problems-data", None]
    assert not list(page.all("b"))
    assert page.text().count("<script>alert(1)</script>") > 20
    raw = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert not any(letter in raw for letter in "\u202e\u202c\x00\x1b")
    assert [part.name for part in page.parts if isinstance(part, Element)] == ["html"]
    assert all(len(list(page.all(name))) == 1 for name in ("head", "body", "main", "style"))
    for file in (tmp_path / "figures").iterdir():
        ElementTree.parse(file)


def test_a_page_whose_name_is_a_link_is_written_where_it_leads(loop: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out.html").symlink_to(tmp_path / "real" / "page.html")
    made([loop], tmp_path / "out.html")
    assert (tmp_path / "out.html").is_symlink()
    assert [file.name for file in (tmp_path / "real").iterdir()] == ["page.html"]


def test_the_page_fetches_nothing(loop: Path, tmp_path: Path) -> None:
    page, _ = made([loop], tmp_path / "out.html")
    for part in page.everything():
        assert part.name not in ("link", "img", "iframe", "object")
        for name, value in part.attributes.items():
            assert name not in ("src", "srcset", "style", "onclick", "onload")
            if name in ("href", "xlink:href"):
                assert str(value).startswith("#")
    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert "url(" not in text
    assert "@import" not in text
    assert set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"}
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text


def test_a_line_that_is_not_what_a_stage_writes_is_named(loop: Path, tmp_path: Path) -> None:
    scored = loop / "r0" / "scored.jsonl"
    lines = scored.read_text().splitlines()
    lines[3] = json.dumps({"id": "x", "paths": [{"correct": True, "scores": {"prm0": {"steps": [0.5]}}}]})
    scored.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"scored\.jsonl:4: not a line that sipf score writes"):
        made([loop], tmp_path / "out.html")
    (loop / "r0" / "prm" / "manifest.json").write_text("[]")
    with pytest.raises(DataError, match=r"prm/manifest\.json: holds no JSON object"):
        made([loop], tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()
