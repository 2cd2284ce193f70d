"""Modules that a fork server could not load, remembered so that the next run does not try them again."""

import json
from collections.abc import Iterable
from pathlib import Path

from nbpipeline.kernels.fork_service import Refusal
from nbpipeline.ports import Cache

_KIND = "fork_refusals"


class Refusals:
    """What was refused under which interpreter. A module whose package has changed since is tried again."""

    def __init__(self, cache: Cache | None = None) -> None:
        """Take where they are kept; without a cache they are forgotten with the run."""
        self._cache = cache

    def of(self, python: str) -> tuple[Refusal, ...]:
        """List what the interpreter could not load and still could not."""
        return tuple(one for interpreter, one in self.all() if interpreter == python)

    def all(self) -> tuple[tuple[str, Refusal], ...]:
        """List (interpreter, refusal), sorted."""
        entries = self._cache.load(_KIND) if self._cache else {}
        return tuple(_read(sorted(entries.items())))

    def add(self, python: str, refusal: Refusal) -> None:
        """Remember one."""
        if self._cache is None:
            return
        entry = {"why": refusal.why, "origin": refusal.origin, "changed": _changed(refusal.origin)}
        self._cache.save(_KIND, {f"{python}\n{refusal.module}": json.dumps(entry)})


def _read(entries: Iterable[tuple[str, str]]) -> Iterable[tuple[str, Refusal]]:
    for name, text in entries:
        python, _, module = name.partition("\n")
        try:
            entry = json.loads(text)
            refusal = Refusal(module=module, why=str(entry["why"]), origin=str(entry["origin"]))
            current = entry["changed"] == _changed(refusal.origin)
        except (ValueError, KeyError, TypeError):
            continue
        if current:
            yield python, refusal


def _changed(origin: str) -> int | None:
    """When the file was changed, in nanoseconds; None where there is no file."""
    if not origin:
        return None
    try:
        return Path(origin).stat().st_mtime_ns
    except OSError:
        return None
