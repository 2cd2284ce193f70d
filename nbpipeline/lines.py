"""Lines from another process, waited for no longer than is said."""

import queue
import threading
from typing import IO


class Lines:
    """Whole lines as they come, read in a thread of its own: also where a pipe cannot be waited for.

    Of an unbuffered stream: Python ends with an error where a thread holds a buffered one at the very end.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        """Begin to read."""
        self._stream = stream
        self._found: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.ended = False
        """Whether no more will come."""
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, seconds: float) -> bytes | None:
        """Give the next line without its end; None where none comes in time, or ever."""
        if self.ended:
            return None
        try:
            line = self._found.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        self.ended = line is None
        return line

    def _read(self) -> None:
        for line in self._stream:
            if line.endswith(b"\n"):
                self._found.put(line[:-1])
        self._found.put(None)
