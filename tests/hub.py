"""A stand-in for the model hub: huggingface_hub's cache layout made by hand, and the HTTP it speaks on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def fill_cache(home: Path, repo: str, revisions: Mapping[str, str], commits: Mapping[str, Path]) -> None:
    """Write into HF_HOME what a download of these commits leaves there.

    Args:
        revisions: branches and tags, and the commits that they stand for.
        commits: the folder of each.
    """
    place = home / "hub" / f"models--{repo.replace('/', '--')}"
    for name, commit in revisions.items():
        (place / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (place / "refs" / name).write_text(commit)
    for commit, folder in commits.items():
        shutil.copytree(folder, place / "snapshots" / commit)


class Hub:
    """One model's revisions and commits, as the hub serves them; `asked` lists the paths of all requests.

    Args:
        port: of 127.0.0.1, where it serves; `free_port` finds one. `url` is what HF_ENDPOINT is to be.
    """

    def __init__(self, repo: str, revisions: dict[str, str], commits: Mapping[str, Path], port: int) -> None:
        self.repo, self.revisions, self.commits, self.port = repo, revisions, commits, port
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{port}"

    @contextmanager
    def serving(self) -> Iterator[Hub]:
        """Serve until the block ends; afterwards nobody answers there."""
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(body=False)

            def do_GET(self) -> None:
                self._answer(body=True)

            def log_message(self, *_: object) -> None:
                pass

            def _answer(self, body: bool) -> None:
                hub.asked.append(self.path)
                status, content, headers = hub.answer(self.path.partition("?")[0].replace("%2F", "/"))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if body:
                    self.wfile.write(content)

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        """Status, content and headers for a path."""
        api, files = f"/api/models/{self.repo}/", f"/{self.repo}/resolve/"
        if path.startswith(f"{api}revision/"):
            commit = self._commit(path.removeprefix(f"{api}revision/"))
            if commit:
                return 200, json.dumps({"id": self.repo, "sha": commit, "siblings": []}).encode(), {}
            return 404, b"{}", {"X-Error-Code": "RevisionNotFound"}
        if path.startswith(f"{api}tree/"):
            folder = self.commits[path.removeprefix(f"{api}tree/").strip("/")]
            return 200, json.dumps([_listed(file) for file in sorted(folder.iterdir())]).encode(), {}
        if path.startswith(files):
            revision, _, name = path.removeprefix(files).partition("/")
            commit = self._commit(revision)
            file = self.commits[commit] / name if commit else None
            if file is not None and file.is_file():
                headers = {"ETag": f'"{_listed(file)["oid"]}"', "X-Repo-Commit": str(commit)}
                return 200, file.read_bytes(), headers
            return 404, b"{}", {"X-Error-Code": "EntryNotFound"}
        return 404, b"{}", {"X-Error-Code": "RepoNotFound"}

    def _commit(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.revisions.get(revision)


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _listed(file: Path) -> dict[str, object]:
    content = file.read_bytes()
    return {"type": "file", "path": file.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
