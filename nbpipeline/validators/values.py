"""What a value of a table is: read from CSV's text, or as the file itself types it."""

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from nbpipeline.patterns import regex

_INT = regex(r"[+-]?\d+")
_DIGITS = 400
"""More than any float has."""
_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def number(value: Any, *, text: bool) -> float | None:
    """Read a number; None where it is none (a bool is none, nor is text in a typed file)."""
    if isinstance(value, bool) or (isinstance(value, str) and not text):
        return None
    if isinstance(value, Decimal):
        return _of_decimal(value)
    if isinstance(value, (int, float)):
        return value
    return _of_text(value) if isinstance(value, str) and "_" not in value else None


def _of_decimal(value: Decimal) -> float:
    if value.is_nan():
        return math.nan  # `float` refuses a signalling one
    return int(value) if _is_whole(value) else float(value)


def _of_text(value: str) -> float | None:
    if _INT.fullmatch(value.strip()):
        with suppress(ValueError):  # it has more digits than Python reads, and than any float has
            return int(value)
    try:
        return float(value)
    except ValueError:
        return None


def moment(value: Any) -> datetime | None:
    """Read a date or time (ISO 8601 where it is text), as UTC where it has no zone; None where it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def _is_date(value: Any) -> bool:
    if isinstance(value, str):
        try:
            date.fromisoformat(value.strip())
        except ValueError:
            return False
        return True
    return isinstance(value, date) and not isinstance(value, datetime)


def _is_int(value: Any, text: bool) -> bool:  # noqa: FBT001 - one of a table of tests of the same shape
    if isinstance(value, str):
        return text and _INT.fullmatch(value.strip()) is not None
    return isinstance(value, int) and not isinstance(value, bool)


TYPES: Mapping[str, Callable[[Any, bool], bool]] = {
    "int": _is_int,
    "float": lambda value, text: number(value, text=text) is not None,
    "str": lambda value, _text: isinstance(value, str),
    "bool": lambda value, text: isinstance(value, bool) or (text and value in _BOOLS),
    "datetime": lambda value, _text: moment(value) is not None,
    "date": lambda value, _text: _is_date(value),
}
"""Whether a value, which is not null, is of a type. Whole numbers are floats too, dates are datetimes too."""

ALSO: Mapping[str, frozenset[str]] = {
    "float": frozenset({"float", "int"}),
    "datetime": frozenset({"datetime", "date"}),
}
"""Which of a typed file's types will do for a wanted one, where it is not that one alone."""


def is_member(value: Any, members: frozenset[Any], *, text: bool) -> bool:
    """Whether a value is one of `members` (as `hashed` makes them)."""
    if hashed(value) in members:
        return True
    if not (text and isinstance(value, str)):
        return False
    if value in _BOOLS:
        return hashed(_BOOLS[value]) in members
    read = number(value, text=True)
    return read is not None and hashed(read) in members


def _is_whole(value: float | Decimal) -> bool:
    """Whether a number has an int that is not made of thousands of noughts."""
    if isinstance(value, Decimal):
        return value.is_finite() and value.adjusted() < _DIGITS and value == value.to_integral_value()
    return value == value // 1


def hashed(value: Any) -> Any:
    """Make a value comparable: 1, 1.0 and Decimal(1) are one, True is another, dates stand as ISO text."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, Decimal) and value.is_snan():
        return ("other", repr(value))  # it cannot be looked up
    if isinstance(value, (int, float, Decimal)):
        return ("number", int(value) if _is_whole(value) else value)  # so that 1 and 1.0 also read alike
    if isinstance(value, (date, datetime)):
        return ("text", value.isoformat())
    if isinstance(value, str):
        return ("text", value)
    return ("other", repr(value))
