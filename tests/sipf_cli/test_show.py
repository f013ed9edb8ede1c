"""`sipf show` as people see it: in pages and colours on a terminal, as plain text elsewhere, and always with marks."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sipf_cli.commands import PROGRAM, environment, write
from tests.sipf_cli.test_help import LOADED
from tests.stages.pairing.questions import solved

QUESTION = "Mia has 40 pens. She loses 15, and then she buys three times as many as she has left. How many now?"
PATHS = [
    solved(0, "ab", True, labels=[True, True], scores=[0.9, 0.81], times=2, tokens=18, finish="stop"),
    solved(1, "acd", labels=[True, False, None], scores=[0.9, 0.7, 0.002], finish="length"),
    solved(2, "x", True, labels=[False]),
]
PLAIN = """\
c  lines.jsonl:1
Mia has 40 pens. She loses 15, and then she buys three times as many as she has
left. How many now?
right answer 76 · task chain · split train · 9 drawn in all

#0 ✓ right, no answer · sample, round 0 · drawn 2 times · 18 tokens · finish
stop
                            hits/draws  prm
   1 ✓ a+0=1                       1/2 0.90
   2 ✓ b+0=1                       1/2 0.81
       The answer is 76
   prm: mean 0.85, min 0.81, product 0.73, last 0.81 (ranked by mean)
"""
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    row = {"id": "c", "task": "chain", "question": QUESTION, "answer": "76", "split": "train", "drawn": 9}
    return write(tmp_path / "lines.jsonl", [{**row, "paths": PATHS}, {**row, "id": "d", "paths": []}])


def on_terminal(folder: Path, *arguments: str, **variables: str) -> str:
    """What `sipf show ARGUMENTS` writes to a terminal of 80 columns whose pager shows everything at once."""
    ours, theirs = pty.openpty()
    given = environment(**{"COLUMNS": "80", "TERM": "xterm-256color", "PAGER": "cat", **variables})
    given = {name: value for name, value in given.items() if name not in ("NO_COLOR", "LESS") or name in variables}
    process = subprocess.Popen([*PROGRAM, "show", *arguments], cwd=folder, env=given, stdout=theirs, stdin=theirs)
    os.close(theirs)
    read = b""
    while True:
        try:
            chunk = os.read(ours, 1 << 16)
        except OSError:  # how Linux says that the other end is closed
            break
        if not chunk:
            break
        read += chunk
    os.close(ours)
    assert process.wait() == 0
    return read.decode().replace("\r\n", "\n")


def test_off_a_terminal_it_is_plain_text_and_looks_like_this_at_eighty_columns(lines: Path, tmp_path: Path) -> None:
    variables = environment(COLUMNS="80", PYTHONUTF8="1")
    line = [*PROGRAM, "show", lines.name, "c#0"]
    done = subprocess.run(line, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(PLAIN)
    assert done.stdout.endswith("\n1 of 3 paths of this problem\n\n")


def test_what_is_wrong_odd_or_cut_off_is_said_in_words(inside: Any, lines: Path) -> None:
    out = inside("show", "lines.jsonl", ":1").stdout
    assert re.search(r"^   2 ✗ c\+1=1  ← first wrong step +0/2 0\.70!$", out, re.MULTILINE)
    assert re.search(r"^   3 \? d\+1=1 +0/1 undecided 2e-03$", out, re.MULTILINE)
    assert "label and score disagree (!) at step 2" in out
    assert "right answer by a wrong step" in out
    assert "cut off (length)" in out
    assert inside("show", "lines.jsonl").stdout.endswith("Next: d\nOpen one: sipf show lines.jsonl d\n" + HINT)


HINT = "or a line (:2), or more of them (-n 5, --random, --where wrong-step).\n"


def test_a_terminal_gets_colours_that_say_what_the_marks_say_and_no_line_is_too_wide(
    lines: Path, tmp_path: Path
) -> None:
    coloured = on_terminal(tmp_path, lines.name)
    assert re.search(r"\x1b\[32m✓", coloured)
    assert re.search(r"\x1b\[31m✗", coloured)
    plain = on_terminal(tmp_path, lines.name, NO_COLOR="1")
    assert "\x1b" not in plain
    assert [line.rstrip() for line in ESCAPES.sub("", coloured).splitlines()] == plain.splitlines()
    assert max(map(len, plain.splitlines())) <= 80


def test_the_pager_gets_the_text_on_a_terminal_and_nothing_elsewhere(lines: Path, tmp_path: Path) -> None:
    assert on_terminal(tmp_path, lines.name, PAGER="wc -l").strip().isdecimal()
    done = subprocess.run([*PROGRAM, "show", lines.name], cwd=tmp_path, env=environment(PAGER="false"),
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.startswith("c  lines.jsonl:1\n")


def test_an_encoding_without_the_marks_gets_others(lines: Path, tmp_path: Path) -> None:
    done = subprocess.run([*PROGRAM, "show", lines.name], cwd=tmp_path, env=environment(PYTHONIOENCODING="ascii"),
                          capture_output=True, check=True)  # fmt: skip
    assert b"#0 + right" in done.stdout
    assert b"   2 x c+1=1  <- first wrong step" in done.stdout
    assert done.stdout.isascii()


def test_what_a_model_wrote_controls_no_terminal(inside: Any, tmp_path: Path) -> None:
    steps = ["\x1b]0;mine\x07\x1b[2Ja\x9b31m", "\u202eb"]
    text = "\n".join(steps) + "\r\n" + "long " * 20_000
    path = {"id": "c#0", "text": text, "steps": steps, "answer": "\x1b[31m7", "correct": False}
    row = {"id": "c", "task": "chain", "question": "\x1bc?", "answer": "76", "paths": [path]}
    write(tmp_path / "hostile.jsonl", [row])
    out = inside("show", "hostile.jsonl").stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out)
    assert "\\x1b]0;mine\\x07\\x1b[2Ja\\x9b31m" in out
    assert "99,000 more characters (--full)" in " ".join(out.split())
    assert len(out) < 3_000
    assert inside("show", "hostile.jsonl", "--full").stdout.count("long") == 20_000


def test_pairs_are_shown_with_their_prefix_once_and_wide_ones_below_each_other(inside: Any, tmp_path: Path) -> None:
    pair = {
        "id": "c#0>1", "problem": "c", "prompt": "How many?", "rule": "fork", "prefix": "a=1\n",
        "chosen": "b=2\nc=3", "chosen_correct": True,
        "rejected": "b=2\nd=4", "rejected_correct": False, "rejected_finish": "length",
    }  # fmt: skip
    write(tmp_path / "pairs.jsonl", [pair, {**pair, "id": "d#0>1", "problem": "d", "chosen": "long " * 30}])
    assert inside("show", "pairs.jsonl", "c").stdout.splitlines()[3:] == [
        "#0 above #1 · by fork", "    a=1", "    b=2",
        "  + chosen, right                                    - rejected, wrong, cut off",
        "  + c=3                                              - d=4", "",
    ]  # fmt: skip
    out = inside("show", "pairs.jsonl", "d").stdout
    assert out.count("a=1") == 1
    assert out.index("+ chosen, right") < out.index("- rejected, wrong")


def test_rollouts_are_counted_by_answer_and_kept_texts_are_shown(inside: Any, tmp_path: Path) -> None:
    rollouts = [
        {"answer": "9", "correct": False, "seed": 1}, {"answer": "9", "correct": False, "seed": 2},
        {"answer": "76", "correct": True, "seed": 3, "text": "b=2\nThe answer is 76"},
        {"answer": None, "correct": False, "seed": 4, "finish": "length"},
    ]  # fmt: skip
    label = {"k": 4, "draws": 4, "hits": 1, "settled": True, "rollouts": rollouts}
    path = {"id": "c#0", "text": "a=1", "steps": ["a=1"], "correct": False, "labels": [label]}
    write(tmp_path / "in.jsonl", [{"id": "c", "task": "chain", "question": "?", "answer": "76", "paths": [path]}])
    assert "rollouts" not in inside("show", "in.jsonl").stdout
    out = inside("show", "in.jsonl", "--rollouts").stdout
    assert "rollouts: ✓ 76 (1), ✗ 9 (2), ✗ no answer (cut off) (1)" in out
    assert "✓ kept: b=2" in out


def test_bad_usage_and_bad_data_end_with_their_codes_and_json_has_everything(inside: Any, lines: Path) -> None:
    assert "there is no 'e' in lines.jsonl" in inside("show", "lines.jsonl", "e", code=2).stderr
    assert "The nearest: c, d." in inside("show", "lines.jsonl", "e", code=2).stderr
    told = json.loads(inside("show", "lines.jsonl", "--json").stdout)
    assert told["items"][0]["problem"]["paths"][1]["labels"] == PATHS[1]["labels"]
    assert told["lines"] == 2
    lines.write_text("{\n" + lines.read_text())
    done = inside("show", "lines.jsonl", code=3)
    assert "bad line skipped: lines.jsonl:1" in done.stderr
    assert done.stdout.startswith("c  lines.jsonl:2\n")


def test_a_reader_that_has_enough_ends_it_quietly(lines: Path, tmp_path: Path) -> None:
    lines.write_text("".join(lines.read_text().replace('"c', f'"c{i}') for i in range(200)))
    script = f"{' '.join(PROGRAM)} show lines.jsonl -n 400 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.stdout.splitlines()[1:] == ["0"]
    assert not done.stderr


def test_it_starts_without_the_model_libraries(lines: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, "show", "lines.jsonl", "c"], cwd=tmp_path, env=environment(),
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert not set(done.stderr.split()) & {"torch", "transformers", "datasets", "numpy", "pyarrow"}
