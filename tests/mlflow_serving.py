"""MLflow's own server, for tests: on 127.0.0.1, and ended with its whole process tree."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def mlflow_serving(command: str, *arguments: str, cwd: Path, port: int | None = None) -> Iterator[str]:
    """Run `mlflow ui` or `mlflow server` (`command`), by default on a free port; gives its address.

    One worker is enough for one reader, and each loads all of MLflow.
    """
    port = port or free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", command, "--workers", "1", "--port", str(port), *arguments],
        cwd=cwd,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:  # it ends where the server does
            said.append(line)
            if "Application startup complete" in line:
                break
        else:
            pytest.fail("".join(said))
        threading.Thread(target=server.stdout.read).start()  # a full pipe would stop it
        yield f"http://127.0.0.1:{port}"
    finally:
        family = [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]
        for one in family:  # asked to end, it would wait for its clients' open connections
            one.kill()
        psutil.wait_procs(family, timeout=10)
        server.wait()
