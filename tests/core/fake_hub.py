"""A Hugging Face hub on the loopback device: the few answers that `snapshot_download` asks for, from a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "c0ffee" * 6 + "abcd"


@dataclass
class FakeHub:
    """Repositories by id; the files asked for so far."""

    repositories: dict[str, Path]
    gated: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()  # files whose connection is lost half-way
    endpoint: str = ""
    served: list[str] = field(default_factory=list)


@contextmanager
def fake_hub(
    repositories: dict[str, Path], *, gated: tuple[str, ...] = (), broken: tuple[str, ...] = ()
) -> Iterator[FakeHub]:
    """Serve until the block ends."""
    hub = FakeHub(repositories, gated, broken)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            api = self.path.startswith("/api/models/")
            parts = self.path.split("?")[0].removeprefix("/api/models" if api else "").strip("/").split("/")
            name, rest = "/".join(parts[:2]), parts[2:]
            if name in hub.gated:
                self.refuse(403, "GatedRepo")
            elif name not in hub.repositories:
                self.refuse(401, "RepoNotFound")
            elif not api:
                self.give_file(hub.repositories[name] / "/".join(rest[2:]))  # resolve/<revision>/<file>
            elif rest[:1] == ["tree"]:
                self.give(json.dumps(self.tree(hub.repositories[name])).encode(), '"tree"')
            else:
                self.give(json.dumps(self.info(name)).encode(), '"info"')

        def info(self, name: str) -> dict[str, object]:
            siblings = [{"rfilename": path.name} for path in sorted(hub.repositories[name].iterdir())]
            return {"id": name, "modelId": name, "sha": COMMIT, "siblings": siblings, "tags": [], "private": False}

        def tree(self, folder: Path) -> list[dict[str, object]]:
            return [
                {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": self.etag(path)}
                for path in sorted(folder.iterdir())
            ]

        def etag(self, path: Path) -> str:
            return hashlib.sha1(path.read_bytes()).hexdigest()

        def give_file(self, path: Path) -> None:
            if self.command == "GET":
                hub.served.append(path.name)
            self.give(path.read_bytes(), f'"{self.etag(path)}"')

        def give(self, body: bytes, etag: str) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", etag)
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if self.command == "GET":
                lost = self.path.rsplit("/", 1)[-1] in hub.broken
                self.wfile.write(body[: len(body) // 2] if lost else body)
                self.close_connection = lost

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
