"""Changes that somebody has marked as harmless: `nbpipeline.accept.yaml`, committed with the project.

A change is kept by what it was and became, not by a state as a whole: it stays accepted when something
else changes later, and is forgotten as soon as the same part changes again.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nbpipeline.encoding import canonical, plain, value_from
from nbpipeline.errors import ReadingError
from nbpipeline.location import Location
from nbpipeline.model import Fingerprint, Reason, ReasonKind
from nbpipeline.reading.yaml12 import YamlError, load
from nbpipeline.replacing import replace_text
from nbpipeline.values import dataclass

FILE = "nbpipeline.accept.yaml"

ACCEPTABLE = frozenset(
    {
        ReasonKind.CODE,
        ReasonKind.MODULE,
        ReasonKind.PARAMETER,
        ReasonKind.INPUT,
        ReasonKind.ENVIRONMENT,
        ReasonKind.KERNEL,
        ReasonKind.UPSTREAM,
    }
)
"""Differences between two states; what else makes an instance stale cannot be argued away."""

_HEAD = (
    "# Changes that were marked as harmless with `nbpipeline accept`. Commit this file.\n"
    "# Deleting an entry makes its stage stale again.\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """One `accept STAGE --because ...`."""

    stage: str
    """The instance's id."""
    because: str
    day: str
    changes: tuple[Reason, ...]


class Accepted:
    """What is on record, ready to be asked of each difference."""

    def __init__(self, entries: Iterable[Acceptance] = ()) -> None:
        """Index the changes by instance; what cannot be accepted is not, though it was written in by hand."""
        self._keys: set[tuple[str, str]] = set()
        self._cells: dict[str, dict[str, str]] = {}
        self._instances: set[str] = set()
        for entry in entries:
            for change in acceptable(entry.changes):
                self._keys.add((entry.stage, key(change)))
                self._instances.add(entry.stage)
                if _is_changed_cell(change):
                    self._cells.setdefault(entry.stage, {})[change.before] = change.after

    def speaks_of(self, instance: str) -> bool:
        """Whether any difference was accepted for the instance."""
        return instance in self._instances

    def covers(self, instance: str, reason: Reason) -> bool:
        """Whether the difference was accepted for the instance."""
        return (instance, key(reason)) in self._keys

    def read_as(self, instance: str, before: Fingerprint, after: Fingerprint) -> Fingerprint:
        """Read an earlier state with accepted cells as they became, so that others are matched rightly."""
        cells = self._cells.get(instance)
        if not cells:
            return before
        present = set(after.code.values())
        code = {
            name: became if (became := cells.get(one)) in present else one
            for name, one in before.code.items()
        }
        return replace(before, code=code)


def _is_changed_cell(reason: Reason) -> bool:
    return _is_cell(reason) and None not in (reason.before, reason.after)


def _is_cell(reason: Reason) -> bool:
    return reason.kind is ReasonKind.CODE and reason.subject.startswith("cell ")


def key(reason: Reason) -> str:
    """Say what a change is known by. A cell's number is not part of it: the cell may have moved."""
    subject = "cell" if _is_cell(reason) else reason.subject
    return canonical([reason.kind.value, subject, reason.before, reason.after])


def acceptable(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Those of the reasons that `accept` can mark. An output that goes elsewhere has to be made there."""
    return tuple(one for one in reasons if one.kind in ACCEPTABLE and not one.subject.startswith("output "))


def acceptance(stage: str, because: str, reasons: Iterable[Reason], now: float) -> Acceptance:
    """Make an entry of today's differences of the instance."""
    day = time.strftime("%Y-%m-%d", time.localtime(now))
    return Acceptance(stage=stage, because=because, day=day, changes=acceptable(reasons))


def read(root: Path) -> tuple[Acceptance, ...]:
    """Read the project's file; empty where there is none. Raises ReadingError."""
    path = root / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise _unreadable(str(error)) from error
    import yaml  # noqa: PLC0415 - most projects have no such file

    try:
        load(text)  # for its limits of depth and size, aliases counted at each use
        data = yaml.safe_load(text) or {}
    except YamlError as error:
        raise _unreadable(f"this is no YAML: {error.reason}", error.line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date in no calendar is a ValueError
        mark = getattr(error, "problem_mark", None)
        raise _unreadable("this is no YAML", mark.line + 1 if mark else None) from error
    entries = (data.get("accepted") or []) if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise _unreadable("there is no list under `accepted`")
    return tuple(_entry(one, number) for number, one in enumerate(entries, start=1))


def add(root: Path, entry: Acceptance) -> None:
    """Put an entry behind those on record; the file is replaced whole. Raises ReadingError, OSError."""
    import yaml  # noqa: PLC0415 - see read

    entries = [_data(one) for one in (*read(root), entry)]
    text = _HEAD + yaml.safe_dump({"accepted": entries}, sort_keys=False, allow_unicode=True, width=100)
    replace_text(root / FILE, text)


def _entry(data: Mapping[str, Any], number: int) -> Acceptance:
    try:
        return _acceptance(data)
    except KeyError as error:
        raise _unreadable(f"entry {number} lacks {error}") from error
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise _unreadable(f"entry {number} is not as `accept` writes it") from error


def _acceptance(data: Mapping[str, Any]) -> Acceptance:
    return Acceptance(
        stage=_text(data["stage"]),
        because=data["because"],
        day=str(data["date"]),
        changes=tuple(_change(one) for one in data["changes"]),
    )


def _change(data: Mapping[str, Any]) -> Reason:
    """Read one change. Raises TypeError where a cell was or became something that is no text."""
    change = Reason(
        kind=ReasonKind(data["kind"]),
        subject=_text(data.get("subject", "")),
        before=value_from(data.get("before")),
        after=value_from(data.get("after")),
    )
    if _is_changed_cell(change):
        _text(change.before)
        _text(change.after)
    return change


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _data(entry: Acceptance) -> dict[str, Any]:
    changes = [
        {
            "kind": one.kind.value,
            "subject": one.subject,
            "before": plain(one.before),
            "after": plain(one.after),
        }
        for one in entry.changes
    ]
    return {"stage": entry.stage, "because": entry.because, "date": entry.day, "changes": changes}


def _unreadable(why: str, line: int | None = None) -> ReadingError:
    return ReadingError.of(
        f"the accepted changes cannot be read: {why}.",
        where=Location(path=FILE, line=line),
        mend="mend the entry or delete it; its stage is then stale again.",
    )
