"""What trackers without a scheme of their own say of a stage: numbers, words, pictures."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain
from nbpipeline.model import Value
from nbpipeline.model.told import StageLog

MEGABYTE = 1e6
MOST_PICTURES, LARGEST_PICTURE = 20, 2_000_000
"""Plots of a notebook that are shown, and bytes of one."""
_PNG = b"\x89PNG\r\n\x1a\n"


def numbers(one: StageLog) -> dict[str, float]:
    """Give the stage's own metrics that are finite numbers."""
    return {name: float(value) for name, value in one.metrics.items() if is_number(value)}


def others(one: StageLog) -> dict[str, Any]:
    """Give its other metrics: words, lists, what is not finite."""
    return {name: plain(value) for name, value in one.metrics.items() if not is_number(value)}


def is_number(value: Value) -> bool:
    """Whether a metric is one that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)


def cost(one: StageLog) -> dict[str, float]:
    """Say what the stage took."""
    found = {"nbpipeline/seconds": one.seconds, "nbpipeline/attempts": float(one.attempts)}
    if one.peak_memory is not None:
        found["nbpipeline/peak_memory_mb"] = one.peak_memory / MEGABYTE
    return found


def reasons(one: StageLog) -> str:
    """Write why it ran, as JSON."""
    return json.dumps([dict(reason) for reason in one.reasons], ensure_ascii=False)


def failure(one: StageLog) -> str:
    """Write why it failed; empty where it did not."""
    return f"{one.failure.get('kind')}: {one.failure.get('what')}" if one.failure else ""


def pictures(one: StageLog) -> Iterator[tuple[int, bytes]]:
    """Give the executed notebook's plots as PNG, each with its cell's index; the largest are left out."""
    from base64 import b64decode  # noqa: PLC0415 - start-up is counted

    found = 0
    for index, cell in enumerate(_cells(one.files)):
        for output in cell.get("outputs") or ():
            data = output.get("data", {}).get("image/png", "")
            if not data or found == MOST_PICTURES:
                continue
            picture = b64decode(data if isinstance(data, str) else "".join(data))
            if len(picture) <= LARGEST_PICTURE and picture.startswith(_PNG):
                found += 1
                yield index, picture


def size_of(picture: bytes) -> tuple[int, int]:
    """Give a PNG's width and height in pixels (its IHDR chunk, https://www.w3.org/TR/png/#11IHDR)."""
    return int.from_bytes(picture[16:20], "big"), int.from_bytes(picture[20:24], "big")


def _cells(files: Mapping[str, str]) -> list[dict[str, Any]]:
    try:
        cells = json.loads(Path(files["notebook"]).read_bytes())["cells"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []  # none was kept, or it was cut short
    return cells if isinstance(cells, list) else []
