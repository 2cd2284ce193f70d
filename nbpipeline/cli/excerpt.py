"""What is shown of a traceback: the user's own lines, where it ended, and the error; the log has the rest."""

from collections.abc import Iterable, Sequence

from nbpipeline.cli.wording import counted
from nbpipeline.patterns import regex
from nbpipeline.pipeline.wording import and_joined
from nbpipeline.values import dataclass

_HEAD = regex(r"(?:Cell|Input) In ?\[\d+\]|File .+?:\d+(?:, in |$)")
_ARROW = regex(r"-*> *\d+ ")
_CHAINED = regex(r"The above exception was the direct cause|During handling of the above exception")
_PACKAGE = regex(r"(?:site|dist)-packages[\\/](\w+)|File (\w+)(?:/\S+)?\.(?:pyx|pxi|pxd):")
"""Where a distribution's code is: in its folder, or compiled by Cython, which names its sources."""
_STANDARD = regex(r"[\\/]lib[\\/]python\d|[\\/]Lib[\\/]|File <")
_OWN = 4
"""Frames of the user's code that are shown beside the last: the first two, and the deepest."""
_LINES = 6
"""Lines of an error's message; and of a traceback that is none of IPython's."""


@dataclass(frozen=True, slots=True)
class _Frame:
    head: str
    lines: tuple[str, ...]
    library: str
    """Whose code it is; empty for the user's own."""

    @property
    def call(self) -> str:
        """The line that it was at; empty where there is no source."""
        return next((one for one in self.lines if _ARROW.match(one)), "")


def traceback_lines(traceback: str) -> list[str]:
    """Give what the user's cells and modules called, what of libraries is left out, and how it ended.

    Of several exceptions that led to each other it is the last, unless none of the user's code is in it.
    """
    lines = traceback.splitlines()
    links = [number for number, line in enumerate(lines) if _CHAINED.match(line)]
    last = lines[links[-1] :] if links else lines
    frames, message = _parts(last)
    if all(one.library for one in frames):
        frames, message = _parts(lines)
    if not frames:
        return [one for one in lines if one.strip()][-_LINES:]
    *before, end = frames
    own = [_briefly(one) for one in before if not one.library]
    ending = [end.head, *end.lines] if not end.library else [end.head, *filter(None, [end.call])]
    own = _middle_out(own, _OWN, "frame")
    return [*own, *_left_out(before), *ending, *_middle_out(message, _LINES, "line")]


def _parts(lines: Sequence[str]) -> tuple[list[_Frame], list[str]]:
    """Split into frames, each up to a blank line, and what follows them."""
    frames: list[_Frame] = []
    message: list[str] = []
    inside = False
    for line in lines:
        if _HEAD.match(line):
            frames.append(_Frame(line, (), _library(line)))
            inside, message = True, []
        elif not line.strip():
            inside = False
        elif inside:
            frames[-1] = _Frame(frames[-1].head, (*frames[-1].lines, line), frames[-1].library)
        else:
            message.append(line)
    return frames, message


def _library(head: str) -> str:
    """Name the package that a frame is of, `Python` for the standard library; empty for the user's code."""
    package = _PACKAGE.search(head)
    if package:
        return package[1] or package[2]
    return "Python" if _STANDARD.search(head) else ""


def _briefly(frame: _Frame) -> str:
    """Write a frame of the user's code on one line; a cell is named by the failure already."""
    return frame.call if frame.call and frame.head[0] != "F" else f"{frame.head}: {frame.call.strip()}"


def _left_out(frames: Iterable[_Frame]) -> list[str]:
    names = [one.library for one in frames if one.library]
    packages = and_joined(list(dict.fromkeys(names)))
    return [f"{counted(len(names), 'frame')} of {packages} left out"] if names else []


def _middle_out(lines: Sequence[str], most: int, kind: str) -> list[str]:
    """Keep the beginning and the end of what is long."""
    if len(lines) <= most:
        return list(lines)
    half = most // 2
    return [*lines[:half], f"... {counted(len(lines) - 2 * half, kind)} ...", *lines[-half:]]
