"""`sipf health` as a person sees it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from stages.rounds.signs import ADVICE, Sign
from tests.sipf_cli.commands import environment
from tests.stages.rounds.folders import healthy_loop, paths, results, reward_model, trained


def failing_loop(folder: Path) -> Path:
    """A loop whose second round shows every sign but a plateau."""
    healthy_loop(folder, rounds=2)
    (folder / "eval" / "round2.jsonl").unlink()
    results(folder, 2, 60)
    for number, right in enumerate((50, 60, 20)):
        results(folder, number, right, split="ood", n=100)
    reward_model(folder, 2, accuracy=0.5)
    paths(folder, 2, [1, 2] * 20)
    chosen = [-0.05, -0.05, -0.1, -0.2, -0.3, -0.3]
    trained(folder, 2, [0.5] * 6, chosen_logps=chosen, rejected_logps=chosen, log_odds_ratio=[1, 1, 1, 1, 1, 1])
    return folder


def test_the_table_fits_80_columns_and_names_every_sign_with_its_advice(inside: Any, tmp_path: Path) -> None:
    failing_loop(tmp_path / "run")
    shown = inside("health", "run", "--round", "2").stdout
    assert max(map(len, shown.splitlines())) <= 80, shown
    flat = " ".join(shown.split())
    for sign in (Sign.FALLING, Sign.WEAK, Sign.DIVERGING, Sign.SHRINKING, Sign.ELSEWHERE):
        assert sign.upper() in shown
        assert ADVICE[sign] in flat
    assert "test 200 30.0" in flat
    assert "best so far: round 1 (m1), chosen on test problems, so its accuracy on them is optimistic" in flat
    assert "run/health.jsonl round 2 added" in flat
    assert "unchanged" in inside("health", "run", "--round", "2").stdout


def test_json_is_the_line_and_a_loop_that_ends_is_told_so(inside: Any, tmp_path: Path) -> None:
    failing_loop(tmp_path / "run")
    line = json.loads(inside("health", "run", "--stop-when", "worse", "--json").stdout)
    assert line["written"] == {"1": "added", "2": "added"}
    (kept,) = (json.loads(one) for one in (tmp_path / "run/health.jsonl").read_text().splitlines()[1:])
    assert kept == {name: value for name, value in line.items() if name not in ("file", "written")}
    shown = inside("health", "run", "--stop-when", "worse").stdout
    assert "the loop ends here: falling accuracy (--stop-when worse)" in shown
    assert inside("report", "run").stdout.splitlines()[-1].split() == [
        "run", "round", "1", "m1", "test", "2", "falling", "accuracy",
    ]  # fmt: skip


def test_a_round_without_a_sign_says_so(inside: Any, tmp_path: Path) -> None:
    healthy_loop(tmp_path / "run")
    assert "no failure sign" in inside("health", "run").stdout


def test_no_model_library_is_loaded_for_it(tmp_path: Path) -> None:
    healthy_loop(tmp_path / "run")
    code = (
        "import sys; from sipf_cli.main import app; "
        "app(['health', 'run', '--json'], standalone_mode=False); "
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["round"] == 1
