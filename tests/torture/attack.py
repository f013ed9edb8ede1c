"""One case: a command is attacked while it runs, run again until it is done, and compared with one that was left alone.

    attacker = Attacker(folder)
    row = attacker.case("scripted", seed=7, number=3)
    # {"group": "scripted", "case": 3, "stage": "pairs", "attacks": [{"signal": "SIGKILL",
    #  "moment": "before rename out.jsonl.tmp", ...}], "wrong": []}

The undisturbed run is made first. Its calls are counted (shim.c), so that an attack can be aimed at any of them, such
as the last rename.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from tests.sipf_cli.commands import PROGRAM, environment
from tests.sipf_cli.warm import begin, keep_warm
from tests.torture.attacks import Attack, before_an_edit, failing, signalled
from tests.torture.edits import edit
from tests.torture.outcome import Wrong, complete, difference, mapped, shared_memory, tree
from tests.torture.power import State
from tests.torture.processes import adopt, children, is_stopped, no_leftovers
from tests.torture.recipes import Inputs, Recipe, draw
from tests.torture.shim import calls, preloaded, variables

LONGEST = 240
"""Seconds until a command is taken to hang."""


@dataclass
class Whole:
    """What the undisturbed run of a recipe was."""

    folder: Path
    codes: list[int]
    seconds: list[float]
    calls: list[Counter[str]]
    said: bytes
    """What it wrote to stdout, if that is its output."""


class Attacker:
    """Runs cases in a folder, with inputs that it makes there.

    Args:
        url: the misbehaving server's address, for recipes that need one.
    """

    def __init__(self, folder: Path, url: str = "") -> None:
        self.folder, self.url = folder, url
        adopt()
        keep_warm(self._environment(folder, {}))
        self.inputs = Inputs(folder / "inputs", self._environment(folder, {}))
        self._known = {child.pid for child in psutil.Process().children(recursive=True)}

    def _environment(self, temporary: Path, more: dict[str, str]) -> dict[str, str]:
        found = environment(LD_PRELOAD=preloaded(), TMPDIR=str(temporary), **more)
        return {name: value for name, value in found.items() if name != "TORTURE_UNDER" or name in more}

    def case(self, group: str, seed: int, number: int, kills: int | None = None) -> dict[str, Any]:
        """Draw a recipe and its attacks, and run them; what is wrong is in the row's `wrong`."""
        draws = random.Random(f"{seed} {group} {number}")
        recipe = draw(draws, self.inputs, group)
        place = self.folder / f"{group}-{number}"
        shutil.rmtree(place, ignore_errors=True)
        begun, attacks, wrong = time.monotonic(), [], []
        try:
            whole = self._whole(recipe, place)
            attacks.extend(self._attacked(recipe, whole, place, draws, kills, group))
        except Wrong as error:
            wrong.append(str(error))
        row = {
            "group": group, "seed": seed, "case": number, "stage": recipe.stage,
            "attacks": [asdict(attack) for attack in attacks], "wrong": wrong,
            "seconds": round(time.monotonic() - begun, 1), "lines": [" ".join(line) for line in recipe.lines],
        }  # fmt: skip
        if not wrong:
            shutil.rmtree(place)
        return row

    def _whole(self, recipe: Recipe, place: Path) -> Whole:
        run, codes, seconds, counts = place / "whole", [], [], []
        _empty(run, recipe)
        for number, line in enumerate(recipe.lines):
            log, begun = place / f"log.{number}", time.monotonic()
            self._begin(recipe, number, run, place, log=log)
            codes.append(self._wait())
            seconds.append(time.monotonic() - begun)
            counts.append(Counter(call.name for call in calls(log)))
            counts[-1]["any"] = counts[-1].total()
            log.unlink(missing_ok=True)
            if codes[-1] not in (0, 3):
                raise Wrong(f"undisturbed, {' '.join(line)} ended with {codes[-1]}: {self._said()[-2000:]}")
        return Whole(run, codes, seconds, counts, self._stdout.read_bytes())

    def recorded(self, recipe: Recipe, place: Path, content: Callable[[], State]) -> tuple[Path, State, Whole]:
        """Run a recipe in `place`/run with its last command recorded.

        Returns:
            The record, what was in the folder before that command, and what the recipe has made.
        """
        run, log = place / "run", place / "log"
        whole = self._whole(recipe, place)
        _empty(run, recipe)
        last = len(recipe.lines) - 1
        for number in range(last):
            self._again(recipe, whole, number, run, place)
        before = content()
        self._begin(recipe, last, run, place, log=log)
        if self._wait() != whole.codes[last]:
            raise Wrong(f"the recorded run ended otherwise: {self._said()[-2000:]}")
        return log, before, whole

    def killed_after_each(self, recipe: Recipe, place: Path, names: Sequence[str]) -> list[Attack]:
        """A recipe of one command, killed right after each of its calls of these names, and run again each time."""
        whole, run, attacks = self._whole(recipe, place), place / "run", []
        for name in names:
            for nth in range(1, whole.calls[0][name] + 2):  # one more: a call that fails is counted, not recorded
                _empty(run, recipe)
                attacks.append(Attack("call", "SIGKILL", f"{name}:{nth}:after:9"))
                self._suffer(recipe, whole, 0, run, place, attacks[-1], random.Random(nth))
                self.finish(recipe, whole, 0, run, place)
        return attacks

    def finish(self, recipe: Recipe, whole: Whole, number: int, run: Path, place: Path) -> None:
        """Run a command again; all must be as in the undisturbed run."""
        self._again(recipe, whole, number, run, place)
        self._compare(recipe, whole, run)

    def _attacked(
        self, recipe: Recipe, whole: Whole, place: Path, draws: random.Random, kills: int | None, group: str
    ) -> Iterator[Attack]:
        run = place / "run"
        _empty(run, recipe)
        before = shared_memory()
        often = [3] if "--ray" in recipe.stage else [1] if group == "edits" else [1, 1, 2, 3]
        most = draws.choice(often) if kills is None else kills
        hit = draws.randrange(len(recipe.lines))
        for number in range(len(recipe.lines)):
            for _ in range(most if number == hit else draws.choice([0, 1]) if len(recipe.lines) > 1 else 0):
                attack = _drawn(group, recipe, whole.calls[number], draws)
                yield attack
                self._suffer(recipe, whole, number, run, place, attack, draws)
                if recipe.piped and attack.moment:
                    return
            if group == "edits":
                self._after_an_edit(recipe, whole, number, run, place)
            else:
                self._again(recipe, whole, number, run, place)
        self._compare(recipe, whole, run)
        new = [name for name in shared_memory() - before if not mapped(name)]
        if new:
            raise Wrong(f"left in shared memory: {new}")

    def _begin(
        self,
        recipe: Recipe,
        number: int,
        run: Path,
        place: Path,
        *,
        warm: bool = True,
        name: str = "one",
        **shim: object,
    ) -> subprocess.Popen[bytes]:
        temporary = place / "tmp"
        temporary.mkdir(exist_ok=True)
        self._stdout, self._stderr = place / f"{name}.out", place / f"{name}.err"
        words = [word.replace("{url}", self.url) for word in recipe.lines[number]]
        env = self._environment(temporary, variables(run, **shim))
        stdin = subprocess.DEVNULL
        with open(self._stdout, "wb") as out, open(self._stderr, "wb") as err:
            how: dict[str, Any] = {"cwd": run, "stdin": stdin, "stdout": out, "stderr": err}
            fed = None
            if recipe.stdin is not None and number == 0:
                fed = subprocess.Popen(["cat", recipe.stdin], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                how["stdin"] = fed.stdout
            if warm:
                self._process = begin(["sipf", *words], env=env, **how)
            else:
                self._process = subprocess.Popen([*PROGRAM, *words], env=env, **how)
            adopt()
            if fed is not None:
                assert fed.stdout is not None
                fed.stdout.close()
                self._known.add(fed.pid)
                self._fed = fed
        return self._process

    def _said(self) -> str:
        return self._stderr.read_text(encoding="utf-8", errors="replace")

    def _wait(self, process: subprocess.Popen[bytes] | None = None) -> int:
        """Until it ends; one that stops itself is continued."""
        process, end = process or self._process, time.monotonic() + LONGEST
        while process.poll() is None:
            if time.monotonic() > end:
                process.kill()
                process.wait()
                raise Wrong(f"it hangs: {self._said()[-2000:]}")
            time.sleep(0.002)
        fed = self.__dict__.pop("_fed", None)
        if fed is not None:
            fed.wait()
        return process.returncode

    def _suffer(
        self, recipe: Recipe, whole: Whole, number: int, run: Path, place: Path, attack: Attack, draws: random.Random
    ) -> None:
        """Run the command with the attack; check what it leaves at once."""
        said = place / "hit"
        said.unlink(missing_ok=True)
        is_killed = attack.kind == "call" or (attack.kind == "edit" and attack.at)
        shim: dict[str, object] = {"said": said, **({"kill": attack.at} if is_killed else {})}
        if attack.kind in ("fault", "short", "clock"):
            shim[attack.kind.replace("fault", "fail")] = attack.at
        process = self._begin(recipe, number, run, place, warm=attack.warm, **shim)
        if attack.kind in ("fault", "short", "clock"):
            self._wait(process)
            attack.moment = _where(said, run) if attack.kind == "fault" else "all along"
        elif attack.kind in ("call", "edit"):
            self._watch(recipe, number, run, place, process, attack, said, draws)
        else:
            share = float(attack.at)
            if attack.kind != "child" or "--ray" not in recipe.stage:  # whose actors come late, and are waited for
                time.sleep(share if attack.kind == "start" else share * whole.seconds[number])
            self._send(recipe, process, attack, draws)
        attack.code = self._wait(process)
        self._judge(whole, number, attack)
        self._no_leftovers(recipe)
        for file in run.glob("*.manifest.json"):
            complete(file)
        if recipe.piped and not whole.said.startswith(self._stdout.read_bytes()):
            raise Wrong("what it wrote to stdout is not the beginning of the undisturbed run's")
        if attack.kind == "edit":
            attack.moment = attack.moment or "when it was done"
            attack.victim = edit(run, draws)

    def _watch(
        self,
        recipe: Recipe,
        number: int,
        run: Path,
        place: Path,
        process: subprocess.Popen[bytes],
        attack: Attack,
        said: Path,
        draws: random.Random,
    ) -> None:
        """Until the attack has hit or the process is over. While it is stopped, another writer may come."""
        end = time.monotonic() + LONGEST
        while process.poll() is None and time.monotonic() < end:
            if attack.signal == "SIGSTOP" and said.exists() and is_stopped(process.pid):
                if draws.random() < 0.5 and not recipe.piped and recipe.stdin is None:
                    self._another_writer(recipe, number, run, place)
                    self._process = process
                    self._stdout, self._stderr = place / "one.out", place / "one.err"
                    attack.victim = "with another writer"
                process.send_signal(signal.SIGCONT)
                break
            time.sleep(0.002)
        self._wait(process)
        attack.moment = _where(said, run)

    def _another_writer(self, recipe: Recipe, number: int, run: Path, place: Path) -> None:
        """The same command, which must leave the output to the one that holds it."""
        other = self._begin(recipe, number, run, place, name="other")
        code = self._wait(other)
        text = self._said()
        if code not in (0, 3) and not (code == 2 and "is being written by another run" in text):
            raise Wrong(f"a second writer ended with {code}: {text[-2000:]}")

    def _send(self, recipe: Recipe, process: subprocess.Popen[bytes], attack: Attack, draws: random.Random) -> None:
        sort = signal.Signals[attack.signal]
        if process.poll() is not None:
            return
        target = process.pid
        if attack.kind == "child":
            found = children(process, "ray::Replica" if "--ray" in recipe.stage else "")
            if not found:
                return
            if "--ray" in recipe.stage:
                time.sleep(2 * float(attack.at))
            chosen = draws.choice(found)
            with suppress(psutil.Error):
                attack.victim = " ".join(chosen.cmdline())[:60]
            target = chosen.pid
        with suppress(ProcessLookupError):
            os.kill(target, sort)
            attack.moment = {"time": "at any time", "start": "at the start", "child": "a child"}[attack.kind]
            if attack.signal == "SIGSTOP":
                time.sleep(draws.random() * 0.3)
                os.kill(target, signal.SIGCONT)

    def _judge(self, whole: Whole, number: int, attack: Attack) -> None:
        """Whether the command ended as it may after this attack."""
        usual = whole.codes[number]
        allowed = {usual}
        if attack.kind in ("short", "clock"):
            pass
        elif attack.moment and attack.kind == "fault":
            allowed |= {75, *({2} if "create" in attack.moment and ".lock" in attack.moment else ())}
        elif attack.moment and attack.kind == "child":
            allowed |= {4, 5, 6, 75}
        elif attack.moment:
            allowed |= {
                "SIGKILL": {-9}, "edited": {-9}, "SIGSTOP": set(), "SIGTERM": {75, -15}, "SIGINT": {130, -2},
            }[attack.signal]  # fmt: skip
        text = self._said()
        if attack.kind == "start" and attack.signal == "SIGINT" and text.rstrip().endswith("KeyboardInterrupt"):
            allowed |= {1}  # before the program's first line; a real start ends by the signal
        if attack.code not in allowed:
            raise Wrong(f"after {attack.signal} {attack.moment} it ended with {attack.code}: {text[-3000:]}")
        if "Traceback" in text and attack.kind not in ("start", "child") and attack.code not in (usual, -2):
            raise Wrong(f"after {attack.signal} {attack.moment} there is a traceback: {text[-3000:]}")

    def _no_leftovers(self, recipe: Recipe) -> None:
        no_leftovers(self._known.__contains__, "ray" in recipe.stage)

    def _after_an_edit(self, recipe: Recipe, whole: Whole, number: int, run: Path, place: Path) -> None:
        """Run a command again after its files were edited. It may refuse, but must leave them as they are then."""
        before = _contents(run)
        self._begin(recipe, number, run, place)
        code, text = self._wait(), self._said()
        after = _contents(run)
        if code == whole.codes[number] and (code == 0 or before != after):
            return
        if code not in (2, 3) or "Traceback" in text:
            raise Wrong(f"after an edit it ended with {code}: {text[-3000:]}")
        if before != after:
            raise Wrong(f"it refused and changed {[name for name in before if after.get(name) != before[name]]}")
        self._again(replace(recipe, lines=[[*line, "--overwrite"] for line in recipe.lines]), whole, number, run, place)

    def _again(self, recipe: Recipe, whole: Whole, number: int, run: Path, place: Path) -> None:
        tries = 5 if "server" in recipe.stage else 1
        before = set(tree(place / "tmp")) if (place / "tmp").exists() else set()
        for _ in range(tries):
            self._begin(recipe, number, run, place)
            code = self._wait()
            if code != 6:
                break
        self._no_leftovers(recipe)
        if code != whole.codes[number]:
            raise Wrong(f"run again, it ended with {code}, not {whole.codes[number]}: {self._said()[-3000:]}")
        left = set(tree(place / "tmp")) - before
        if left and "ray" not in recipe.stage:
            raise Wrong(f"left in the folder for temporary files by a run that was left alone: {sorted(left)}")

    def _compare(self, recipe: Recipe, whole: Whole, run: Path) -> None:
        if recipe.piped:
            if self._stdout.read_bytes() != whole.said:
                raise Wrong("stdout differs from the undisturbed run's")
            return
        made, wanted = tree(run), tree(whole.folder)
        if made != wanted:
            raise Wrong(f"files differ: there are {sorted(made ^ wanted)}")
        for name in sorted(made):
            differs = (run / name).is_file() and difference(run / name, whole.folder / name)
            if differs:
                raise Wrong(f"{name} differs from the undisturbed run's: {differs}")


def _contents(run: Path) -> dict[str, bytes]:
    """Of all files but locks, which end with a process."""
    return {name: (run / name).read_bytes() for name in tree(run) if not name.endswith(".lock")}


def _empty(run: Path, recipe: Recipe) -> None:
    """A folder with nothing in it but what the recipe begins with."""
    shutil.rmtree(run, ignore_errors=True)
    if recipe.begins is None:
        run.mkdir(parents=True)
    else:
        shutil.copytree(recipe.begins, run)


def _drawn(group: str, recipe: Recipe, found: Counter[str], draws: random.Random) -> Attack:
    if group == "edits":
        return before_an_edit(found, draws)
    return failing(found, draws) if group.endswith("faults") else signalled(recipe, found, draws)


def _where(said: Path, run: Path) -> str:
    """Where the shim says that it has attacked, in words."""
    if not said.exists():
        return ""
    when, name, path = said.read_text(encoding="utf-8").splitlines()[0].split(" ", 2)
    return f"{when} {name} {_generic(path, run)}"


def _generic(path: str, run: Path) -> str:
    name = str(Path(path).relative_to(run)) if Path(path) != run else "the folder"
    return re.sub(r"shard\.\d", "shard.N", re.sub(r"-\d+", "-N", name))
