"""What was read of notebooks before, so that only what changed is read and parsed again.

An entry of a notebook stands under its path and holds for one version of the file (size, mtime_ns,
ctime_ns, inode), read by this very reader: its own source files and the Python that runs it count. A file
that changed in the last two seconds is read each time. A stage's entry holds for one content of its
notebook and of pipeline.yaml. An entry that does not hold, or is damaged, is as good as none: losing them
costs time alone.
"""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH116

import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbpipeline.content import digest_text, is_settled, source_version, version_of
from nbpipeline.model import Notebook, SavedCells, cells_text
from nbpipeline.ports import Cache
from nbpipeline.reading.spelling import SpellingError, spelled, spoken
from nbpipeline.reading.text_notebook import TEXT_SUFFIXES
from nbpipeline.reading.yaml12 import Document, load

NOTEBOOKS = "notebook"
GLIMPSES = "glimpse"
STAGES = "stage"
DOCUMENTS = "document"
"""pipeline.yaml with the lines of its keys."""
MADE = (GLIMPSES, STAGES)
"""What is made of a notebook: what it says of itself, and the stage that it is."""
KINDS = (NOTEBOOKS, *MADE, DOCUMENTS)

_SHORT = 32
"""Hexadecimal digits of a digest: enough for what one project holds."""
_MOST = 1 << 20
"""Characters of an entry; a larger notebook is read each time, and is rare."""


class Memory:
    """The entries of one project, read at once and written at once; for one reading of the project."""

    def __init__(self, kept: Cache | None, root: Path, now: Callable[[], float] = time.time) -> None:
        """Remember in `kept`; without one, nothing."""
        self._kept = kept
        self.root = root
        self._prefix = f"{root}/"
        self._now = now
        self._notebooks = kept.load(NOTEBOOKS) if kept else {}
        self._made = {kind: kept.load(kind) if kept else {} for kind in MADE}
        self._alike: dict[str, Any] = {}
        self._seen: dict[str, str] = {}
        self._new: dict[str, dict[str, str]] = {kind: {} for kind in KINDS}

    def notebook(self, path: Path) -> Notebook | None:
        """Give the notebook as it was read, if the file is as it was then."""
        if self._kept is None:
            return None
        shown = self._shown(path)
        version = self._version(path)
        if version is None:
            return None
        self._seen[shown] = version
        head, _, text = self._notebooks.get(shown, "").partition("\n")
        if head != f"{version} {_short(text)}":
            return None
        try:
            data, cells = text.split("\n")
            kernel, language, metadata, kind = self._shared(data)
        except ValueError:
            return None
        return Notebook(
            path=shown,
            cells=SavedCells(cells, _short(text)),
            kernel=kernel,
            language=language,
            metadata=metadata,
            format=kind,
        )

    def keep(self, path: Path, notebook: Notebook) -> Notebook:
        """Remember a notebook that `notebook` did not know and that was read since."""
        version = self._seen.get(notebook.path)
        if version is None:
            return notebook
        try:
            data = spelled([notebook.kernel, notebook.language, notebook.metadata, notebook.format])
            text = f"{data}\n{cells_text(notebook.cells)}"
        except (TypeError, ValueError, RecursionError):
            return notebook
        if len(text) <= _MOST and self._version(path) == version and self._settled(path):
            self._new[NOTEBOOKS][notebook.path] = f"{version} {_short(text)}\n{text}"
        return replace(notebook, cells=SavedCells(text.partition("\n")[2], _short(text)))

    def recall(self, kind: str, notebook: Notebook, said: str) -> Any:
        """Give what was made of the notebook and of what `said` stands for; None where nobody knows."""
        if not isinstance(notebook.cells, SavedCells):
            return None
        head, _, text = self._made[kind].get(notebook.path, "").partition("\n")
        if not text or head != _head(notebook.cells, said, text):
            return None
        try:
            return self._shared(text) if kind == GLIMPSES else spoken(text)
        except SpellingError:
            return None

    def _shared(self, text: str) -> Any:
        """Make what most notebooks of a project have in common once; nobody changes it."""
        if text not in self._alike:
            self._alike[text] = spoken(text)
        return self._alike[text]

    def remember(self, kind: str, notebook: Notebook, said: str, value: Any) -> None:
        """Remember what was made of them, if it can be written down."""
        if self._kept is None or not isinstance(notebook.cells, SavedCells):
            return
        try:
            text = spelled(value)
        except SpellingError:
            return
        if len(text) <= _MOST:
            self._new[kind][notebook.path] = f"{_head(notebook.cells, said, text)}\n{text}"

    def document(self, shown: str, text: str, sealed: Callable[[Any], Any] = lambda value: value) -> Document:
        """Give the YAML document that a file's text is, parsed if it is not remembered. Raises YamlError.

        `sealed` takes out of its value what must not be written down.
        """
        entry = self._kept.load(DOCUMENTS).get(shown, "") if self._kept else ""
        head, _, kept = entry.partition("\n")
        if head and head == _short(f"{text} {_reader()} {kept}"):
            with suppress(ValueError, TypeError):  # what is no pair of these is read anew
                value, lines = spoken(kept)
                return Document(value=value, lines=lines)
        parsed = load(text)
        found = Document(value=sealed(parsed.value), lines=parsed.lines)
        self._keep_document(shown, text, found)
        return found

    def _keep_document(self, shown: str, text: str, found: Document) -> None:
        try:
            kept = spelled([found.value, dict(found.lines)])
        except SpellingError:
            return
        if len(kept) <= _MOST:
            self._new[DOCUMENTS][shown] = f"{_short(f'{text} {_reader()} {kept}')}\n{kept}"

    def finish(self) -> None:
        """Write what is new."""
        for kind, entries in self._new.items():
            if self._kept is not None and entries:
                self._kept.save(kind, entries)

    def _shown(self, path: Path) -> str:
        text = os.fspath(path)
        return text.removeprefix(self._prefix)

    def _version(self, path: Path) -> str | None:
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        return version_of(found) + _reader(path.suffix) if stat.S_ISREG(found.st_mode) else None

    def _settled(self, path: Path) -> bool:
        try:
            return is_settled(os.stat(path), self._now())
        except OSError:  # it is gone since
            return False


def _short(text: str) -> str:
    return digest_text(text)[:_SHORT]


def _head(cells: SavedCells, said: str, text: str) -> str:
    return _short(f"{cells.digest} {said} {_reader()} {text}")


@cache
def _reader(suffix: str = "") -> str:
    """Tell the version of what reads notebooks; text notebooks are read by jupytext too."""
    package = Path(__file__).parent.parent
    folders = [package, package / "reading", package / "model", *_home("yaml")]
    if suffix in TEXT_SUFFIXES:
        folders += _home("jupytext")
    return source_version(*folders)


def _home(package: str) -> list[Path]:
    """Find a package's folder without importing it."""
    found = find_spec(package)
    return [Path(found.origin).parent] if found and found.origin else []
