"""The checker says what happened to a program, what it cost, and nothing at all when its sandbox is dead."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from evals.errors import DataError, SandboxError
from evals.programs.checks import CheckLimits, CodeTests
from evals.sandbox import checker as checker_module
from evals.sandbox import warm, worker
from evals.sandbox.checker import Checker, Layer
from evals.sandbox.landlock import NOT_LIBRARY, abi, library_rules

ADD = CodeTests("assert add(1, 2) == 3\nassert add(0, 0) == 0", ("add",))
RIGHT = "def add(a, b):\n    return a + b"


@pytest.fixture(scope="module")
def checker() -> Iterator[Checker]:
    """One for all tests that do not harm it."""
    with Checker(workers=2, limits=CheckLimits(cpu_s=1, wall_s=2)) as made:
        yield made


def test_a_warm_process_that_dies_while_it_starts_leaves_nothing_and_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # as bubblewrap's two processes: the outer one is killed before the inner one knows that it has a parent
    inner = f"sleep 60.{os.getpid()}"
    monkeypatch.setattr(warm, "_command", lambda *_: ["sh", "-c", f"{inner} & kill -9 $$"])
    monkeypatch.setattr(warm, "STARTED_IN", 0.2)
    begun = time.monotonic()
    with pytest.raises(SandboxError):
        warm.Warm("guest", "bubblewrap").await_ready()
    assert time.monotonic() - begun < 30
    lines = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]  # None of a zombie
    assert inner.split() not in lines


@pytest.mark.parametrize(
    ("program", "outcome", "message"),
    [
        (RIGHT, "passed", ""),
        ("def add(a, b):\n    return 3", "wrong", "line 2 of the tests, assert add(0, 0) == 0: AssertionError"),
        ("def add(a, b):\n    return a / 0", "exception", "ZeroDivisionError: division by zero"),
        ("def add(a, b):\n    raise ValueError('two\\nlines\\x00')", "exception", "ValueError: two lines"),
        ("def add(a, b)", "syntax", "SyntaxError: expected ':'"),
        ("x = 1", "exception", "NameError: name 'add' is not defined"),
        ("import os\nos._exit(3)", "crash", "ended early with status 3"),
        ("def add(a, b):\n    return 'x' * 10**12", "memory", "MemoryError"),
        (
            "def add(a, b):\n    return map(int, 'ab')",
            "wrong",
            "line 1 of the tests, assert add(1, 2) == 3: AssertionError (the program returned an",
        ),
        (
            "def add(a, b):\n    return [object()]",
            "wrong",
            "the program returned an object of type object, which is not plain data",
        ),
        ("import os\nos.fork()", "forbidden", "PermissionError: [Errno 1] Operation not permitted"),
        ("while True: print('x' * 1000)", "output-limit", "more than 1048576 bytes of output"),
    ],
)
def test_each_outcome_has_a_message(checker: Checker, program: str, outcome: str, message: str) -> None:
    result = checker.check(program, ADD)
    assert result.outcome == outcome
    assert result.message.startswith(message)
    assert result.passed == (outcome == "passed")
    assert not result.weak
    assert not result.rerun
    assert "\n" not in result.message
    assert len(result.message) <= 200


@pytest.mark.parametrize(
    ("program", "tests", "outcome"),
    [
        ("def copy(a): return a", "a = [1]\nassert copy(a) == a and copy(a) is not a", "wrong"),
        ("def copy(a): return a[:]", "a = [1]\nassert copy(a) == a and copy(a) is not a", "passed"),
        ("def copy(a): a.sort(); return a", "a = [2, 1]\nassert copy(a) is a == [1, 2]", "passed"),
        ("def copy(a): return sorted(a)", "a = [2, 1]\nassert copy(a) is a", "wrong"),
        ("def copy(a): return a", "a = {1}\ncopy(a=a).add(2)\nassert a == {1, 2}", "passed"),
        ("def copy(a): a[0].append(1)", "a = ([1],)\ncopy(a)\nassert a == ([1],)", "wrong"),
        ("def copy(a): a[1][0].append(1)", "a = (1, ([1],))\ncopy(a)\nassert a == (1, ([1, 1],))", "passed"),
    ],
)
def test_whether_an_argument_is_returned_or_changed_is_told_as_it_is(
    checker: Checker, program: str, tests: str, outcome: str
) -> None:
    assert checker.check(program, CodeTests(tests, ("copy",))).outcome == outcome


def test_a_result_says_what_the_check_cost(checker: Checker) -> None:
    result = checker.check("x = bytearray(100 << 20)\nfor i in range(10**6): pass\n" + RIGHT, ADD)
    assert result.passed
    assert 0.01 < result.cpu_s < 1
    assert result.cpu_s <= result.wall_s
    assert 100 < result.peak_mib < 200


def test_a_timeout_is_run_once_more_alone_before_it_counts() -> None:
    with Checker(workers=2, limits=CheckLimits(cpu_s=0.2, wall_s=0.5)) as checker:
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            slow = pool.submit(checker.check, "import time\ntime.sleep(9)", ADD)
            time.sleep(0.1)
            quick = pool.submit(checker.check, RIGHT, ADD)
            assert quick.result().outcome == "passed"
            assert slow.result().outcome == "timeout"
        assert slow.result().rerun
        assert not quick.result().rerun
        assert 1.0 <= time.monotonic() - began < 4


def test_a_timeout_that_was_the_machines_fault_passes_the_second_time(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = worker.Worker.run, []

    def busy(self: worker.Worker, program: str, tests: CodeTests, limits: CheckLimits) -> object:
        seen.append(limits)
        return real(self, program, tests, CheckLimits(wall_s=0) if len(seen) == 1 else limits)

    monkeypatch.setattr(worker.Worker, "run", busy)
    result = checker.check(RIGHT, ADD)
    assert result.passed
    assert result.rerun


def test_many_threads_may_check_at_once(checker: Checker) -> None:
    programs = [f"def add(a, b):\n    return a + b + {i % 2}" for i in range(60)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = [result.outcome for result in pool.map(lambda program: checker.check(program, ADD), programs)]
    assert outcomes == ["passed", "wrong"] * 30


def test_equal_programs_get_equal_verdicts(checker: Checker) -> None:
    """Hash seeds and random numbers do not change from one check to the next."""
    program = "import random\ndef add(a, b):\n    return [random.random(), list({'x', 'y', 'z'}), hash('x')]"
    told = {checker.check(program, CodeTests("assert False, str(add(1, 2))", ("add",))).message for _ in range(6)}
    assert len(told) == 1


def test_a_check_leaves_nothing_to_the_next(checker: Checker) -> None:
    poison = "import math, sys, builtins\nmath.tau = 1\nsys.modules['re'] = None\nbuiltins.abs = None\n" + RIGHT
    clean = "import math, re\ndef add(a, b):\n    return [math.tau > 6, abs(len(re.findall('a', 'aa')))]"
    for _ in range(4):
        assert checker.check(poison, ADD).passed
        assert checker.check(clean, CodeTests("assert add(1, 2) == [True, 2]", ("add",))).passed


@pytest.mark.parametrize(
    "module", ["re", "math", "heapq", "collections", "itertools", "hashlib", "ctypes", "colorsys", "sqlite3", "ssl"]
)
def test_programs_have_the_standard_library(checker: Checker, module: str) -> None:
    result = checker.check(f"import {module}\n{RIGHT}", ADD)
    if module in ("sqlite3", "ssl"):  # they want shared libraries of the system, which the cage may keep away
        assert result.outcome in ("passed", "exception")
    else:
        assert result.passed, result.message


def test_installed_packages_cannot_be_read() -> None:
    """One of them is HumanEval, with its tests and references."""
    import sysconfig

    paths = {path for path, _ in library_rules(sysconfig.get_path("stdlib"))}
    assert len(paths) > 100
    assert not any(Path(path).name in NOT_LIBRARY for path in paths)


@pytest.mark.parametrize("weak", [False, True])
def test_tests_at_fault_are_a_data_error(checker: Checker, weak: bool) -> None:
    if weak:
        result = checker.check(RIGHT, CodeTests("assert add(1, 2) == 4", ("add",), weak=True))
        assert (result.outcome, result.weak) == ("wrong", True)
        return
    with pytest.raises(DataError, match="tests: SyntaxError"):
        checker.check(RIGHT, CodeTests("assert add(", ("add",)))
    assert checker.check(RIGHT, ADD).passed


@pytest.mark.parametrize(
    "said",
    [
        "b'garbage\\n'", "b'[]\\n'", "b'{}\\n'", "b'[' * 10000 + b'\\n'", "b'\\xff\\n'", "b'9' * 5000 + b'\\n'",
        "bytes(50000)",
        "b'{\"outcome\": [], \"message\": \"\", \"last\": true}\\n'",
    ],
)  # fmt: skip
def test_tests_that_write_to_the_host_are_at_fault_and_harm_nothing(checker: Checker, said: str) -> None:
    tests = CodeTests(f"import os, time\nadd(1, 2)\nos.write(3, {said})\ntime.sleep(1)", ("add",))
    with pytest.raises(DataError, match="tests: they wrote to the checker's own socket"):
        checker.check(RIGHT, tests)
    assert checker.check(RIGHT, ADD).passed


def test_tests_that_end_their_process_are_at_fault(checker: Checker) -> None:
    with pytest.raises(DataError, match="tests: they ended their own process, with status 3"):
        checker.check(RIGHT, CodeTests("import os\nadd(1, 2)\nos._exit(3)", ("add",)))
    assert checker.check(RIGHT, ADD).passed


def test_weak_tests_hand_over_objects(checker: Checker) -> None:
    program = "class Node:\n    def __init__(self, n): self.n = n\ndef total(*nodes): return sum(x.n for x in nodes)"
    tests = CodeTests("assert total(Node(1), Node(2)) == 3", ("total", "Node"), weak=True)
    assert checker.check(program, tests).passed
    for cheat in ("import os\nos._exit(0)", "import sys\nsys.exit(0)", "raise SystemExit", "print('passed')"):
        result = checker.check(cheat, tests)
        assert not result.passed
        assert result.weak


def test_a_program_of_a_megabyte_is_no_program(checker: Checker) -> None:
    assert checker.check("#" * (1 << 20) + "\n" + RIGHT, ADD).outcome == "syntax"
    assert checker.check("#" * (1 << 19) + "\n" + RIGHT, ADD).passed


def test_a_warm_process_that_died_is_replaced() -> None:
    with Checker(workers=1) as checker:
        assert checker.check(RIGHT, ADD).passed
        for role in ("guest", "judge"):
            (idle,) = checker._idle
            os.killpg(getattr(idle, role).process.pid, signal.SIGKILL)
            assert checker.check(RIGHT, ADD).passed


def test_a_sandbox_that_keeps_dying_is_an_error_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    with Checker(workers=1) as checker:
        real = warm.Warm.order

        def broken(self: warm.Warm, limits: dict[str, object], descriptors: list[int]) -> None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            real(self, limits, descriptors)

        monkeypatch.setattr(warm.Warm, "order", broken)
        with pytest.raises(SandboxError, match="the sandbox broke twice"):
            checker.check(RIGHT, ADD)


def test_a_program_cannot_claim_that_its_cage_broke(checker: Checker) -> None:
    assert checker.check("import os\nos._exit(111)", ADD).outcome == "crash"


def test_without_a_sandbox_nothing_runs_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = warm.Warm.__init__

    def missing(self: warm.Warm, role: str, layer: str) -> None:
        if layer != "none":
            raise SandboxError(f"{layer}: not here")
        real(self, role, layer)

    monkeypatch.setattr(warm.Warm, "__init__", missing)
    with pytest.raises(SandboxError, match="bubblewrap: not here; landlock: not here") as caught:
        Checker(workers=1)
    assert caught.value.exit_code == 5
    assert "--unsafe-exec" in caught.value.advice
    with pytest.raises(SandboxError):
        Checker(workers=1, layer="none")
    with Checker(workers=1, unsafe=True) as checker:
        assert checker.layer == "none"
        assert checker.check(RIGHT, ADD).passed
        assert not checker.check("import os\nos._exit(0)", ADD).passed


def test_a_sandbox_that_leaks_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker_module, "LAYERS", ("landlock",))
    monkeypatch.setattr(checker_module.probes, "leaks", lambda worker: ["fork"])
    with pytest.raises(SandboxError, match="landlock: it does not hold: fork"):
        Checker(workers=1)


def test_unsafe_still_prefers_a_sandbox() -> None:
    with Checker(workers=1, unsafe=True) as checker:
        assert checker.layer == ("bubblewrap" if shutil.which("bwrap") else "landlock")


@pytest.mark.parametrize("layer", ["bubblewrap", "landlock"])
def test_no_process_of_the_sandbox_has_the_hosts_variables(layer: Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "sk-0123456789")
    try:
        made = Checker(workers=1, layer=layer)
    except SandboxError as error:  # which test_hostile does not forgive in CI
        pytest.skip(error.message)
    with made as checker:
        (idle,) = checker._idle
        family = [psutil.Process(warm.process.pid) for warm in (idle.judge, idle.guest)]
        family += [child for process in family for child in process.children(recursive=True)]
        for process in family:
            assert "sk-0123456789" not in " ".join(process.cmdline())
            with suppress(psutil.AccessDenied):  # not even its own user may look
                assert not process.environ().keys() - {"PYTHONHASHSEED", "PWD"}


HOST = """
import os, sys, threading, time
from evals.sandbox.checker import Checker, Layer
from evals.programs.checks import CodeTests
checker = Checker(workers=1, layer=sys.argv[1])
threading.Thread(target=checker.check, args=("while True: pass", CodeTests("assert f()", ("f",))), daemon=True).start()
time.sleep(0.3)
print("running", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("layer", ["bubblewrap", "landlock"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_survives_the_host(layer: str, how: signal.Signals) -> None:
    if layer == "bubblewrap" and not shutil.which("bwrap"):  # which test_hostile does not forgive in CI
        pytest.skip("bubblewrap is not installed (apt-get install bubblewrap)")
    if layer == "landlock" and not abi():
        pytest.skip("this kernel has no landlock")
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, layer], stdout=subprocess.PIPE, cwd=Path(__file__).parents[3], text=True
    )
    assert host.stdout is not None
    assert host.stdout.readline() == "running\n"
    family = psutil.Process(host.pid).children(recursive=True)
    assert len(family) >= 3
    host.send_signal(how)
    host.wait()
    host.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=5)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
