"""Failing rows as JSON can hold them, the checked columns first."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

EXAMPLES = 20
"""The first failing rows that are kept beside a message."""
_COLUMNS = 30
_LONGEST = 200
_BRIEF = 60
"""Characters that fit a line twice."""
_DOTS = "..."
_HIDE: ContextVar[Callable[[str], str]] = ContextVar("hide", default=str)


@contextmanager
def hiding(hide: Callable[[str], str]) -> Iterator[None]:
    """Take secrets out of values before they are shortened here: nobody knows half a secret again."""
    before = _HIDE.set(hide)
    try:
        yield
    finally:
        _HIDE.reset(before)


def hidden(words: str) -> str:
    """Take secrets out of a text that is about to be cut."""
    return _HIDE.get()(words)


def first_line(error: object) -> str:
    """Give the first line of what a library says."""
    return next(iter(hidden(str(error)).strip().splitlines()), "it does not say why")


def _shortened(words: str, longest: int, kept: int) -> str:
    words = hidden(words)
    return words if len(words) <= longest else f"{words[:kept]}{_DOTS}"


def plain(value: Any) -> Any:
    """Give a value of numpy, pandas or Python as JSON has it; text for what it has not."""
    if hasattr(value, "item") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, (bool, int, type(None))):
        return value
    if isinstance(value, str):
        return _shortened(value, _LONGEST, _LONGEST)
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in value]
    told = str(value)
    return None if told in ("NaT", "<NA>") else told


def brief(value: Any) -> str:
    """Say a value in few words."""
    return "nothing" if value is None else _shortened(str(value), _BRIEF, _BRIEF - len(_DOTS))


def rows_said(data: Any, numbers: Sequence[Any], first: Sequence[str]) -> list[dict[str, Any]]:
    """Give rows of a frame by their numbers: `row`, the columns named `first`, then others."""
    names = [one for one in dict.fromkeys([*first, *data.columns]) if one in data.columns][:_COLUMNS]
    found = []
    for number in numbers:
        if number in data.index:
            values = {beside(str(name)): plain(data.at[number, name]) for name in names}
            found.append({"row": plain(number), **values})
    return found


def beside(name: str) -> str:
    """Name a column beside the row's number and file: one of the same name must not hide them."""
    return f"{name} (column)" if name in ("row", "file") else name


def rows_of(before: Mapping[str, Any], facts: Mapping[str, Any], file: str) -> Mapping[str, Any]:
    """Add what one of several files showed to what those before it did."""
    counts = {key: before.get(key, 0) + facts[key] for key in ("rows", "failed") if key in facts}
    examples = [{"file": file, **one} for one in facts.get("examples", ())]
    both = [*before.get("examples", ()), *examples][:EXAMPLES]
    return {**before, **counts, **({"examples": both} if both or "examples" in facts else {})}
