"""Durations (`30s`, `1h30m`) and sizes (`2GB`), as people write them."""

import math
import re
from typing import Final

from nbpipeline.patterns import regex

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_UNIT_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_PART = regex(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_DURATION = regex(rf"(?:{_PART.pattern}\s*)+")
_SIZE = regex(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?", re.IGNORECASE)

DURATION_PATTERN: Final = r"^(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$"
SIZE_PATTERN: Final = r"^\d+(\.\d+)?\s*[kKmMgGtTpP]?i?[bB]?$"


def seconds(text: str) -> float:
    """Read a duration: `500ms`, `30s`, `10m`, `1h30m`, `7d`, `2w`. Raises ValueError."""
    if not _DURATION.fullmatch(text.strip()):
        raise ValueError(f"{text!r} is no duration")
    found = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if found == math.inf:
        raise ValueError("the duration is too great")
    return found


def size(text: str) -> int:
    """Read a size in bytes: `2GB` is 2e9, `2GiB` is 2 * 1024**3, `2G` as `2GB`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no size")
    number, unit, binary = match.groups()
    if binary and not unit:
        raise ValueError(f"{text!r} is no size")
    factor: int = (1024 if binary else 1000) ** _UNIT_POWERS[unit.lower()]
    found = float(number) * factor
    if found == math.inf:
        raise ValueError("the size is too great")
    return round(found)
