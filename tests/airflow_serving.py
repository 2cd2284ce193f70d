"""Airflow's own scheduler, processor of DAGs and API server, for tests: on 127.0.0.1, ended with their whole process trees."""

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import requests
from mlflow_serving import free_port
from parity import Place
from processes import outlasting
from runners.airflow import prepared

PATIENCE = 600.0
"""Seconds; a busy machine is slow, not wrong."""


def until(question: Callable[[], Any], what: str) -> Any:
    """Ask again and again until there is an answer; what is asked tells of no event that could be waited for."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = question()
        if found:
            return found
        time.sleep(0.5)
    raise AssertionError(f"not in {PATIENCE} s: {what}")


class Api:
    """Airflow's REST interface, of its stable version 2."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._headers: dict[str, str] = {}

    def up(self) -> bool:
        """Whether it answers; takes a token where it does."""
        try:
            answer = requests.get(f"{self._address}/auth/token", timeout=60)
        except requests.ConnectionError:
            return False
        self._headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return True

    def ask(self, method: str, path: str, **how: Any) -> requests.Response:
        return requests.request(
            method, f"{self._address}/api/v2/{path}", headers=self._headers, timeout=120, **how
        )

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params=query)
        return answer.json() if answer.ok else {}

    def trigger(self, dag: str, **conf: Any) -> str:
        """Start a run; gives its id."""
        answer = self.ask("POST", f"dags/{dag}/dagRuns", json={"logical_date": None, "conf": conf})
        assert answer.ok, answer.text
        return str(answer.json()["dag_run_id"])

    def ended(self, dag: str, run: str) -> dict[str, str]:
        """Wait for a run's end; gives the states of its tasks, and its own by the name of the DAG."""

        def state() -> str | None:
            found = self.get(f"dags/{dag}/dagRuns/{run}").get("state")
            return found if found in ("success", "failed") else None

        whole = until(state, f"{dag}, {run}: ended")
        return {**{one["task_id"]: one["state"] for one in self.tasks(dag, run)}, dag: whole}

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        return list(self.get(f"dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"])

    def xcom(self, dag: str, run: str, task: str, key: str) -> Any:
        return self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}").get("value")

    def log(self, dag: str, run: str, task: str) -> str:
        return str(self.get(f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/1"))


@contextmanager
def airflow_serving(place: Place, dags: Path, environment: Mapping[str, str]) -> Iterator[Api]:
    """Run Airflow with the LocalExecutor on a database of its own."""
    home = place.scratch / "airflow"
    port = free_port()
    variables = {
        **place.environment,
        **prepared(place, home, dags),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "2",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "600",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        **environment,
    }
    parts = (["api-server"], ["scheduler", "--skip-serve-logs"], ["dag-processor"])
    api = Api(f"http://127.0.0.1:{port}")
    with ExitStack() as stack:
        for words in parts:
            log = stack.enter_context((home / f"{words[0]}.log").open("wb"))
            process = subprocess.Popen(
                ["airflow", *words], cwd=home, env=variables, stdout=log, stderr=subprocess.STDOUT
            )
            stack.callback(_end, process)
        until(api.up, "the API server answers")
        yield api


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    except psutil.NoSuchProcess:
        family = []
    for one in family:
        if one.is_running():
            one.terminate()
    for one in outlasting(family, 20):
        one.kill()
    process.wait()


def left_of(home: Path) -> list[str]:
    """Name the processes whose environment says that they belong to the Airflow of a folder."""
    found = []
    for one in psutil.process_iter(["pid", "cmdline"]):
        try:
            belongs = one.pid != os.getpid() and one.environ().get("AIRFLOW_HOME") == str(home)
        except (psutil.Error, OSError):
            continue
        if belongs:
            found.append(" ".join(one.info["cmdline"] or []))
    return found
