"""Takes in what a running cell sends: streams are joined, and what is too long is cut."""

import json
from collections.abc import Mapping
from typing import Any

LIMIT = 10 * 1024 * 1024
"""Characters of one cell's outputs that its record keeps."""
_COUNTED = ("stream", "display_data", "execute_result")


class Intake:
    """Decides on each output message of one cell."""

    def __init__(self) -> None:
        """Start a cell."""
        self.written = 0
        self._kept = 0
        self._tail: list[str] = []
        self._stream: Any = None

    @property
    def cut(self) -> bool:
        """Whether something was left out."""
        return self.written > self._kept

    def admits(self, message: Mapping[str, Any]) -> bool:
        """Whether nbclient may add the message's output; a stream's text is shortened to what fits."""
        kind, content = message["msg_type"], message["content"]
        if kind == "clear_output":
            self.settle()
            self._kept = self.written = 0
        if kind not in _COUNTED:
            self.settle()
            return True
        size = (
            len(content["text"])
            if kind == "stream"
            else len(json.dumps(content.get("data", {}), default=str))
        )
        self.written += size
        room = LIMIT - self._kept
        if size <= room:
            self._kept += size
            return True
        if kind == "stream" and room > 0:
            content["text"] = content["text"][:room]
            self._kept += room
            return True
        return False

    def joins(self, message: Mapping[str, Any], outputs: list[Any]) -> bool:
        """Whether the message only lengthens the last output; it is then taken.

        Pieces wait in a list, since joining at each would cost the square of their number.
        """
        if message["msg_type"] != "stream" or not outputs:
            self.settle()
            return False
        last = outputs[-1]
        if last.get("output_type") != "stream" or last["name"] != message["content"]["name"]:
            self.settle()
            return False
        if self._stream is not last:
            self.settle()
            self._stream, self._tail = last, [last["text"]]
        self._tail.append(message["content"]["text"])
        return True

    def settle(self) -> None:
        """Put waiting pieces into their output."""
        if self._stream is not None and len(self._tail) > 1:
            self._stream["text"] = "".join(self._tail)
            self._tail = [self._stream["text"]]

    def forget(self) -> None:
        """End the cell."""
        self.settle()
        self._stream, self._tail = None, []


def megabytes(size: int) -> str:
    """Write a size as messages do."""
    return f"{size / 1024 / 1024:.0f} MB"
