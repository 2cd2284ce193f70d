"""Keeps the last of what a kernel's process writes past Jupyter: why it died, mostly."""

import asyncio
import os
from collections import deque

from nbpipeline.masking.terminal import without_colours

_PIECES = 64
_PIECE = 65536


class Echo:
    """Listens, on the running loop, to the pipes that a kernel's process writes to."""

    def __init__(self, given: int | None) -> None:
        """Open a pipe; listen to it, and to the one that a kernel was started with before it was needed."""
        reader, self.writer = os.pipe()
        self._heard: deque[bytes] = deque(maxlen=_PIECES)
        self._readers = [reader] if given is None else [reader, given]
        for one in self._readers:
            os.set_blocking(one, False)
            asyncio.get_running_loop().add_reader(one, self._hear, one)

    def started(self) -> None:
        """Leave the writing to the kernel."""
        os.close(self.writer)

    def last_words(self) -> str:
        """Give what was heard, without colours."""
        for one in self._readers:
            self._hear(one)
        return without_colours(b"".join(self._heard).decode("utf-8", "replace")).strip()

    def close(self) -> None:
        """Listen no more."""
        for one in self._readers:
            asyncio.get_running_loop().remove_reader(one)
            os.close(one)

    def _hear(self, reader: int) -> None:
        """Take one piece, though there may be more: a kernel that writes fast would keep the loop busy."""
        try:
            piece = os.read(reader, _PIECE)
        except OSError:  # nothing more for now
            return
        if piece:
            self._heard.append(piece)
        else:  # at its end a pipe is readable for ever, as is the one that a forked kernel has not
            asyncio.get_running_loop().remove_reader(reader)
