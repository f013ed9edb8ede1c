"""Processes of the program that begin with the model libraries imported, which takes seconds each time otherwise.

    process = begin(["sipf", "eval", ...], cwd=folder, env=environment(), stdout=subprocess.PIPE)
    subprocess.run([*warm_program(), "eval", ...])  # for what is given a program to run: a shell, torchrun

A server has imported the libraries, and forks for every command. The fork of `begin` is handed to the test's process as
its child, so that it can be waited for and is sent signals as any other; for `warm_program()` a small process stands in
its place (`warm_client.py`). The fork has an environment, a folder, descriptors, threads and memory of its own; what it
shares with others is what was imported. Tests of the start itself and of equal output of two processes take the
program.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): orphans below become children of this process
IMPORTED = ("HF_", "OMP_", "MKL_", "PYTHON", "LD_", "TORCH_", "CUDA_", "TRANSFORMERS_")
"""Variables that begin so are read when the libraries are imported."""
NOT_IMPORTED = ("PYTHONPATH", "TORCH_NCCL_")
"""But these: the server takes its modules from this tree, and there is no NCCL on a CPU."""
GREETING = b"ready?"
ROOT = Path(__file__).resolve().parents[2]
CLIENT = Path(__file__).with_name("warm_client.py")


class Warm(subprocess.Popen[bytes]):
    """As `subprocess.Popen`, for a command line of the program, or of a script whose name ends in `.py`."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        # In place of CPython's own method: `rest` has the folder and the variables, then both ends of the three pipes.
        cwd, env, pipes = rest[4], rest[5], rest[9:15]
        theirs = [fd if fd != -1 else own for own, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
        self.pid = _server(env).fork(list(args), str(cwd or Path.cwd()), dict(env), theirs)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # CPython's


def begin(line: Sequence[object], *, env: Mapping[str, str], **how: Any) -> subprocess.Popen[bytes]:
    """Start `sipf ...`, or `script.py ...`: warm where that can be."""
    from tests.sipf_cli.commands import PROGRAM

    words = [str(word) for word in line]
    if can_be_warm(env):
        return Warm(words, env=env, **how)
    program = [sys.executable, words[0]] if words[0].endswith(".py") else PROGRAM
    return subprocess.Popen([*program, *words[1:]], env=env, **how)


def can_be_warm(env: Mapping[str, str]) -> bool:
    """Whether a command with these variables finds the libraries as it would import them."""
    from tests.sipf_cli.commands import environment

    key = _read_at_import(env)
    return sys.platform == "linux" and (key in _servers or key == _read_at_import(environment()))


def keep_warm(env: Mapping[str, str]) -> None:
    """From now on there is a server for commands with these variables, too. Worth it for more than one of them."""
    if sys.platform == "linux":
        _server(env)


def warm_program() -> list[str]:
    """What to run in place of `sipf`. With other variables than those of `environment()` it runs the program itself."""
    from tests.sipf_cli.commands import PROGRAM, environment

    if sys.platform != "linux":
        return PROGRAM
    server = _server(environment())
    server.wait_until_it_serves()
    return [sys.executable, "-ESs", str(CLIENT), str(server.address)]


def _read_at_import(env: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    items = env.items()
    return frozenset(item for item in items if item[0].startswith(IMPORTED) and not item[0].startswith(NOT_IMPORTED))


_servers: dict[frozenset[tuple[str, str]], _Server] = {}
"""By the variables that were read at import."""


def _server(env: Mapping[str, str]) -> _Server:
    key = _read_at_import(env)
    if key not in _servers:
        _servers[key] = _Server(env)
        atexit.register(_servers[key].close)
    return _servers[key]


class _Server:
    def __init__(self, env: Mapping[str, str]) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._asking = threading.Lock()
        self._folder = tempfile.mkdtemp(prefix="warm-")
        self.address = Path(self._folder, "socket")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(self.address))
        listening.listen(64)
        command = [sys.executable, "-m", "tests.sipf_cli.warm", str(listening.fileno())]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=dict(env), pass_fds=[listening.fileno()], stdin=subprocess.PIPE
        )
        listening.close()

    def fork(self, arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> int:
        """The process that runs a command, a child of this one."""
        request = json.dumps([arguments, cwd, env, True]).encode()
        with self._asking, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(str(self.address))
            self._libc.prctl(SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(asking, [request], descriptors)
                return int(asking.recv(64))
            finally:
                self._libc.prctl(SUBREAPER, 0, 0, 0, 0)

    def wait_until_it_serves(self) -> None:
        """The import may take longer than a test gives a command, on a busy machine."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(str(self.address))
            asking.send(GREETING)
            assert asking.recv(64) == GREETING

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # it takes this for the end, as it does if this process is killed
        self._process.wait()
        shutil.rmtree(self._folder)


def _serve(listening: socket.socket) -> None:
    """Fork for every request; ends with the process that has started it."""
    gc.disable()  # hundreds of thousands of objects that stay: nothing of them is garbage
    for name in ("torch", "peft", "trl", *_modules()):
        import_module(name)
    import transformers

    for name in ("AutoModelForCausalLM", "LlamaForCausalLM", "Trainer"):
        getattr(transformers, name)  # imported when it is asked for

    from sipf_cli.main import main

    transformers.logging.set_verbosity_error()
    gc.collect()
    gc.freeze()
    gc.enable()
    imported = _read_at_import(os.environ)
    running: dict[int, tuple[int, socket.socket]] = {}  # by pidfd: a child, and who is told how it ends
    while True:
        ready = select.select([listening, 0, *running], [], [])[0]
        for ended in set(ready) & running.keys():
            child, asking = running.pop(ended)
            _tell(asking, os.waitpid(child, 0)[1])
            os.close(ended)
            asking.close()
        if 0 in ready:
            return
        if listening not in ready:
            continue
        asking = listening.accept()[0]
        request, descriptors, _, _ = socket.recv_fds(asking, 1 << 20, 5)
        if request in (GREETING, b""):
            _tell(asking, GREETING.decode())
            asking.close()
            continue
        arguments, cwd, env, is_adopted = json.loads(request)
        others = [0, listening.fileno(), asking.fileno(), *running, *(one.fileno() for _, one in running.values())]
        command = partial(_run, others, arguments, cwd, env, descriptors, main)
        if is_adopted:
            _tell(asking, _fork_away(command))
            asking.close()
        elif _read_at_import(env) != imported:
            _tell(asking, "cold")
            asking.close()
        else:
            child = os.fork()
            if not child:
                command()
            _tell(asking, child)
            running[os.pidfd_open(child)] = (child, asking)
        for fd in descriptors:
            os.close(fd)


def _tell(asking: socket.socket, what: object) -> None:
    with suppress(BrokenPipeError):  # the asker has been killed
        asking.send(str(what).encode())


def _modules() -> Iterator[str]:
    """The modules of the program."""
    for path in sorted(file for top in ("stages", "evals", "sipf_cli") for file in (ROOT / top).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        if not name.startswith(("evals.sandbox", "stages.engines.vllm", "stages.scorers.vllm", "sipf_cli.__main__")):
            yield name


def _fork_away(command: Callable[[], NoReturn]) -> int:
    """A grandchild whose parent has ended, so that it is the child of the process below which all this runs."""
    told, telling = os.pipe()
    between = os.fork()
    if not between:
        os.close(told)
        child = os.fork()
        if child:
            os.write(telling, str(child).encode())
            os._exit(0)
        os.close(telling)
        command()
    os.waitpid(between, 0)
    child = int(os.read(told, 64))
    os.close(told)
    os.close(telling)
    return child


def _run(
    others: list[int], arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int], main: Any
) -> NoReturn:
    for fd in others:
        os.close(fd)
    _become(arguments, cwd, env, descriptors)
    _end(arguments[0], main)


def _become(arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> None:
    streams, spaces = descriptors[:3], descriptors[3:]
    for fd, own in zip(streams, (0, 1, 2), strict=True):
        os.dup2(fd, own)
    for fd, name in zip(spaces, ("user", "mnt"), strict=False):  # an asker's own view of the file system
        if os.fstat(fd).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino and ctypes.CDLL(None).setns(fd, 0):
            raise OSError(f"cannot enter the asker's {name} namespace")
    for fd in descriptors:
        os.close(fd)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = arguments


def _end(program: str, main: Any) -> NoReturn:
    """Run the program, or a script, and end as a process does."""
    code: Any = 1
    try:
        runpy.run_path(program, run_name="__main__") if program.endswith(".py") else main()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an interpreter that ends does
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _serve(socket.socket(fileno=int(sys.argv[1])))
