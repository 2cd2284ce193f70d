"""Text notebooks (`.py` percent, `.md`, `.Rmd`, `.R`) and pairs, as jupytext defines them."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.patterns import regex

TEXT_SUFFIXES = frozenset({".py", ".md", ".Rmd", ".R"})
_SCRIPT_MARKS = regex(r"^# (%%|\+)|^#\s+jupyter:", re.MULTILINE)
_DOCUMENT_MARKS = regex(r"^(```|~~~)|\A---\s*$", re.MULTILINE)
_DECLARES = regex(r"nbpipeline|parameters|inputs|outputs|dependencies|expectations|metrics|jupytext:")


_STAGE_MARKS = regex(
    r"^(?>(?:# (?:%%|\+)|```|~~~).*?\btags\b|:tags:).*\b(?:parameters|inputs|outputs)\b|^(?:# ?)?nbpipeline:",
    re.MULTILINE,
)
_ENDLESS_MARK = regex(r"^(?:# (?:%%|\+)|```|~~~).{4096}", re.MULTILINE)


def looks_like_notebook(text: str, suffix: str) -> bool:
    """Tell a text notebook from a module or a page of prose, without jupytext."""
    marks = _SCRIPT_MARKS if suffix in {".py", ".R"} else _DOCUMENT_MARKS
    return bool(marks.search(text))


def may_declare(path: Path) -> bool:
    """Whether a text file may hold a stage, so that modules and prose beside notebooks cost little."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True  # reading it says what is wrong
    return bool(_DECLARES.search(text)) and looks_like_notebook(text, path.suffix)


def looks_like_stage(path: Path) -> bool:
    """Whether a text file plainly is a stage: a tagged cell, or a header. Without jupytext."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(_STAGE_MARKS.search(text)) and looks_like_notebook(text, path.suffix)


def as_json(text: str, suffix: str) -> Mapping[str, Any]:
    """Read a text notebook as nbformat 4 JSON, with no cell ids. Raises ValueError with the reason."""
    if _ENDLESS_MARK.search(text):  # jupytext's time grows with the square of its length
        raise ValueError("a line that begins a cell has more than 4,096 characters")
    # jupytext takes up to 3 s to import, and only projects with text notebooks need it.
    import jupytext  # noqa: PLC0415

    try:
        notebook = jupytext.reads(text, fmt=suffix)
    except Exception as error:  # jupytext and nbformat raise what they like for a malformed file
        raise ValueError(_first_line(error)) from error
    cells = [{key: value for key, value in cell.items() if key != "id"} for cell in notebook["cells"]]
    made: Mapping[str, Any] = _plain({**notebook, "cells": cells})
    return made


def _plain(value: Any) -> Any:
    """Turn nbformat's own mappings into dicts, as JSON has them."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


# --- pairs -----------------------------------------------------------------------------------


def paired_suffixes(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """List the endings of a pair's files from `metadata.jupytext.formats`; empty for no pair.

    `ipynb,py:percent` gives `.ipynb`, `.py`; folders and prefixes (`scripts//py`) are left out.
    """
    jupytext = metadata.get("jupytext")
    formats = jupytext.get("formats") if isinstance(jupytext, dict) else None
    if not isinstance(formats, str):
        return ()
    names = (one.rpartition("/")[2].partition(":")[0].strip() for one in formats.split(","))
    return tuple(f".{name.lstrip('.')}" for name in names if name)


def twins(path: Path, metadata: Mapping[str, Any], others: Iterable[Path] = ()) -> tuple[Path, ...]:
    """Find the other files of a notebook's pair: beside it, or of its stem among `others`."""
    suffixes = paired_suffixes(metadata)
    if path.suffix not in suffixes:
        return ()
    beside = [path.with_suffix(suffix) for suffix in suffixes]
    elsewhere = [other for other in others if other.stem == path.stem and other.suffix in suffixes]
    found = dict.fromkeys(one for one in (*beside, *elsewhere) if one != path and one.is_file())
    return tuple(found)
