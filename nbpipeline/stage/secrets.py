"""Hides the values of secrets in everything that is written."""

import base64
import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Shorter values would mask ordinary words."""
MASK = "[masked]"


def _base64_forms(value: bytes) -> Iterator[str]:
    """Give what of the base64 text is the same whatever stands around the value, for each alignment."""
    for offset in range(3):
        usable = value[: len(value) - (offset + len(value)) % 3]
        encoded = base64.b64encode(b"\0" * offset + usable)
        stable = encoded[(0, 2, 3)[offset] :].decode("ascii")
        if len(stable) >= SHORTEST:
            yield stable
            yield stable.replace("+", "-").replace("/", "_")
    yield base64.b64encode(value).decode("ascii")
    yield base64.urlsafe_b64encode(value).decode("ascii")


def _forms(value: str) -> Iterator[str]:
    """Every way in which a value may show up in an output."""
    yield value
    yield quote(value, safe="")
    yield quote(value)
    yield quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield repr(value)[1:-1]
    yield html.escape(value)
    yield from _base64_forms(value.encode())


class Masker:
    """Replaces secret values, and their usual encodings, by `[masked]`."""

    def __init__(self, values: Iterable[str]) -> None:
        """Take the values; those under 8 characters are left alone."""
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
        self.needles: tuple[str, ...] = tuple(sorted(forms, key=lambda form: (-len(form), form)))

    @classmethod
    def of(cls, names: Iterable[str], environment: Mapping[str, str]) -> "Masker":
        """Take the values of the named variables."""
        return cls(environment[name] for name in names if name in environment)

    def text(self, text: str) -> str:
        """Mask one text, longest form first."""
        for needle in self.needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return text

    def anything(self, value: Any) -> Any:
        """Mask every text inside JSON-like data, keys too; other values are given back as they are."""
        if not self.needles:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.anything(key): self.anything(one) for key, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(self.anything(one) for one in value)
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
        """Where secrets stand in the text, in order, not overlapping."""
        taken: list[tuple[int, int]] = []
        for needle in self.needles:
            start = text.find(needle)
            while start >= 0:
                end = start + len(needle)
                if all(end <= other[0] or start >= other[1] for other in taken):
                    taken.append((start, end))
                start = text.find(needle, start + 1)
        return sorted(taken)

    def held_back(self, text: str) -> int:
        """Length of the tail that may be the beginning of a secret, so cannot be written yet."""
        longest = 0
        for needle in self.needles:
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
