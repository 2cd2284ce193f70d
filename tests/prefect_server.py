"""Prefect's own server and a worker, for tests: on 127.0.0.1, with an own home, ended with their process trees."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow_serving import free_port
from parity import Place
from processes import outlasting

POOL = "nbpipeline"


@dataclass(frozen=True)
class Served:
    """A server with a worker, and what talks to them."""

    place: Place
    variables: Mapping[str, str]
    port: int

    def prefect(self, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of Prefect's, which asks nothing."""
        return self.place.run("prefect", "--no-prompt", *words, cwd=cwd, timeout=600, **self.variables)

    def done(self, *words: str, cwd: Path) -> str:
        """Run a command that has to succeed; gives what it says."""
        found = self.prefect(*words, cwd=cwd)
        assert found.returncode == 0, found.stdout + found.stderr
        return found.stdout

    def start(self, *words: str, cwd: Path) -> subprocess.Popen[str]:
        """Start a command of Prefect's."""
        return subprocess.Popen(
            ["prefect", "--no-prompt", *words],
            executable=str(self.place.bin / "prefect"),
            cwd=cwd,
            env={**self.place.environment, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def api(self, path: str, question: Mapping[str, Any] | None = None) -> Any:
        """Ask the server: POST with a question, else GET."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=None if question is None else json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - our own server
            return json.load(answer)

    def last_run(self, flow: str) -> dict[str, Any]:
        """Give the latest flow run of a flow."""
        question = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC", "limit": 1}
        return dict(self.api("flow_runs/filter", question)[0])

    def task_runs(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Give a flow run's task runs by name."""
        found = self.api("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
        return {one["name"]: one for one in found}

    def artifacts(self, run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Give a flow run's artifacts by key, the latest of each."""
        found = self.api(
            "artifacts/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}, "sort": "CREATED_DESC"}
        )
        return {one["key"]: one for one in reversed(found)}

    def logs(self, run: Mapping[str, Any]) -> str:
        """Give what a flow run said."""
        found = self.api("logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}})
        return "\n".join(one["message"] for one in found)


@contextmanager
def serving(place: Place) -> Iterator[Served]:
    """Run a server on a free port."""
    port = free_port()
    variables = {
        "PREFECT_HOME": str(place.scratch / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "INFO",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "COLUMNS": "200",
    }
    served = Served(place, variables, port)
    with _running(served, "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui") as server:
        _heard(server, "Application startup complete")
        yield served


@contextmanager
def working(place: Place) -> Iterator[Served]:
    """Run a server and a process worker of the pool `nbpipeline`."""
    with serving(place) as served:
        served.done("work-pool", "create", "--type", "process", POOL, cwd=place.scratch)
        with _running(served, "worker", "start", "--pool", POOL) as worker:
            _heard(worker, "started!")
            yield served


def _heard(process: subprocess.Popen[str], awaited: str) -> None:
    """Wait until a process says something, and let it say more."""
    said = []
    assert process.stdout is not None
    for line in process.stdout:  # it ends where the process does
        said.append(line)
        if awaited in line:
            threading.Thread(target=process.stdout.read).start()  # a full pipe would stop it
            return
    pytest.fail("".join(said))


@contextmanager
def _running(served: Served, *words: str) -> Iterator[subprocess.Popen[str]]:
    process = served.start(*words, cwd=served.place.scratch)
    try:
        yield process
    finally:
        ended(process)


def ended(process: subprocess.Popen[str]) -> None:
    """End a process with all that it started."""
    if process.poll() is None:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in family:
            one.terminate()
        for one in outlasting(family, 20):
            one.kill()
    process.wait()
