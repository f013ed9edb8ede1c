"""The loop's shell script: which stage is called with what, told by a `sipf` that only notes its arguments."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from stages.settings.pairs import PairSettings

EXAMPLES = Path(__file__).parents[2] / "examples"
# Writes what it is asked to write: three lines and a manifest, or a folder where a model is trained. Fails if told to.
NOTES = """#!/usr/bin/env bash
[ "$1" = --config ] && shift 2
echo "$*${SIPF_ORPO_BETA:+ (beta $SIPF_ORPO_BETA)}" >> "$CALLS"
[ "$1" = "${FAILING:-}" ] && exit 4
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then
    case $2 in *.jsonl) printf 'a\\nb\\nc\\n' > "$2"; touch "$2.manifest.json" ;; *) mkdir -p "$2" ;; esac
  fi
  shift
done
"""
# As many tokens were rolled out as drawn.
MANIFEST = """echo '{"usage": {"tokens": 7}, "options": {"n": 4}}' > "$2.manifest.json" """


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "sipf"
    program.write_text(NOTES)
    program.chmod(0o755)
    launcher = tmp_path / "bin" / "accelerate"
    launcher.write_text('#!/usr/bin/env bash\necho "$*" >> "$CALLS.launched"\nshift 5\nexec sipf "$@"\n')
    launcher.chmod(0o755)
    return tmp_path


def calls(place: Path, script: str, *arguments: str, **variables: str) -> list[str]:
    """What the script called `sipf` with."""
    notes = place / "calls"
    notes.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(notes),
        **variables,
    }
    line = ["bash", str(EXAMPLES / script), *arguments]
    subprocess.run(line, cwd=place, env=environment, check=True, capture_output=True, timeout=60)
    return notes.read_text().splitlines()


def running() -> str:
    """The command lines of all processes."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has just ended
            found.append(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return "\n".join(found)


def only(lines: list[str], stage: str) -> list[str]:
    return [line for line in lines if line.split()[0] == stage]


def test_two_rounds_are_the_stages_of_the_method_in_order(place: Path) -> None:
    lines = calls(place, "loop.sh", "--out", "run")
    once = ["data"] * 5 + ["sft", "eval", "eval"]
    one_round = ["sample", "simulate", "train-prm", "score", "pairs", "orpo", "eval", "health"]
    assert [line.split()[0] for line in lines] == [*once, *one_round, *one_round, "report"]
    assert "--model run/m0 --round 0" in only(lines, "sample")[0]
    assert "--model run/m1 --round 1" in only(lines, "sample")[1]


def test_a_restart_begins_anew_from_the_whole_pool_and_going_on_takes_the_new_paths(place: Path) -> None:
    lines = calls(place, "loop.sh", "--out", "run", "--restart", "--base", "m0")
    assert [line.split(" --", 1)[1] for line in only(lines, "orpo")] == [
        "model run/m0 -o run/m1",
        "model run/m0 -o run/m2",
    ]
    assert only(lines, "score")[1].startswith("score run/r1/pool.jsonl")
    assert len((place / "run/r1/pool.jsonl").read_text().splitlines()) == 6
    paper = calls(place, "loop.sh", "--out", "paper", "--base", "model", "--model", "my/base")
    assert all("--model my/base" in line for line in only(paper, "orpo"))
    lines = calls(place, "loop.sh", "--out", "on", "--continue")
    assert "--continue-from on/m0" in only(lines, "orpo")[0]
    assert "--continue-from on/m1" in only(lines, "orpo")[1]
    assert only(lines, "score")[1].startswith("score on/r1/labels.jsonl")


def test_gsm8k_samples_the_same_questions_on_from_the_pool(place: Path) -> None:
    lines = calls(place, "loop.sh", "--out", "run", "--task", "gsm8k", "--data", "here")
    assert "data gsm8k --split train --path here/train.jsonl" in lines[0]
    first, second = only(lines, "sample")
    assert "--pool" not in first
    assert "--pool run/r0/pool.jsonl" in second
    assert only(lines, "score")[1].startswith("score run/r1/pool.jsonl")


def test_gsm8k_is_measured_out_of_domain_on_mmlu_where_it_is_at_hand(place: Path) -> None:
    ood = "data mmlu --split test --mode number --path {} -o run/data/ood.jsonl"
    how = ("--out", "run", "--task", "gsm8k", "--rule", "outcome", "--rounds", "1")
    assert ood.format("hub") in calls(place, "loop.sh", *how)
    code, said = told(place, *how, "--data", "here", "--out", "bare")
    assert (code, "here has no mmlu/, so nothing is measured out of domain" in said) == (0, True)
    assert (place / "bare/data/eval.jsonl").read_bytes() == (place / "bare/data/test.jsonl").read_bytes()
    begun = place / "bare/data/eval.jsonl.manifest.json"
    begun.touch()
    calls(place, "loop.sh", *how, "--data", "hub", "--out", "bare")
    assert (place / "bare/data/eval.jsonl").read_text() == "a\nb\nc\n", "a loop that was begun without it goes on so"
    (place / "here" / "mmlu").mkdir(parents=True)
    assert ood.format("here/mmlu") in calls(place, "loop.sh", *how, "--data", "here")


def test_mbpp_trains_on_its_train_split_and_is_measured_on_its_test_split(place: Path) -> None:
    lines = calls(place, "loop.sh", "--out", "run", "--task", "mbpp", "--data", "here", "--rounds", "1")
    assert lines[0] == "data mbpp --split train --path here/mbpp.jsonl -o run/data/sft.jsonl"
    assert lines[1] == "data mbpp --split test --path here/mbpp.jsonl -o run/data/test.jsonl"
    assert lines[2] == "data humaneval -o run/data/ood.jsonl"
    assert only(lines, "eval")[0].startswith("eval run/data/eval.jsonl")
    assert only(calls(place, "loop.sh", "--out", "hub", "--task", "mbpp"), "data")[0].count("--path hub") == 1
    assert only(lines, "sample")[0].startswith("sample run/data/sft.jsonl")


def test_each_embedded_world_has_its_own_problems_and_base(place: Path) -> None:
    for world in ("chain", "functions"):
        lines = calls(place, "loop.sh", "--out", "run", "--task", world, "--rounds", "1")
        assert [line.split()[:4] for line in only(lines, "data")] == [
            ["data", world, "--split", split] for split in ("train", "test", "ood", "train")
        ]
        assert only(lines, "sft") == [f"sft run/data/sft.jsonl --model {world}-base -o run/m0"]
        assert only(lines, "sample")[0].startswith("sample run/data/questions.0.jsonl")


@pytest.mark.parametrize(
    ("task", "base"),
    [("chain", "run/m0"), ("functions", "run/m0"), ("gsm8k", "my/base"), ("mbpp", "my/base")],
)
def test_published_tasks_restart_from_the_base_as_the_paper_does(place: Path, task: str, base: str) -> None:
    lines = calls(place, "loop.sh", "--out", "run", "--task", task, "--data", "here", "--model", "my/base")
    assert [f"--model {base} -o" in line for line in only(lines, "orpo")] == [True, True]
    other = {"run/m0": "model", "my/base": "m0"}[base]
    lines = calls(place, "loop.sh", "--out", "run", "--task", task, "--model", "my/base", "--base", other)
    assert not [line for line in only(lines, "orpo") if f"--model {base} -o" in line]


def test_simulator_reward_model_and_engine_are_chosen_apart_from_the_policy(place: Path) -> None:
    more = ("--simulator", "big/simulator", "--prm-base", "big/judge", "--engine", "vllm")
    lines = calls(place, "loop.sh", "--out", "run", *more)
    assert all("--model big/simulator" in line for line in only(lines, "simulate"))
    assert all("--model big/judge" in line for line in only(lines, "train-prm"))
    assert "--model run/m0" in only(lines, "sample")[0]
    for stage in ("sample", "simulate", "eval"):
        assert all("--engine vllm" in line for line in only(lines, stage)), stage
    for stage in ("sft", "train-prm", "score", "pairs", "orpo"):
        assert not any("--engine" in line for line in only(lines, stage)), stage
    assert "--engine" not in "".join(calls(place, "loop.sh", "--out", "other"))


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ((), ["sample", "simulate", "train-prm", "score", "pairs"]),
        (("--rule", "threshold:0.5", "--rule", "outcome:0.5"), ["sample", "simulate", "train-prm", "score", "pairs"]),
        (("--rule", "consistent"), ["sample", "simulate", "train-prm", "score", "pairs"]),
        (("--rule", "consistent", "--by", "labels"), ["sample", "simulate", "pairs"]),
        (("--rule", "fork:0.5", "--rule", "outcome:0.5"), ["sample", "simulate", "pairs"]),
        (("--rule", "outcome", "--rule", "frequent"), ["sample", "pairs"]),
    ],
)
def test_a_rule_has_what_it_needs_and_no_more(place: Path, options: tuple[str, ...], stages: list[str]) -> None:
    lines = calls(place, "loop.sh", "--out", "run", "--rounds", "1", *options)
    assert [line.split()[0] for line in lines][-4 - len(stages) : -4] == stages
    (pairs,) = only(lines, "pairs")
    rules = [option for name, option in pairwise(options) if name == "--rule"] or ["widest"]
    assert [word for word in pairs.split() if word.startswith("--rule")] == [f"--rule={rule}" for rule in rules]
    assert ("--name prm0" in pairs) == ("score" in stages)
    assert any("--root --keep-forks 2" in line for line in lines) == any("fork" in rule for rule in rules)


def test_scores_without_a_reward_model_need_no_labels(place: Path) -> None:
    lines = calls(
        place, "loop.sh", "--out", "run", "--rule", "consistent", "--score-by", "likelihood", "--scorer", "big"
    )
    assert not [line for line in lines if line.split()[0] in ("simulate", "train-prm")]
    first, second = only(lines, "score")
    assert first == "score run/r0/pool.jsonl --by likelihood --model big --name likelihood0 -o run/r0/scored.jsonl"
    assert "--by likelihood --model big" in second
    assert "--name likelihood1" in only(lines, "pairs")[1]
    taught = calls(place, "loop.sh", "--out", "t", "--score-by", "likelihood", "--scorer", "teacher")
    assert all("--model chain-teacher" in line for line in only(taught, "score"))
    ratio = ("--score-by", "ratio", "--reference", "small")
    lines = calls(place, "loop.sh", "--out", "ratio", *ratio, "--rule", "fork", "--rule", "threshold")
    assert "--by ratio --model ratio/m0 --reference small" in only(lines, "score")[0]
    assert "--by ratio --model ratio/m1 --reference small" in only(lines, "score")[1]
    assert len(only(lines, "simulate")) == 2, "forks need labels all the same"


def test_the_simulator_is_chosen_for_each_round(place: Path) -> None:
    def who(choice: str, *more: str) -> list[str]:
        lines = calls(place, "loop.sh", "--out", "run", "--rounds", "3", "--simulator", choice, *more)
        return [line.split("--model ")[1].split()[0] for line in only(lines, "simulate")]

    assert who("policy") == ["run/m0", "run/m1", "run/m2"]
    assert who("teacher") == ["chain-teacher"] * 3
    assert who("teacher,policy") == ["chain-teacher", "run/m1", "run/m2"]
    assert who("policy,big/one,teacher") == ["run/m0", "big/one", "chain-teacher"]
    refused = subprocess.run(
        ["bash", str(EXAMPLES / "loop.sh"), "--task", "gsm8k", "--simulator", "a/b,teacher"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (refused.returncode, "for chain alone" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("method", "stages", "training"),
    [
        ("dpo", ["sample", "pairs"], "dpo run/r0/pairs.jsonl --model run/m0 -o run/m1"),
        ("rpo", ["sample", "pairs"], "dpo run/r0/pairs.jsonl --model run/m0 --sft-weight 1 -o run/m1"),
        ("rft", ["sample"], "sft run/r0/pool.jsonl --paths right --gold --model my/base -o run/m1"),
        (
            "star",
            ["sample"],
            "sft run/r0/pool.jsonl --paths right --no-gold --max-per-problem 1 --model my/base -o run/m1",
        ),
        (
            "prft:0.4",
            ["sample", "simulate", "train-prm", "score"],
            "sft run/r0/scored.jsonl --paths prm0:0.4 --gold --model my/base -o run/m1",
        ),
    ],
)
def test_a_policy_learns_by_other_methods_from_what_they_need(
    place: Path, method: str, stages: list[str], training: str
) -> None:
    how = ("--task", "gsm8k", "--model", "my/base", "--rule", "outcome", "--learn", method)
    lines = calls(place, "loop.sh", "--out", "run", "--rounds", "1", *how)
    assert [line.split()[0] for line in lines][6:-4] == stages
    assert lines[-4] == training
    assert ("--rationalise" in only(lines, "sample")[0]) == (method == "star")
    if training.startswith("sft"):
        (_, new) = only(calls(place, "loop.sh", "--out", "new", "--rounds", "1", "--learn", method), "sft")
        assert "--no-gold" in new, "the gold solutions of new questions are not to be seen"
    on = calls(place, "loop.sh", "--out", "on", "--rounds", "2", "--continue", *how)
    start = "--continue-from" if method in ("dpo", "rpo") else "--model"
    trained = [line for line in on if f"{start} on/m" in line and line.split()[0] in ("sft", "dpo")]
    assert [line.split(f"{start} ")[1].split()[0] for line in trained] == ["on/m0", "on/m1"]


def test_the_arms_share_problems_m0_first_paths_labels_and_the_number_of_pairs(place: Path) -> None:
    lines = calls(place, "arms.sh", "--rounds", "1", OUT="all")
    arms = ["sipf", "sipf-paper", "siof", "rft", "star", "prft", "srf", "rpo", "without-or", "without-both"]
    assert lines[-1] == "report " + " ".join(f"all/{arm}" for arm in arms)
    assert len(only(lines, "data")) == 4, "once for all"
    trained = [line for line in lines if "/m1" in line.split("-o ")[-1]]
    kinds = ["orpo", "orpo", "orpo", "sft", "sft", "sft", "dpo", "dpo", "orpo", "orpo"]
    assert [line.split()[0] for line in trained] == kinds
    assert ["(beta 0)" in line for line in trained] == [False] * 8 + [True, True]
    for line in [*only(lines, "pairs"), *only(lines, "sft")[1:]]:
        assert ("--most 3" in line) == ("-o all/sipf/" not in line), line
    for arm in ("sipf-paper", "siof", "prft", "without-both"):
        own, first = place / f"all/{arm}/r0/paths.jsonl", place / "all/sipf/r0/paths.jsonl"
        assert own.read_bytes() == first.read_bytes()
    assert (place / "all/sipf-paper/r0/labels.jsonl.manifest.json").exists()
    rules = {
        line.split("-o all/")[1].split("/")[0]: line.split("--rule=")[1].split()[0] for line in only(lines, "pairs")
    }
    assert (rules["sipf"], rules["sipf-paper"], rules["siof"]) == ("consistent", "threshold", "outcome")


def test_arms_of_equal_tokens_draw_for_the_rollouts_as_well(place: Path) -> None:
    calls(place, "arms.sh", "--rounds", "2", OUT="all", ARMS="sipf")
    for i, tokens in enumerate(((400, 500), (400, 90))):
        for name, spent in zip(("paths", "labels"), tokens, strict=True):
            manifest = {"usage": {"tokens": spent}, "options": {"n": 4}}
            (place / f"all/sipf/r{i}/{name}.jsonl.manifest.json").write_text(json.dumps(manifest))
    lines = calls(place, "arms.sh", "--rounds", "2", OUT="all", ARMS="siof-tokens rft-tokens")
    for name in ("siof-tokens", "rft-tokens"):
        draws = [line.split(" -n ")[1].split()[0] for line in only(lines, "sample") if f"all/{name}/" in line]
        assert draws == ["9", "5"], "(400 + 500) / 400 * 4, and 4.9 rounded"
    for line, most in zip(only(lines, "pairs"), ("9", "5"), strict=True):
        assert f"--max-per-problem {most}" in line
        assert "--most" not in line


def test_another_arm_can_be_the_one_that_the_others_share_with(place: Path) -> None:
    lines = calls(place, "arms.sh", "--rounds", "1", OUT="all", FIRST="labels", ARMS="labels sipf sipf-paper")
    assert len(only(lines, "data")) == 4
    assert all("-o all/labels/" in line for line in [*only(lines, "data"), *only(lines, "sft")])
    assert ["--most 3" in line for line in only(lines, "pairs")] == [False, True, True]
    assert len(only(lines, "simulate")) == 3, "the rest is up to sipf itself: what is complete is not made again"
    for name in ("paths", "labels"):
        paper, own = (place / f"all/{arm}/r0/{name}.jsonl.manifest.json" for arm in ("sipf-paper", "sipf"))
        assert paper.exists(), name
        assert own.exists(), name


def test_arms_that_score_as_another_one_take_its_first_scores_and_train_no_reward_model_for_them(place: Path) -> None:
    calls(place, "arms.sh", "--rounds", "2", OUT="all", ARMS="sipf")
    lines = calls(place, "arms.sh", "--rounds", "2", OUT="all", ARMS="beta-1.0")
    for stage, made in (("train-prm", "prm"), ("score", "scored.jsonl")):
        (line,) = only(lines, stage)
        assert f"-o all/beta-1.0/r1/{made}" in line
    assert (place / "all/beta-1.0/r0/scored.jsonl.manifest.json").exists()
    first, second = only(lines, "pairs")
    assert first.startswith("pairs all/beta-1.0/r0/scored.jsonl")
    assert "--name prm0" in first
    assert "--name prm1" in second


def test_each_arm_of_the_full_set_is_told_what_makes_it_different(place: Path) -> None:
    calls(place, "arms.sh", "--rounds", "1", OUT="all", ARMS="sipf sipf-paper")
    names = "teacher distilled labels beta-1.0 shuffled-0.25 shuffled-1.0 teacher-likelihood continue"
    lines = calls(place, "arms.sh", "--rounds", "1", OUT="all", ARMS=names)

    def of(arm: str, stage: str) -> str:
        (line,) = (line for line in only(lines, stage) if f"-o all/{arm}/" in line)
        return line

    assert "--model chain-teacher" in of("teacher", "simulate")
    assert "--model chain-teacher" in of("teacher", "train-prm")
    assert "--model chain-teacher" in of("distilled", "sample")
    assert "--by labels" in of("labels", "pairs")
    assert "--rule=shuffled:0.25 --rule=threshold:0.75" in of("shuffled-0.25", "pairs")
    assert "--rule=shuffled:1.0 --by" in of("shuffled-1.0", "pairs")
    for line in only(lines, "pairs"):
        PairSettings(rule=tuple(re.findall(r"--rule=(\S+)", line)))
    assert "(beta 1.0)" in of("beta-1.0", "orpo")
    assert "--by likelihood --model chain-teacher" in of("teacher-likelihood", "score")
    assert "--continue-from all/sipf/m0" in of("continue", "orpo")
    unknown = ["bash", str(EXAMPLES / "arms.sh"), "--rounds", "1"]
    done = subprocess.run(unknown, cwd=place, env={**os.environ, "ARMS": "best"}, capture_output=True, text=True)
    assert (done.returncode, "there is no arm best" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "variables", "has_teacher"),
    [
        ([], {}, True),
        (["--task", "chain"], {}, True),
        (["--model", "m", "--task", "gsm8k"], {}, False),
        (["--task", "gsm8k"], {"TEACHER": "big"}, True),
        (["--task", "gsm8k"], {"FULL": "1"}, False),
        ([], {"FULL": "1"}, True),
    ],
)
def test_only_a_task_with_a_teacher_has_the_arms_that_it_helps(
    tmp_path: Path, options: list[str], variables: dict[str, str], has_teacher: bool
) -> None:
    shutil.copy(EXAMPLES / "reproduce.sh", tmp_path)
    (tmp_path / "arms.sh").write_text('echo "$ARMS: $*" >> arms\n')
    (tmp_path / "claims.py").touch()
    env = {**os.environ, "OUT": "run", "JOBS": "1", "SEEDS": "0", **variables}
    done = subprocess.run(["bash", "reproduce.sh", *options], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *others = (tmp_path / "arms").read_text().splitlines()
    arms, _, given = first.partition(": ")
    assert set(arms.split()) & {"teacher", "teacher-labels", "distilled"} == (
        {"teacher", "teacher-labels", "distilled"} if has_teacher else set()
    )
    assert ("teacher-likelihood" in arms) == (has_teacher and "FULL" in variables)
    assert arms.split()[:3] == ["labels", "sipf", "siof"]
    assert given.startswith("--rounds 3 --seed 0")
    assert ("without the arms that a teacher helps" in done.stderr) != has_teacher
    rounds = [line.split("--rounds ")[1].split()[0] for line in others]
    assert rounds == ((["6"] if options else ["6", "3"]) if "FULL" in variables else [])


def test_several_processes_train_through_accelerate_and_nothing_else_does(place: Path) -> None:
    config = place / "some.toml"
    config.touch()
    lines = calls(place, "loop.sh", "--out", "run", "--rounds", "1", "--processes", "2", "--config", str(config))
    launched = (place / "calls.launched").read_text().splitlines()
    head = f"launch --num_processes 2 -m sipf_cli --config {config}"
    assert [line.removeprefix(head).split()[0] for line in launched] == ["sft", "train-prm", "orpo"]
    one_round = ["sample", "simulate", "train-prm", "score", "pairs", "orpo", "eval", "health"]
    assert [line.split()[0] for line in lines][-9:] == [*one_round, "report"]
    (place / "calls.launched").unlink()
    calls(place, "loop.sh", "--out", "one", "--rounds", "1")
    assert not (place / "calls.launched").exists()


def test_the_demo_shows_outcome_feedback_at_equal_pairs_and_at_equal_tokens(place: Path) -> None:
    (place / "bin" / "sipf").write_text(NOTES.replace('touch "$2.manifest.json"', MANIFEST))
    lines = calls(place, "demo.sh", OUT=str(place / "demo"), SEED="2")
    pairs, tokens = ([line for line in lines if f"-o {place}/demo/{arm}/" in line] for arm in ("siof", "siof-tokens"))
    for other in (pairs, tokens):
        assert not [line for line in other if line.split()[0] in ("sft", "simulate", "train-prm", "score")]
        assert all("--rule=outcome" in line for line in only(other, "pairs"))
    assert all("--most 3" in line for line in only(pairs, "pairs"))
    assert [" -n 8 " in line for line in only(tokens, "sample")] == [True, True]
    assert (place / "demo/siof/r0/paths.jsonl").read_bytes() == (place / "demo/labels/r0/paths.jsonl").read_bytes()
    own = [line for line in lines if f"-o {place}/demo/labels/" in line]
    assert all("--rule=consistent --by labels" in line for line in only(own, "pairs"))
    assert not only(lines, "train-prm")
    tests = [line for line in lines if "--split test" in line or "--split ood" in line]
    assert all("--seed 1002" in line for line in tests), "test problems depend on the demo's seed"


# Writes a line of health as well, and ends the loop after the round that SIGNS names, by its sign.
HEALTHY = NOTES.replace(
    "while [ $# -gt 0 ]",
    """if [ "$1" = health ]; then
  stop=null
  case $SIGNS in "$4:$6") stop="{\\"when\\": \\"$6\\", \\"sign\\": \\"$6\\"}" ;; esac
  echo "{\\"round\\": $4, \\"best\\": 1, \\"best_model\\": \\"m1\\", \\"stop\\": $stop}" >> "$2/health.jsonl"
fi
while [ $# -gt 0 ]""",
    1,
)


def told(place: Path, *arguments: str) -> tuple[int, str]:
    """How the loop ends, and what it says about itself, where `sipf` writes health as well."""
    environment = {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "SIGNS": "2:plateau"}
    line = ["bash", str(EXAMPLES / "loop.sh"), *arguments]
    (place / "calls").unlink(missing_ok=True)
    done = subprocess.run(
        line, cwd=place, env=environment | {"CALLS": str(place / "calls")}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, "\n".join(line for line in done.stderr.splitlines() if line.startswith("loop.sh:"))


def test_a_loop_ends_after_the_round_that_shows_the_sign_and_then_has_nothing_more_to_do(place: Path) -> None:
    (place / "bin" / "sipf").write_text(HEALTHY)
    how = ("--out", "run", "--rounds", "4", "--rule", "outcome", "--stop-when")
    code, said = told(place, *how, "plateau")
    lines = (place / "calls").read_text().splitlines()
    assert (code, said) == (0, "loop.sh: ended after round 2 by --stop-when plateau: plateau; the best is round 1, m1")
    assert only(lines, "health") == [f"health run --round {i} --stop-when plateau" for i in (1, 2)]
    assert lines[-1] == "report run", "the report comes all the same"
    code, said = told(place, *how, "plateau")
    assert (code, (place / "calls").exists()) == (0, False)
    assert "nothing is left to do" in said
    assert told(place, *how, "worse") == (0, ""), "it did not fall"
    assert len(only((place / "calls").read_text().splitlines(), "orpo")) == 4


def test_stopping_looks_at_validation_problems_and_no_others(place: Path) -> None:
    (place / "bin" / "sipf").write_text(HEALTHY)
    told(place, "--out", "run", "--rule", "outcome", "--rounds", "1", "--stop-when", "worse")
    lines = (place / "calls").read_text().splitlines()
    (made,) = (line for line in only(lines, "data") if "validation" in line)
    assert made == "data chain --split validation -n 1000 --seed 0 -o run/data/validation.jsonl"
    assert [line for line in only(lines, "eval") if "validation" in line] == [
        "eval run/data/validation.jsonl --model run/m0 -o run/validation/sft.jsonl",
        "eval run/data/validation.jsonl --model run/m1 -o run/validation/round1.jsonl",
    ]
    told(place, "--out", "mbpp", "--task", "mbpp", "--rounds", "1", "--stop-when", "worse")
    assert "data mbpp --split validation --path hub" in (place / "calls").read_text()
    assert "validation" not in "".join(calls(place, "loop.sh", "--out", "plain")), "nothing more without it"
    (place / "run" / "health.jsonl").unlink()
    goes_on = calls(place, "loop.sh", "--out", "run", "--rule", "outcome", "--rounds", "1", SIGNS="")
    assert "eval run/data/validation.jsonl --model run/m1 -o run/validation/round1.jsonl" in goes_on


def test_gsm8k_holds_back_its_last_train_questions(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VALIDATION_N", "1")
    (place / "bin" / "sipf").write_text(HEALTHY)
    how = ("--task", "gsm8k", "--rule", "outcome", "--rounds", "1")
    assert told(place, "--out", "run", *how, "--stop-when", "worse") == (0, "")
    lines = (place / "calls").read_text().splitlines()
    assert only(lines, "data")[0] == "data gsm8k --split train --path hub -o run/data/train.jsonl"
    assert (place / "run/data/sft.jsonl").read_text() == "a\nb\n"
    assert (place / "run/data/validation.jsonl").read_text() == "c\n"
    assert only(lines, "sample")[0].startswith("sample run/data/sft.jsonl")
    assert told(place, "--out", "run", *how) == (0, "")
    assert (place / "run/data/sft.jsonl").read_text() == "a\nb\n", "they stay held back without --stop-when"
    told(place, "--out", "all", *how)
    code, said = told(place, "--out", "all", *how, "--stop-when", "worse")
    assert (code, "was begun without --stop-when" in said) == (2, True)
    monkeypatch.setenv("VALIDATION_N", "3")
    code, said = told(place, "--out", "few", *how, "--stop-when", "worse")
    assert (code, "leaves none" in said) == (2, True)


def test_what_cannot_be_stopped_is_refused(place: Path) -> None:
    (place / "bin" / "sipf").write_text(HEALTHY)
    code, said = told(place, "--out", "run", "--stop-when", "never")
    assert (code, "plateau or worse, not never" in said) == (2, True)
    code, said = told(place, "--out", "run", "--pairs-of", "other", "--stop-when", "worse")
    assert (code, "--pairs-of" in said) == (2, True)
    told(place, "--out", "other", "--rounds", "1")
    code, said = told(place, "--out", "run", "--sft-from", "other", "--stop-when", "worse")
    assert (code, "run that loop with --stop-when, too" in said) == (2, True)
    told(place, "--out", "judged", "--rounds", "1", "--stop-when", "worse")
    assert told(place, "--out", "run", "--rounds", "1", "--sft-from", "judged", "--stop-when", "worse")[0] == 0
    calls_made = (place / "calls").read_text()
    assert "health run --round 1 --stop-when worse --sft-from judged" in calls_made
    assert "eval judged/data/validation.jsonl --model judged/m0 -o run/validation/sft.jsonl" in calls_made


def test_an_arm_that_starts_before_the_questions_are_made_waits_for_them(place: Path) -> None:
    environment = {**os.environ, "PATH": f"{place / 'bin'}{os.pathsep}{os.environ['PATH']}", "OUT": "all"}
    environment |= {"ARMS": "siof siof-tokens", "CALLS": str(place / "early")}
    line = ["bash", str(EXAMPLES / "arms.sh"), "--rounds", "1"]
    early = subprocess.Popen(line, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    time.sleep(1)
    (place / "bin" / "sipf").write_text(NOTES.replace('touch "$2.manifest.json"', MANIFEST))
    calls(place, "arms.sh", "--rounds", "1", OUT="all", ARMS="sipf")
    assert early.wait(timeout=60) == 0
    sampled = only((place / "early").read_text().splitlines(), "sample")
    assert [line.split()[1] for line in sampled] == ["all/sipf/data/questions.0.jsonl"] * 2


def test_a_demo_whose_first_arm_fails_ends_at_once_with_both(place: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        calls(place, "demo.sh", OUT=str(place / "demo"), FAILING="simulate")
    assert caught.value.returncode == 4
    said = (place / "calls").read_text()
    assert "orpo" not in said
    assert "report" not in said
    time.sleep(0.5)
    assert f"{place}/demo/siof" not in running(), "the arm that waited has ended, too"


def test_an_unknown_option_is_wrong_usage(place: Path) -> None:
    done = subprocess.run(["bash", str(EXAMPLES / "loop.sh"), "--rouns", "3"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown option --rouns" in done.stderr
    done = subprocess.run(["bash", str(EXAMPLES / "loop.sh"), "--task", "gsm9k"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "chain, functions, gsm8k or mbpp" in done.stderr
    done = subprocess.run(["bash", str(EXAMPLES / "loop.sh"), "--base", "m1"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--base is model or m0, not m1" in done.stderr
    wrong = ["bash", str(EXAMPLES / "loop.sh"), "--rule", "best"]
    done = subprocess.run(wrong, capture_output=True, text=True)
    assert done.returncode == 2
    assert "unknown --rule best" in done.stderr
    wrong = ["bash", str(EXAMPLES / "loop.sh"), "--score-by", "guess"]
    done = subprocess.run(wrong, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--score-by is prm, likelihood or ratio, not guess" in done.stderr
