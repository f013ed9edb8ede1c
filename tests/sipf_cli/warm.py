"""Processes of the program that begin with the model libraries imported, which takes seconds each time otherwise.

    process = Warm(["sipf", "eval", ...], cwd=folder, env=environment(), stdout=subprocess.PIPE)

A server has imported the libraries, and forks for every command. The fork is handed to the test's own process as its
child, so that it can be waited for and is sent signals as any other. It has an environment, a folder, descriptors,
threads and memory of its own; what it shares with others is what was imported. Tests of the start itself, of variables
that the libraries read when they are imported, and of equal output of two processes take the program.
"""

from __future__ import annotations

import atexit
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2): orphans below become children of this process
IMPORTED = ("HF_", "OMP_", "MKL_", "PYTHON", "LD_", "TORCH", "CUDA_", "TRANSFORMERS_")
"""Variables that begin so are read when the libraries are imported."""


class Warm(subprocess.Popen[bytes]):
    """As `subprocess.Popen`, for a command line of the program."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        # In place of CPython's own method: `rest` has the folder and the variables, then both ends of the three pipes.
        cwd, env, pipes = rest[4], rest[5], rest[9:15]
        theirs = [fd if fd != -1 else own for own, fd in enumerate((pipes[0], pipes[3], pipes[5]))]
        self.pid = _server().fork(list(args), str(cwd), dict(env), theirs)
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]  # CPython's


def can_be_warm(env: Mapping[str, str]) -> bool:
    """Whether a command with these variables finds the libraries as it would import them."""
    return sys.platform == "linux" and _read_at_import(env) == _read_at_import(_server().env)


def _read_at_import(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(IMPORTED)}


class _Server:
    def __init__(self) -> None:
        from tests.sipf_cli.commands import environment

        self.env = environment()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.sipf_cli.warm", str(theirs.fileno())]
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(command, cwd=root, env=self.env, pass_fds=[theirs.fileno()])
        theirs.close()
        self._asking = threading.Lock()

    def fork(self, arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> int:
        request = json.dumps([arguments, cwd, env]).encode()
        with self._asking:
            self._libc.prctl(SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._requests, [request], descriptors)
                return int(self._requests.recv(64))
            finally:
                self._libc.prctl(SUBREAPER, 0, 0, 0, 0)

    def close(self) -> None:
        self._requests.close()
        self._process.wait()


@cache
def _server() -> _Server:
    server = _Server()
    atexit.register(server.close)
    return server


def _serve(requests: socket.socket) -> None:
    """Fork for every request; ends with the process that asks."""
    for name in ("torch", "peft", "trl"):
        import_module(name)
    import transformers

    for name in ("AutoModelForCausalLM", "LlamaForCausalLM", "Trainer"):
        getattr(transformers, name)  # imported when it is asked for

    from sipf_cli.main import main

    transformers.logging.set_verbosity_error()
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not request:
            return
        arguments, cwd, env = json.loads(request)
        told, telling = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if child:
                os.write(telling, str(child).encode())
                os._exit(0)
            for fd in (requests.detach(), told, telling):
                os.close(fd)
            _become(arguments, cwd, env, descriptors)
            _end(main)
        os.waitpid(between, 0)  # from now on its child is the asker's
        requests.send(os.read(told, 64))
        for fd in (told, telling, *descriptors):
            os.close(fd)


def _become(arguments: list[str], cwd: str, env: dict[str, str], descriptors: list[int]) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for fd, own in zip(descriptors, (0, 1, 2), strict=True):
        os.dup2(fd, own)
        os.close(fd)
    sys.argv = arguments


def _end(main: Any) -> None:
    """Run the program and end as a process does."""
    code: Any = 1
    try:
        main()
        code = 0
    except SystemExit as end:
        code = 0 if end.code is None else end.code
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as an interpreter that ends does
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _serve(socket.socket(fileno=int(sys.argv[1])))
