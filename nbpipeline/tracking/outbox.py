"""tracking.json in a run's folder: which trackers are to be told of the run, and which have been.

When none is to be any more, it is tracked.json.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from nbpipeline.model import Value
from nbpipeline.replacing import replace_text
from nbpipeline.run.folder import UNSENT, RunFolder, kept_runs
from nbpipeline.values import dataclass

SENT = "tracked.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One tracker that is to be told of a run."""

    settings: Mapping[str, Value] = field(default_factory=dict)
    told: bool = False
    """Whether it has been told of all, to the run's end."""
    trouble: str = ""
    """What went wrong at the last try; empty where nothing did."""
    tries: int = 0
    """How often it was told of the run's end, or should have been."""
    given_up: str = ""
    """Why it will never be told any more; empty for one that has been, or yet will be."""
    hangs: bool = field(default=False, compare=False)
    """Whether this process still tells it; not on disk."""

    @property
    def waits(self) -> bool:
        """Whether it is to be told."""
        return not (self.told or self.given_up)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """What is to be sent of a run, and to whom."""

    project: str
    trackers: Mapping[str, Recipient]
    store: str = ""
    """Absolute folder of the store on this machine, or of its cache; empty where it is not known."""

    @property
    def waiting(self) -> tuple[str, ...]:
        """The trackers that have not been told of all."""
        return tuple(name for name, one in self.trackers.items() if one.waits)

    @property
    def addresses(self) -> frozenset[str]:
        """The waiting trackers with their settings, to be compared."""
        return self._addresses(self.waiting)

    @property
    def hanging(self) -> frozenset[str]:
        """Those of the addresses that hang."""
        return self._addresses(name for name in self.waiting if self.trackers[name].hangs)

    def _addresses(self, names: Iterable[str]) -> frozenset[str]:
        named = ((name, dict(self.trackers[name].settings)) for name in names)
        return frozenset(json.dumps(one, sort_keys=True, default=str) for one in named)

    def after(self, name: str, *, trouble: str = "", hangs: bool = False, again: bool = False) -> "Outbox":
        """Give the outbox after a try to tell a tracker of all; `again`: what came of one that hung."""
        one = self.trackers[name]
        tries = one.tries + (not again)
        one = replace(one, told=not trouble, trouble=trouble, hangs=hangs, tries=tries)
        return replace(self, trackers={**self.trackers, name: one})

    def without(self, name: str, reason: str) -> "Outbox":
        """Give the outbox after a tracker has given up; what went wrong before stays in it."""
        one = replace(self.trackers[name], given_up=reason)
        return replace(self, trackers={**self.trackers, name: one})

    @property
    def given_up(self) -> tuple[str, ...]:
        """Say who will never be told, a line each."""
        return tuple(_given_up(name, one) for name, one in self.trackers.items() if one.given_up)


def _given_up(name: str, one: Recipient) -> str:
    tries = "" if not one.tries else " after 1 try" if one.tries == 1 else f" after {one.tries} tries"
    return f"{name}: given up{tries}{f' ({one.trouble})' if one.trouble else ''}: {one.given_up}"


def write(folder: RunFolder, outbox: Outbox) -> None:
    """Write tracking.json, or tracked.json in its place. Raises OSError."""
    trackers = {
        name: {
            "settings": dict(one.settings),
            "told": one.told,
            "trouble": one.trouble,
            "tries": one.tries,
            "given_up": one.given_up,
        }
        for name, one in outbox.trackers.items()
    }
    data = {"version": VERSION, "project": outbox.project, "trackers": trackers, "store": outbox.store}
    name = UNSENT if outbox.waiting else SENT
    replace_text(folder.path / name, json.dumps(data, ensure_ascii=False) + "\n")
    if not outbox.waiting:
        (folder.path / UNSENT).unlink(missing_ok=True)


def read(folder: Path) -> Outbox | None:
    """Read what `write` wrote; None where there is nothing, or it is damaged."""
    file = folder / UNSENT
    try:
        data = json.loads((file if file.exists() else folder / SENT).read_text(encoding="utf-8"))
        trackers = {str(name): _recipient(one) for name, one in data["trackers"].items()}
        store = str(data.get("store", ""))
        return Outbox(project=str(data["project"]), trackers=trackers, store=store)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _recipient(data: Mapping[str, Any]) -> Recipient:
    tries = data.get("tries", 0)
    return Recipient(
        settings=dict(data["settings"]),
        told=data["told"] is True,
        trouble=str(data.get("trouble", "")),
        tries=tries if isinstance(tries, int) else 0,
        given_up=str(data.get("given_up", "")),
    )


def unsent(root: Path) -> tuple[RunFolder, ...]:
    """List the runs of which a tracker was not told to the end, oldest first."""
    found = ((one, read(one.path)) for one in reversed(kept_runs(root)))
    return tuple(folder for folder, outbox in found if outbox is not None and outbox.waiting)
