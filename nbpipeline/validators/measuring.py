"""What is found out of one column, batch by batch: its type, range, categories, and whether it is unique."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from nbpipeline.patterns import regex
from nbpipeline.validators.duplicates import Duplicates
from nbpipeline.validators.values import TYPES, hashed, moment, number

MOST_CATEGORIES = 50
"""A column of more different texts has no categories."""
LONGEST_CATEGORY = 80
KEYS = 2_000_000
"""Keys of all columns together that are held in memory, to find out which are unique."""
MOST_SPILLED = 4
"""Columns whose keys may go to disk past that (64 files each); of further ones it stays unknown."""
_KINDS = ("bool", "int", "float", "date", "datetime", "str")
"""From the narrowest; the first one that fits is told."""
_LEADING_ZERO = regex(r"(?m)^\s*[+-]?0\d")
_EXACT = 2**53
"""Up to it floats are whole numbers one by one."""


class Kind:
    """Which of the types that the check `types` knows all values have."""

    def __init__(self, told: str | None, *, text: bool) -> None:
        """`told` is the file's own type of the column, where it has one."""
        self._told = told
        self._text = text
        self._left: tuple[str, ...] = _KINDS if told is None else (told,)
        self._seen = False

    @property
    def name(self) -> str:
        """The type; empty where none fits, or nothing was seen."""
        return self._told or (self._left[0] if self._left and self._seen else "")

    def may_be(self, *kinds: str) -> bool:
        """Whether one of the types still fits."""
        return any(one in self._left for one in kinds)

    def take(self, known: Sequence[Any]) -> None:
        """Look at values, none of them null."""
        self._seen = True
        if self._told is None and self._left:
            fitting = _of_texts if self._text else _of_values
            self._left = tuple(fitting(self._left, known))


def _of_values(kinds: Iterable[str], known: Sequence[Any]) -> Iterable[str]:
    """Try one value of each Python type, which decides, and every different text."""
    samples = {type(one): one for one in known}
    texts = {one for one in known if isinstance(one, str)} if str in samples else ()
    tried = [*(one for kind, one in samples.items() if kind is not str), *texts]
    return [kind for kind in kinds if all(TYPES[kind](one, False) for one in tried)]


def _of_texts(kinds: Iterable[str], known: Sequence[str]) -> Iterable[str]:
    """Try texts; a number that begins with 0 (`01234`) is a code."""
    distinct = set(known)
    coded = bool(_LEADING_ZERO.search("\n".join(distinct)))
    for kind in kinds:
        if kind in _AT_ONCE:
            fits = not (coded and kind in ("int", "float")) and _all_read(kind, distinct)
        else:
            fits = kind == "str" or all(TYPES[kind](one, True) for one in distinct)
        if fits:
            yield kind


_AT_ONCE: Mapping[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
}


def _all_read(kind: str, texts: Iterable[str]) -> bool:
    """Try all at once, as `TYPES` does one by one."""
    try:
        for _ in map(_AT_ONCE[kind], map(str.strip, texts)):
            pass
    except ValueError:
        return False
    return kind not in ("int", "float") or not any("_" in one for one in texts)


class Range:
    """The least and the greatest of numbers or times; the mean of numbers."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self.low: Any = None
        self.high: Any = None
        self._sum = 0.0
        self._count = 0
        self._broken = False

    @property
    def mean(self) -> float | None:
        """The mean; None of times, or where it is none."""
        return self._sum / self._count if self._count and math.isfinite(self._sum) else None

    def take_numbers(self, known: Sequence[Any], *, text: bool) -> None:
        """Look at values, none of them null."""
        found = () if self._broken else _numbers(known, text=text)
        if found is None:
            self._break()
        elif found:
            self._widen(min(found), max(found))
            self._count += len(found)
            try:
                self._sum += float(sum(found))
            except OverflowError:
                self._sum = math.inf

    def take_moments(self, known: Sequence[Any]) -> None:
        """Look at values, none of them null."""
        found = () if self._broken else _moments(known)
        if found is None:
            self._break()
        elif found:
            self._widen(min(found), max(found))

    def _widen(self, low: Any, high: Any) -> None:
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def _break(self) -> None:
        self.low = self.high = None
        self._count = 0
        self._broken = True


def _numbers(known: Sequence[Any], *, text: bool) -> Sequence[float] | None:
    """Read numbers as checks do; None where one of the values is none, or NaN."""
    found: Sequence[float | None] | None = None
    if text:
        for read in (int, float):
            try:
                found = list(map(read, known))
                break
            except ValueError:
                continue
    elif {type(one) for one in known} <= {int, float}:
        return known
    if found is None or (isinstance(found[0], float) and max(map(abs, found)) >= _EXACT):  # type: ignore[arg-type]
        found = [number(one, text=text) for one in known]
    sound = [one for one in found if one is not None and one == one]  # noqa: PLR0124 - NaN is not itself
    return sound if len(sound) == len(found) else None


def _moments(known: Sequence[Any]) -> Sequence[datetime] | None:
    """Read times as checks do; None where one of the values is none."""
    try:
        plain = [datetime.fromisoformat(one) for one in set(known)]
    except (TypeError, ValueError):  # no texts, or blanks around them
        plain = []
    if plain and all(one.tzinfo is None for one in plain):
        return [min(plain).replace(tzinfo=UTC), max(plain).replace(tzinfo=UTC)]
    found = [moment(one) for one in known]
    sound = [one for one in found if one is not None]
    return sound if len(sound) == len(found) else None


class Categories:
    """How often each text comes, while there are few of them."""

    def __init__(self) -> None:
        """Have seen nothing."""
        self._counts: Counter[str] | None = Counter()

    def take(self, known: Sequence[Any]) -> None:
        """Look at values, none of them null; one that is no text means that there are no categories."""
        if self._counts is None:
            return
        if not all(isinstance(one, str) and len(one) <= LONGEST_CATEGORY for one in known):
            self._counts = None
            return
        self._counts.update(known)
        if len(self._counts) > MOST_CATEGORIES:
            self._counts = None

    @property
    def counts(self) -> dict[str, int] | None:
        """The texts, the most frequent first; None where there are too many or none."""
        return dict(self._counts.most_common()) if self._counts else None


class Budget:
    """What all columns together may hold to find out which are unique."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.keys = KEYS
        self.spilled = 0

    def share(self, columns: int) -> None:
        """Divide it among so many columns."""
        self.keys = max(1000, KEYS // max(columns, 1))


class Keys:
    """Whether a column's values are unique; found out until one comes twice or it takes too much."""

    def __init__(self, budget: Budget, *, mixed: bool) -> None:
        """`mixed`: a column may hold 1 and 1.0, which are one value (JSON)."""
        self._budget = budget
        self._mixed = mixed
        self._found = Duplicates(shown=0, in_memory=budget.keys)
        self._taken = 0
        self._spills = False
        self._open = True
        self._again = False

    def take(self, known: Sequence[Any]) -> None:
        """Look at values, none of them null."""
        if not self._open:
            return
        self._found.in_memory = self._budget.keys  # less, the more columns there are
        if not self._mixed and len(set(known)) < len(known):
            self._again = True
            self.give_up()
            return
        for one in known:
            self._found.add(0, repr(hashed(one) if self._mixed else one))
            self._taken += 1
            if self._found.count:
                self._again = True
                break
            if self._taken > self._found.in_memory and not self._may_spill():
                break
        else:
            return
        self.give_up()

    def _may_spill(self) -> bool:
        if not self._spills and self._budget.spilled < MOST_SPILLED:
            self._spills = True
            self._budget.spilled += 1
        return self._spills

    def give_up(self) -> None:
        """Hold nothing any more."""
        if self._open:
            self._found.close()
            self._budget.spilled -= self._spills
        self._open = False

    def unique(self) -> bool | None:
        """Say it; None where it was not found out."""
        if self._open:
            self._found.close()
            self._open = False
            return self._found.count == 0 if self._taken else None
        return False if self._again else None
