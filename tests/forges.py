"""Real HTTP servers on loopback that keep comments as GitHub and GitLab do: with a token, by pages, each changed by its own user."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

TOKEN = "t0ken-of-the-project"
ME = {"id": 40, "type": "Bot"}
SOMEBODY = {"id": 7, "type": "User"}


class Forge:
    """A pull request, number 7, with its comments."""

    def __init__(self, kind: str) -> None:
        self.comments: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.status: int | None = None
        """Answered to everything, where it is set."""
        self.address = ""
        self.kind = kind
        self.all, one, self.method = {
            "github": (
                "/repos/team/flights/issues/7/comments",
                "/repos/team/flights/issues/comments",
                "PATCH",
            ),
            "gitlab": (
                "/api/v4/projects/1/merge_requests/7/notes",
                "/api/v4/projects/1/merge_requests/7/notes",
                "PUT",
            ),
        }[kind]
        self.one = re.compile(rf"{re.escape(one)}/(\d+)")

    def say(self, body: str, user: dict[str, Any]) -> dict[str, Any]:
        """Put a comment there."""
        found = {"id": 100 + len(self.comments), "body": body, "user": user, "author": user}
        self.comments.append(found)
        return found

    def answer(self, method: str, address: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        """Do what is asked, or refuse it."""
        self.asked.append(f"{method} {address}")
        token = headers.get("private-token") if self.kind == "gitlab" else headers.get("authorization")
        if self.status is not None:
            return self.status, {}
        if token not in {TOKEN, f"Bearer {TOKEN}"}:
            return 401, {}
        return self._answer(method, urlsplit(address), body)

    def _answer(self, method: str, address: SplitResult, body: Any) -> tuple[int, Any]:
        if (method, address.path, self.kind) == ("GET", "/api/v4/user", "gitlab"):
            return 200, ME
        if address.path == self.all and method == "GET":
            asked = {name: int(one[0]) for name, one in parse_qs(address.query).items()}
            first = (asked["page"] - 1) * asked["per_page"]
            return 200, self.comments[first : first + asked["per_page"]]
        if address.path == self.all and method == "POST":
            return 201, self.say(body["body"], ME)
        match = self.one.fullmatch(address.path)
        found = next((one for one in self.comments if match and str(one["id"]) == match.group(1)), None)
        if found is None or method != self.method:
            return 404, {}
        if found["author"] != ME:
            return 403, {}
        found["body"] = body["body"]
        return 200, found


@contextmanager
def forge(kind: str) -> Iterator[Forge]:
    """Serve on a free port of loopback while the block lasts."""
    found = Forge(kind)

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {key.lower(): one for key, one in self.headers.items()}
            status, answer = found.answer(self.command, self.path, headers, json.loads(body or b"null"))
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self._do()

        def do_POST(self) -> None:
            self._do()

        def do_PUT(self) -> None:
            self._do()

        def do_PATCH(self) -> None:
            self._do()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    found.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
