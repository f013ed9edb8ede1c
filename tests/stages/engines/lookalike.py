"""A server that looks like OpenAI's completions, on a thread of its own, and does what a test tells it to.

with Lookalike(lambda body, number: wrote("The answer is 4")) as server:
    ... server.url ..., server.bodies
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Reply(dict[str, Any]):
    """What to answer: `status`, `json` or `raw`, `headers`; `delay` in seconds; `drop`: break the connection off."""


def wrote(text: str, finish: str = "stop", **more: Any) -> Reply:
    """A completion as a well-behaved server gives it."""
    usage = {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 10}
    return Reply(json={"choices": [{"index": 0, "text": text, "finish_reason": finish}], "usage": usage, **more})


def said(text: str) -> Reply:
    """The same as a chat's answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return Reply(json={"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 3}})


class Lookalike:
    """Serves until the block ends.

    Args:
        answer: reply to a request's body; `number` counts the requests from 0.
        models: what GET /models says.
    """

    def __init__(self, answer: Callable[[dict[str, Any], int], Reply], models: Any = None) -> None:
        self.answer, self.models = answer, models
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.now = self.most = 0
        """Requests being answered, now and at most."""
        self.lock, self.asked = threading.Lock(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.send(Reply(json=outer.models) if outer.models is not None else Reply(status=404, json={}))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer.lock:
                    number = len(outer.bodies)
                    outer.bodies.append(body)
                    outer.paths.append(self.path)
                    outer.headers.append(dict(self.headers))
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                outer.asked.set()
                try:
                    self.send(outer.answer(body, number))
                finally:
                    with outer.lock:
                        outer.now -= 1

            def send(self, reply: Reply) -> None:
                time.sleep(reply.get("delay", 0))
                if reply.get("drop"):
                    self.close_connection = True
                    self.connection.close()
                    return
                data = reply["raw"] if "raw" in reply else json.dumps(reply["json"]).encode()
                try:
                    self.send_response(reply.get("status", 200))
                    for name, value in reply.get("headers", {}).items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True  # the client has waited long enough

            def finish(self) -> None:
                try:
                    super().finish()
                except (ValueError, OSError):
                    return  # the connection was broken off on purpose

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: object) -> None:
                """A connection that was broken off is no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
