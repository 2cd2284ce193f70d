"""Small real projects, written to disk for a test: notebooks cell by cell, and the command itself."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CellLike = str | tuple[str, str] | dict[str, Any]


def code(source: str, *tags: str, **metadata: Any) -> dict[str, Any]:
    """A code cell as nbformat 4.5 saves it; the source is dedented."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {**({"tags": list(tags)} if tags else {}), **metadata},
        "outputs": [],
        "source": textwrap.dedent(source).strip("\n"),
    }


def markdown(source: str) -> dict[str, Any]:
    """A markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": textwrap.dedent(source).strip("\n")}


def header(yaml_text: str) -> dict[str, Any]:
    """A raw front-matter cell with the text under `nbpipeline:`."""
    body = textwrap.indent(textwrap.dedent(yaml_text).strip("\n"), "  ")
    return {"cell_type": "raw", "metadata": {}, "source": f"---\nnbpipeline:\n{body}\n---"}


def notebook_json(cells: Sequence[dict[str, Any]], *, kernel: str | None = "python3") -> dict[str, Any]:
    """A whole notebook; cell ids are c1, c2, ... ."""
    metadata: dict[str, Any] = {}
    if kernel:
        metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
    return {
        "cells": [{"id": f"c{number}", **cell} for number, cell in enumerate(cells, start=1)],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def write_notebook(path: Path, *cells: dict[str, Any], kernel: str | None = "python3") -> Path:
    """Save cells as a notebook; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook_json(cells, kernel=kernel), indent=1), encoding="utf-8")
    return path


def write_files(root: Path, files: Mapping[str, str]) -> None:
    """Write texts by relative path, dedented."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


class Gate:
    """What a cell waits at until the test opens it: a named pipe, beside the project so that no run sees it read."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.wait = f"open({str(path)!r}, 'rb').read(1)"
        """Python for the cell."""
        self._pipe = os.open(
            path, os.O_RDWR
        )  # it never blocks, and what is written waits for a cell that comes later

    def open(self) -> None:
        """Let one cell go on, now or when it comes."""
        os.write(self._pipe, b"x")


def offer(folder: Path, name: str, source: str, port: str = "exporters", package: str = "theirs") -> None:
    """Lay out a package as pip does, with one module that offers something."""
    module = f"{package.replace('-', '_')}_module"
    write_files(
        folder,
        {
            f"{package}-1.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1\n",
            f"{package}-1.dist-info/entry_points.txt": f"[nbpipeline.{port}]\n{name} = {module}\n",
        },
    )
    (folder / f"{module}.py").write_text(source)


def command(
    *arguments: str,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 240,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.CompletedProcess[str]:
    """Run `nbpipeline ARGUMENTS` as a user would, in its own process; never raises on its exit code."""
    return subprocess.run(
        [sys.executable, "-m", "nbpipeline", *arguments],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "120", **(environment or {})},
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
