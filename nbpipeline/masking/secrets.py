"""Hides the values of secrets in everything that is written."""

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from nbpipeline.masking.terminal import STEERING, UNFINISHED, steers
from nbpipeline.patterns import regex
from nbpipeline.values import dataclass

SHORTEST = 8
"""Shorter values would mask ordinary words."""
MASK = "[masked]"
_BREAK = regex(r"(?<=[A-Za-z0-9+/_-]{4})(?:\r?\n[ \t]{0,16}|(?:\\r)?\\n)(?=[A-Za-z0-9+/=_-])")
"""Where base64 is cut into lines: real ones, indented ones, or as `repr` and JSON show them."""
_LAST_BREAK = regex(r"(?:\r?\n[ \t]{0,16}|\r|(?:\\r)?\\n?|\\r)\Z")
"""The same where the text ends within or right after it."""
_NARROWEST = 16
"""Characters a line, at which a cut secret that is not yet whole is still waited for."""
_COLOURED = 32
_DOTS = regex(r"\.{2,}|\u2026")
"""Where whoever told of a value left some of it out."""
_TITLE = 1024
"""What may steer a terminal for each character of a secret that is not yet whole, and once within it."""


def _base64_forms(value: bytes) -> Iterator[str]:
    """Give what of the base64 text is the value's alone whatever stands around it, for each alignment.

    And all to the end, where nothing stands after it: a character there, and the padding, say the rest.
    """
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + value).decode("ascii")
        first, last = (0, 2, 3)[offset], (offset + len(value)) * 8 // 6
        for form in (encoded[first:last], encoded[first:]):
            if len(form) >= SHORTEST:
                yield form
                yield form.replace("+", "-").replace("/", "_")


def _forms(value: str) -> Iterator[str]:
    """Every way in which a value may show up in an output."""
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    import html  # noqa: PLC0415 - most projects have no secrets, and it knows 2,000 names of characters

    yield html.escape(value)


@dataclass(frozen=True, slots=True)
class _Joined:
    """A text without what cuts its secrets, and where its parts stood."""

    text: str
    starts: list[int]
    """Of each part, here."""
    origins: list[int]
    """Of each part, in the text as it came."""

    @classmethod
    def of(cls, text: str, cuts: re.Pattern[str]) -> "_Joined":
        """Leave out the cuts."""
        parts: list[str] = []
        starts, origins, length, position = [0], [0], 0, 0
        for found in cuts.finditer(text):
            parts.append(text[position : found.start()])
            length += found.start() - position
            position = found.end()
            starts.append(length)
            origins.append(position)
        return cls("".join([*parts, text[position:]]) if parts else text, starts, origins)

    @property
    def was_cut(self) -> bool:
        """Whether anything was left out."""
        return len(self.starts) > 1

    def spans(self, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Say where in the text as it came these places stand."""
        return ((self.origin(start), self.origin(end - 1) + 1) for start, end in spans)

    def origin(self, index: int) -> int:
        """Where a character stood."""
        part = bisect_right(self.starts, index) - 1
        return self.origins[part] + index - self.starts[part]


class Masker:
    """Replaces secret values, and their usual encodings, by `[masked]`."""

    def __init__(self, values: Iterable[str]) -> None:
        """Take the values; those under 8 characters are left alone."""
        self.values: tuple[str, ...] = tuple(value for value in values if len(value) >= SHORTEST)
        """For another process, which masks too."""
        long = self.values
        coded = {form for value in long for form in _base64_forms(value.encode())}
        self.needles: tuple[str, ...] = _longest_first(
            {*coded, *(one for value in long for one in _forms(value))}
        )
        self._coded = _longest_first(coded)
        self.longest = max(map(len, self.needles), default=0)
        """Characters of the longest way to write one."""

    @classmethod
    def of(cls, names: Iterable[str], environment: Mapping[str, str]) -> "Masker":
        """Take the values of the named variables."""
        return cls(environment[name] for name in names if name in environment)

    def text(self, text: str) -> str:
        """Mask one text."""
        return _piece(text, self._spans(text), 0, len(text))

    def shortened(self, text: str) -> str:
        """Mask a text of somebody who may have left out a part of a secret: what is left of it, too.

        That is its beginning before dots or at the end of the text, its end after dots or where the text
        begins.
        """
        masked = self.text(text)
        return _piece(masked, _merged(_remnants(self.needles, masked, self.longest)), 0, len(masked))

    def anything(self, value: Any, mask: Callable[[str], str] | None = None) -> Any:
        """Mask every text inside JSON-like data, keys too; other values are given back as they are.

        `mask` is `text` or `shortened`.
        """
        if not self.needles:
            return value
        if isinstance(value, str):
            return (mask or self.text)(value)
        if isinstance(value, Mapping):
            return {self.anything(key, mask): self.anything(one, mask) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.anything(one, mask) for one in value)
        return value

    def chunks(self, chunks: Sequence[str]) -> tuple[str, ...]:
        """Mask pieces of one stream: a value cut in two is found, and its mask stands where it began."""
        whole = "".join(chunks)
        spans = self._spans(whole)
        if not spans:
            return tuple(chunks)
        masked: list[str] = []
        start = 0
        for chunk in chunks:
            masked.append(_piece(whole, spans, start, start + len(chunk)))
            start += len(chunk)
        return tuple(masked)

    def _spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand in the text, in order; what overlaps is one."""
        found = self._places(text)
        if self.needles and steers(text):  # what a terminal does not show hides no secret there
            shown = _Joined.of(text, STEERING)
            found += shown.spans(self._places(shown.text))
        return _merged(found)

    def _places(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand as they are, or as base64 in lines."""
        found = list(_found(self.needles, text))
        joined = _Joined.of(text, _BREAK) if self._coded else None
        if joined is not None and joined.was_cut:
            found += joined.spans(_found(self._coded, joined.text))
        return found

    def held_back(self, text: str) -> int:
        """Length of the tail that may be the beginning of a secret, so cannot be written yet."""
        plain = self._begun(text)
        tail = text[-(self.longest * _COLOURED + _TITLE) :]
        if not self.needles or not steers(tail):
            return plain
        return max(plain, _begun_through(tail, STEERING, UNFINISHED, self._begun))

    def _begun(self, text: str) -> int:
        """Length of the tail that is the beginning of a secret, as it is or as base64 in lines."""
        plain = _longest_beginning(self.needles, text)
        if not self._coded:
            return plain
        breaks = self.longest // _NARROWEST + 2
        tail = text[-(self.longest + 20 * breaks) :]
        coded = _begun_through(
            tail, _BREAK, _LAST_BREAK, lambda joined: _longest_beginning(self._coded, joined)
        )
        return max(plain, coded)


def _begun_through(
    tail: str, cuts: re.Pattern[str], last_cut: re.Pattern[str], begun: Callable[[str], int]
) -> int:
    """Length of the tail that is the beginning of a secret once the cuts are left out."""
    last = last_cut.search(tail)
    joined = _Joined.of(tail[: last.start()] if last else tail, cuts)
    length = begun(joined.text)
    return len(tail) - joined.origin(len(joined.text) - length) if length else 0


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Put places in order; what overlaps is one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _remnants(needles: Sequence[str], text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Give the places of what is left of needles where a text is cut, of so many characters as are masked."""
    dots = [found.span() for found in _DOTS.finditer(text)] if needles else []
    for end in {len(text), *(start for start, _ in dots)}:
        first = max(0, end - longest)
        for needle in needles:
            for start, _ in _found((needle[:SHORTEST],), text[first:end]):
                if needle.startswith(text[first + start : end]):
                    yield first + start, end
    for start in {0, *(end for _, end in dots)}:
        for needle in needles:
            for _, end in _found((needle[-SHORTEST:],), text[start : start + longest]):
                if needle.endswith(text[start : start + end]):
                    yield start, start + end


def _longest_first(forms: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _found(needles: Iterable[str], text: str) -> Iterator[tuple[int, int]]:
    """Give every place of every needle."""
    for needle in needles:
        start = text.find(needle)
        while start >= 0:
            yield start, start + len(needle)
            start = text.find(needle, start + 1)


def _longest_beginning(needles: Iterable[str], text: str) -> int:
    """Length of the longest tail that is the beginning of a needle, but not all of it."""
    longest = 0
    for needle in needles:
        for length in range(min(len(needle) - 1, len(text)), longest, -1):
            if text.endswith(needle[:length]):
                longest = length
                break
    return longest


def _piece(whole: str, spans: Sequence[tuple[int, int]], start: int, end: int) -> str:
    """Cut one chunk out of the text, with the masks that begin in it."""
    parts: list[str] = []
    position = start
    for first, last in spans:
        if last <= start or first >= end:
            continue
        parts.append(whole[position : max(position, first)])
        if first >= start:
            parts.append(MASK)
        position = min(last, end)
    parts.append(whole[position:end])
    return "".join(parts)


NO_SECRETS = Masker(())


class MaskedStream:
    """Masks text that comes in pieces and goes out in pieces (a log)."""

    def __init__(self, masker: Masker) -> None:
        """Start with nothing held back."""
        self._masker = masker
        self._waiting = ""

    def feed(self, text: str) -> str:
        """Take a piece; give what can be written now."""
        ready = self._masker.text(self._waiting + text)
        keep = self._masker.held_back(ready)
        self._waiting = ready[len(ready) - keep :]
        return ready[: len(ready) - keep]

    def rest(self) -> str:
        """Give what was still held back."""
        waiting, self._waiting = self._waiting, ""
        return waiting
