"""Stands in the place of `sipf` for what is given a program to run: asks a server of `warm.py` for a fork with these
arguments, variables, descriptors and file systems, hands signals on to it, and ends as it ends.

    python -ESs warm_client.py SOCKET sample problems.jsonl ...
    python -ESs warm_client.py SOCKET script.py ...

It imports little, as it is started for every command.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    """End with the exit code of the command, or by the signal that has ended it."""
    asking = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asking.connect(sys.argv[1])
    spaces = [os.open(f"/proc/self/ns/{name}", os.O_RDONLY) for name in ("user", "mnt")]
    script = sys.argv[2:3] if sys.argv[2:3] and sys.argv[2].endswith(".py") else []
    request = json.dumps(
        [["sipf", *sys.argv[2:]] if not script else sys.argv[2:], os.getcwd(), dict(os.environ), False]
    )
    socket.send_fds(asking, [request.encode()], [0, 1, 2, *spaces])
    told = asking.recv(64)
    if told == b"cold":  # its variables are read when the libraries are imported
        os.execv(sys.executable, [sys.executable, *([] if script else ["-m", "sipf_cli"]), *sys.argv[2:]])
    for sort in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sort, lambda number, _: os.kill(int(told), number))
    for fd in (0, 1):  # whoever is at the other end must see when the command is done with them
        os.close(fd)
    status = int(asking.recv(64))
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    os._exit(os.waitstatus_to_exitcode(status))


main()
