"""Virtual environments for tests: by uv where that is installed, else by Python's own means."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def new_environment(folder: Path, wanted: str, python: str = sys.executable) -> Path:
    """Make an environment with a package in it; gives its Python."""
    environment = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    inside = folder / "bin/python"
    if shutil.which("uv"):
        commands = [
            ["uv", "venv", "-q", "--python", python, str(folder)],
            ["uv", "pip", "install", "-q", "--python", str(inside), wanted],
        ]
    else:
        commands = [
            [python, "-m", "venv", str(folder)],
            [str(inside), "-m", "pip", "install", "-q", wanted],
        ]
    for one in commands:
        subprocess.run(one, check=True, env=environment, timeout=600)
    return inside
