"""How reports put numbers, times and tables."""

import time
from collections.abc import Sequence
from typing import Any

from nbpipeline.model import Value
from nbpipeline.values import dataclass

VERSION = 1
"""Of the JSON that `runs`, `show` and `diff` print."""
_TENTHS_BELOW = 10
_UNIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answer, for scripts and for people."""

    data: dict[str, Any]
    """JSON-able, with a `version`."""
    text: str
    """Without a trailing newline."""


def duration(seconds: float | None) -> str:
    """Write seconds as a person says them: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < _TENTHS_BELOW:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {left} s" if minutes else f"{left} s"


def size(count: float | None) -> str:
    """Write bytes in the unit that fits: `512 B`, `1.4 MB`; nothing for None."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if count < _UNIT:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _UNIT
    return f"{count:.1f} TB"


def moment(unix: float | None) -> str:
    """Write a time in the local zone, to the second; nothing for None."""
    return "" if unix is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix))


def figure(value: Value) -> str:
    """Write a metric: floats to six significant digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def change(before: Value, after: Value) -> str:
    """Write by how much a metric moved: `+0.0123`; nothing where either is no number, or neither moved."""
    numbers = (int, float)
    if not isinstance(before, numbers) or not isinstance(after, numbers) or before == after:
        return ""
    return f"{after - before:+.3g}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align rows in columns under a head, two blanks between them; columns that stay empty are left out."""
    kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
    cells = [[row[place] for place in kept] for row in [head, *rows]]
    widths = [max(len(row[place]) for row in cells) for place in range(len(kept))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)
