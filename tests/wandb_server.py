"""Stands in for W&B's server on loopback: the part of its API that a sync by wandb 0.31 speaks, held in memory.

Written from what wandb's own program asks; a real server may refuse what this one takes.
"""

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Held:
    """One run, as the server knows it."""

    group: str = ""
    job_type: str = ""
    display_name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    files: set[str] = field(default_factory=set)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    exit_code: int | None = None


class WandbServer:
    """What was sent, and a switch that makes every answer an error."""

    def __init__(self) -> None:
        self.runs: dict[str, Held] = {}
        self.uploads: dict[str, bytes] = {}
        self.unknown: list[str] = []
        self.requests = 0
        self.url = ""
        self.refuses: int | None = None
        self.waits = threading.Event()
        self.waits.set()
        self._artifacts: dict[str, tuple[str, str]] = {}

    # --- GraphQL ---------------------------------------------------------------------------------

    def answer(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        found = getattr(self, f"_{operation}", None)
        if found is None:
            self.unknown.append(operation)
            return {}
        return found(given)

    def _bucket(self, name: str) -> dict[str, Any]:
        held = self.runs[name]
        config = {key: {"value": value} for key, value in held.config.items()}
        return {
            "id": name,
            "name": name,
            "displayName": held.display_name,
            "description": None,
            "sweepName": None,
            "config": json.dumps(config),
            "historyLineCount": len(held.history),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "summaryMetrics": json.dumps(held.summary),
            "historyTail": json.dumps([json.dumps(one) for one in held.history[-1:]]),
            "eventsTail": "[]",
            "tags": [],
            "notes": None,
            "wandbConfig": json.dumps({"t": {}}),
            "project": self._project(),
        }

    def _project(self) -> dict[str, Any]:
        return {"id": "p", "name": "flights", "entity": {"id": "e", "name": "team"}}

    def _RunResumeStatus(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        bucket = self._bucket(given["name"]) if given["name"] in self.runs else None
        return {"model": {**self._project(), "bucket": bucket}}

    def _UpsertBucket(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        inserted = given["name"] not in self.runs
        held = self.runs.setdefault(given["name"], Held())
        held.group = given["groupName"] or held.group
        held.job_type = given["jobType"] or held.job_type
        held.display_name = given["displayName"] or held.display_name
        if given["config"]:
            held.config = {key: one["value"] for key, one in json.loads(given["config"]).items()}
        return {"upsertBucket": {"bucket": self._bucket(given["name"]), "inserted": inserted}}

    def _CreateRunFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        self.runs[given["run"]].files |= set(given["files"])
        files = [{"name": one, "uploadUrl": f"{self.url}/put/{given['run']}/{one}"} for one in given["files"]]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        made = given.get("input", given)
        run, name = made["runName"], made["artifactCollectionName"]
        number = f"artifact-{len(self._artifacts)}"
        self._artifacts[number] = (run, name)
        self.runs[run].artifacts[name] = {"type": made["artifactTypeName"], "metadata": made.get("metadata")}
        return {
            "createArtifact": {
                "artifact": {
                    "id": number,
                    "state": "PENDING",
                    "artifactSequence": {"id": "s", "latestArtifact": None},
                }
            }
        }

    def _CreateArtifactManifest(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        made = given.get("input", given)
        place = f"{self.url}/put/manifest/{made['artifactID']}"
        manifest = {"id": f"m-{made['artifactID']}", "file": {"uploadUrl": place, "uploadHeaders": []}}
        return {"createArtifactManifest": {"artifactManifest": manifest}}

    _UpdateArtifactManifest = _CreateArtifactManifest

    def _CreateArtifactFiles(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        made = given.get("input", given)
        edges = [
            {
                "node": {
                    "id": one["name"],
                    "name": one["name"],
                    "displayName": one["name"],
                    "uploadUrl": f"{self.url}/put/{one['artifactID']}/{one['name']}",
                    "uploadHeaders": [],
                    "storagePath": "x",
                    "uploadMultipartUrls": None,
                    "artifact": {"id": one["artifactID"]},
                }
            }
            for one in made["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": edges}}}

    def _CommitArtifact(self, given: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - W&B's name
        number = given.get("input", given)["artifactID"]
        run, name = self._artifacts[number]
        self.runs[run].artifacts[name]["committed"] = True
        return {"commitArtifact": {"artifact": {"id": number, "digest": "d"}}}

    # --- files -----------------------------------------------------------------------------------

    def stream(self, path: str, given: dict[str, Any]) -> None:
        held = self.runs[path.split("/")[-2]]
        for name, chunk in given.get("files", {}).items():
            lines = [json.loads(one) for one in chunk["content"]] if name.endswith(("jsonl", "json")) else []
            if name == "wandb-history.jsonl":
                held.history[chunk["offset"] :] = lines
            elif name == "wandb-summary.json":
                held.summary = lines[-1]
        if given.get("complete"):
            held.exit_code = given.get("exitcode")

    def manifest(self, run: str, name: str) -> dict[str, Any]:
        number = next(one for one, place in self._artifacts.items() if place == (run, name))
        return json.loads(self.uploads[f"manifest/{number}"])["contents"]


def _handler(server: WandbServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *given: Any) -> None:
            pass

        def _body(self) -> bytes:
            server.requests += 1
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def _say(self, data: dict[str, Any], code: int = 200) -> None:
            text = json.dumps(data).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def do_PUT(self) -> None:
            server.uploads[self.path.removeprefix("/put/")] = self._body()
            self._say({})

        def do_CONNECT(self) -> None:
            self._body()
            self._say({}, 502)

        def do_GET(self) -> None:
            self._body()
            self._say({})

        def do_POST(self) -> None:
            body = self._body()
            server.waits.wait()
            if server.refuses is not None:
                self._say({"errors": [{"message": "refused"}]}, server.refuses)
            elif self.path == "/graphql":
                asked = json.loads(body)
                self._say(
                    {"data": server.answer(asked.get("operationName", ""), asked.get("variables") or {})}
                )
            else:
                server.stream(self.path, json.loads(body))
                self._say({})

    return Handler


@contextmanager
def wandb_server():
    """Serve on a port of the system's choice while the block lasts."""
    held = WandbServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(held))
    server.handle_error = lambda *given: None  # wandb's program leaves without a word
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
