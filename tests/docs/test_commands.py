"""Every command of README.md and docs/ runs as it stands and prints what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import NOT_RUN, PAGES, ROOT, Command, blocks, commands
from tests.sipf_cli import test_examples
from tests.sipf_cli.commands import environment
from tests.sipf_cli.warm import warm_program

HOME = "/home/ada"
"""Where the pages say that the commands were run."""
MEASURED = (
    (re.compile(r"^(seconds +)[\d.,]+$", re.MULTILINE), r"\1#"),
    (re.compile(r"[\d.,]+/s, ([\d.,]+ tokens/s, )?took [\d:]+"), "#/s"),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:+]+"), "#"),
)


def blocks_to_run(page: Path) -> list[Command]:
    chosen = [one for one in blocks(page) if one.language in ("sh", "console") and one.note not in NOT_RUN]
    return [command for block in chosen for command in commands(block)]


@pytest.fixture
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `sipf` in it, which runs this tree."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "sipf").write_text(f'#!/bin/sh\nexec {shlex.join(warm_program())} "$@"\n')
    (folder / "sipf").chmod(0o755)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_to_run(page)], ids=lambda page: page.name)
def test_the_commands_of_a_page_run_and_print_what_it_shows(page: Path, program: Path, tmp_path: Path) -> None:
    inherited = environment(PYTHONPATH=str(ROOT), SIPF_API_KEY="")
    inherited["PATH"] = f"{program}:{inherited['PATH']}"
    code = 0
    todo = blocks_to_run(page)
    for command, following in zip(todo, [*todo[1:], None], strict=True):
        line = ["bash", "-c", f"(exit {code}); {command.typed}"]
        done = subprocess.run(line, cwd=tmp_path, env=inherited, capture_output=True, text=True, timeout=120)
        code, where = done.returncode, f"{page.name}:{command.line}: {command.typed}"
        expected = following is not None and following.typed == "echo $?"
        assert code == 0 or expected, f"{where}\n{done.stderr}"
        if command.shown is not None:
            printed = done.stdout.replace(str(tmp_path), HOME)
            assert matches(command.shown, printed), f"{where}\n{printed}"


def matches(shown: str, printed: str) -> bool:
    """Whether what was printed is what the page shows, `...` standing for any lines."""
    for pattern, mask in MEASURED:
        shown, printed = pattern.sub(mask, shown), pattern.sub(mask, printed)
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    wanted = "".join(r"(.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in lines)
    return re.fullmatch(wanted, "".join(f"{line.rstrip()}\n" for line in printed.strip().splitlines())) is not None


def test_output_matches_only_where_it_is_the_same() -> None:
    assert matches("a\n...\nseconds 1.5\n", "a\nb\nc\nseconds 0.2\n")
    assert not matches("a\nb\n", "a\nc\n")
    assert not matches("a\n", "a\nb\n")
    assert matches("sample: 4/4 problems, 2.0/s, took 0:03", "sample: 4/4 problems, 9.1/s, 8 tokens/s, took 0:00")


def not_run() -> Iterator[Any]:
    for page in PAGES:
        for block in blocks(page):
            if block.note in NOT_RUN:
                for command in commands(block):
                    yield pytest.param(command.typed, id=f"{page.name}:{command.line}: {command.typed[:60]}")


@pytest.mark.parametrize("typed", list(not_run()))
def test_a_command_that_is_not_run_exists_with_its_options(typed: str) -> None:
    typed = re.sub(r"^\w+=\$\((.*)\)$", r"\1", typed)  # what is kept of it in a variable
    words = [word for word in shlex.split(typed, comments=True) if not re.match(r"[A-Z_]+=", word)]
    for stop in (">", "<", "&&", "|"):
        words = words[: words.index(stop)] if stop in words else words
    check_command(words)


def check_command(words: list[str]) -> None:
    """Fail if there is no such program, script or target here, or not with these options."""
    program = words[0]
    if program == "sipf":
        check_options(words[1:])
    elif program == "accelerate":
        check_options(words[words.index("sipf_cli") + 1 :])
    elif program == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{target}:", targets, re.MULTILINE) for target in words[1:] if "=" not in target)
    elif program.endswith(("python", "bash")):
        script = ROOT / words[1] if "/" in words[1] else ROOT / "examples" / words[1]
        text = script.read_text(encoding="utf-8")
        stage = next((place for place, word in enumerate(words) if word in test_examples.commands()), None)
        assert all(word in text for word in words[2:stage] if word.startswith("--"))
        if stage is not None:  # what the script hands on
            check_options(words[stage:])
    elif program == "sbatch":
        job = next(place for place, word in enumerate(words) if word.endswith("job.sh"))
        assert (ROOT / words[job]).exists()
        check_command(words[job + 1 :])
    elif program == "ray":
        assert (ROOT / words[-1]).exists()
    else:
        assert program in ("pip", "source", "git", "python3.11", ".ci/run"), f"what is {program}?"


def check_options(words: list[str]) -> None:
    """Fail if `sipf WORDS` is no command, or has an option or a choice that the command does not know."""
    import typer

    known = test_examples.commands()
    name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
    command = known[name]
    context = typer.Context(command)
    given, _, _ = command.make_parser(context).parse_args(words[len(name.split()) :])
    for parameter in command.params:
        if parameter.name in given and "path" not in str(parameter.type.name):
            parameter.type_cast_value(context, given[parameter.name])
