"""Notebooks as nbformat 4.5 writes them, made of cells."""

import json
import textwrap
from collections.abc import Sequence
from typing import Any

Cell = dict[str, Any]


def code(source: str, *tags: str) -> Cell:
    """Make a code cell; the source is dedented."""
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {"tags": list(tags)} if tags else {},
        "outputs": [],
        "source": _lines(source),
    }


def markdown(source: str) -> Cell:
    """Make a markdown cell."""
    return {"cell_type": "markdown", "metadata": {}, "source": _lines(source)}


def header(body: str) -> Cell:
    """Make the raw front-matter cell; `body` is the YAML under `nbpipeline:`."""
    inner = textwrap.indent(textwrap.dedent(body).strip("\n"), "  ")
    return {"cell_type": "raw", "metadata": {}, "source": _lines(f"---\nnbpipeline:\n{inner}\n---")}


def notebook(cells: Sequence[Cell]) -> str:
    """Write the notebook's text; cell ids count from 1, so that the same cells give the same bytes."""
    content = {
        "cells": [
            dict(sorted({"id": f"cell-{number}", **cell}.items()))
            for number, cell in enumerate(cells, start=1)
        ],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _lines(source: str) -> list[str]:
    return textwrap.dedent(source).strip("\n").splitlines(keepends=True)
