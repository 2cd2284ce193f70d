"""The record of one attempt on disk: executed notebook and log, masked, never half written."""

import time
from pathlib import Path
from typing import IO, Any

from nbpipeline.masking.secrets import MaskedStream, Masker
from nbpipeline.stage.notebook_file import NotebookFile

SHORTEST_PAUSE = 2.0
"""Seconds between two saves of the executed notebook."""
SAVE_SHARE = 5.0
"""A save that took long is followed by a pause this many times as long."""
LONGEST_PAUSE = 10.0
"""Seconds of a record that a death may cost, however slow the disk is."""


class Recorder:
    """Saves the executed notebook now and then, and the log as it comes."""

    def __init__(self, notebook: Path, log: Path, masker: Masker) -> None:
        """Open the log; raises OSError."""
        self.file = NotebookFile(notebook, masker)
        self.masker = masker
        self._log: IO[str] = log.open("a", encoding="utf-8", newline="\n", errors="replace")
        self._streams: dict[str, MaskedStream] = {}
        self._next = 0.0
        self._dirty = False

    def touched(self, *cells: Any) -> None:
        """Say that cells have changed since the last save."""
        for cell in cells:
            self.file.touch(cell)
        self._dirty = True

    def save(self, notebook: Any, *, now: bool = False) -> None:
        """Write what changed of the notebook if the pause is over, or the whole `now`. Raises OSError."""
        started = time.monotonic()
        if now:
            self._dirty = False
            self.file.finish(notebook)
            return
        if not self._dirty or started < self._next:
            return
        self.file.save(notebook)
        ended = time.monotonic()
        self._dirty = False
        self._next = ended + min(max(SHORTEST_PAUSE, SAVE_SHARE * (ended - started)), LONGEST_PAUSE)

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
