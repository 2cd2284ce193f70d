"""MLflow's own server, for tests: on 127.0.0.1, and ended with its whole process tree."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving import serving


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
    words = [sys.executable, "-m", "mlflow", command, "--workers", "1", "--port", str(port), *arguments]
    variables = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with serving(words, ready="Application startup complete", variables=variables, cwd=cwd):
        yield f"http://127.0.0.1:{port}"
