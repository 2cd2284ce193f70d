"""The record of one attempt on disk: executed notebook and log, masked, never half written."""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from nbpipeline.replacing import replace_text
from nbpipeline.stage.secrets import MaskedStream, Masker

SHORTEST_PAUSE = 2.0
"""Seconds between two saves of the executed notebook."""
SAVE_SHARE = 5.0
"""A save that took long is followed by a pause this many times as long."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def without_colours(text: str) -> str:
    """Take terminal sequences out of a traceback."""
    return _ANSI.sub("", text)


class Recorder:
    """Saves the executed notebook now and then, and the log as it comes."""

    def __init__(self, notebook: Path, log: Path, masker: Masker) -> None:
        """Open the log; raises OSError."""
        self.path = notebook
        self.masker = masker
        self._log: IO[str] = log.open("a", encoding="utf-8", newline="\n", errors="replace")
        self._streams: dict[str, MaskedStream] = {}
        self._next = 0.0
        self._dirty = False

    def touched(self) -> None:
        """Say that the notebook has changed since its last save."""
        self._dirty = True

    def save(self, notebook: Any, *, now: bool = False) -> None:
        """Write the notebook if it has changed and the pause is over, or `now`. Raises OSError."""
        started = time.monotonic()
        if not now and (not self._dirty or started < self._next):
            return
        from nbformat import v4  # noqa: PLC0415 - nbformat is loaded with papermill, where a stage runs

        replace_text(self.path, v4.writes(v4_node(masked_notebook(notebook, self.masker))) + "\n")
        ended = time.monotonic()
        self._dirty = False
        self._next = ended + max(SHORTEST_PAUSE, SAVE_SHARE * (ended - started))

    def say(self, text: str, stream: str = "") -> None:
        """Add text to the log; what may be the start of a secret waits for the stream's next piece.

        Each stream is followed by itself, so that what comes between does not hide a secret. Raises OSError.
        """
        if not stream:
            self._write_rest()
        heard = self._streams.setdefault(stream, MaskedStream(self.masker))
        self._log.write(heard.feed(text))
        self._log.flush()

    def _write_rest(self) -> None:
        for heard in self._streams.values():
            self._log.write(heard.rest())

    def close(self) -> None:
        """Write what waited; raises OSError."""
        try:
            self._write_rest()
        finally:
            self._log.close()


def v4_node(data: Any) -> Any:
    """Turn plain data into nbformat's own type, which its writer wants."""
    from nbformat import from_dict  # noqa: PLC0415 - the same

    return from_dict(data)


def masked_notebook(notebook: Any, masker: Masker) -> Any:
    """Copy a notebook with all secrets hidden, also those cut in two by stream chunks."""
    cells = [masker.anything(_whole_streams(cell, masker)) for cell in notebook["cells"]]
    rest = {key: masker.anything(value) for key, value in notebook.items() if key != "cells"}
    return {**rest, "cells": cells}


def _whole_streams(cell: Any, masker: Masker) -> Any:
    outputs = cell.get("outputs")
    if not outputs or not masker.needles:
        return cell
    copied = [dict(output) for output in outputs]
    for name in {output["name"] for output in _streams(copied)}:
        chunks = [output for output in _streams(copied) if output["name"] == name]
        texts = masker.chunks([output["text"] for output in chunks])
        for output, text in zip(chunks, texts, strict=True):
            output["text"] = text
    return {**cell, "outputs": copied}


def _streams(outputs: Iterable[Any]) -> list[Any]:
    return [output for output in outputs if output.get("output_type") == "stream"]
