"""Alerts by mail, chat and push: what went wrong with a run, or works again, to URLs of apprise.

One a run, at its end. To whom it was sent is noted beside the run, so that it goes to nobody twice; where a
target is down it is tried again, for some hours.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Value
from nbpipeline.model.told import RunLog
from nbpipeline.patterns import regex
from nbpipeline.plugins import missing_library
from nbpipeline.ports import GivenUpError
from nbpipeline.reading.alerts import DEFAULT_OCCASIONS, NAMED, NoUrlError, url_of
from nbpipeline.trackers.alert_text import Alert, alert_of
from nbpipeline.trackers.sent import Ledger
from nbpipeline.trackers.settings import is_installed

if TYPE_CHECKING:
    from apprise import Apprise

JOINED_BY: frozenset[str] = frozenset()
"""No notebook speaks to it itself."""
PAGES = False
KEYS = ("urls", "on", "rows")
STALE = 6 * 3600.0
"""Seconds after a run's end at which an alert of it would only be noise."""
_TYPES = {"failure": "failure", "check_failure": "failure", "recovery": "success", "warning": "warning"}
_PARTS = regex(r"[/:@?&=#,+\s]+")
_HOSTED = frozenset({"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos", "ntfy", "ntfys"})
"""Schemes in which a host follows; others have a token there."""
_SHORTEST = 4
"""Characters of a part of a URL that may be a secret: shorter ones would mask ordinary words."""


def require() -> None:
    """Raise MissingPluginError where apprise is not installed."""
    if not is_installed("apprise"):
        raise missing_library("apprise", "'alerts'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with the settings, and the mend: they come from `alerts:`, not from `tracking:`."""
    for key in settings:
        if key not in KEYS:
            close = did_you_mean(key, KEYS)
            yield f"unknown key '{key}'.", f"did you mean '{close}'?" if close else f"keys: {', '.join(KEYS)}"
    urls = settings.get("urls")
    if not (isinstance(urls, list) and all(isinstance(one, str) and one.startswith(NAMED) for one in urls)):
        yield (
            "alerts are no tracker of their own.",
            "write `alerts: {urls: [...]}` at the top of pipeline.yaml, beside `tracking:`",
        )


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give nothing: no kernel writes for it."""
    return ()


class AlertsTracker:
    """The targets of one project's alerts."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> None:
        """Open nothing yet."""
        urls = settings.get("urls")
        self._names = tuple(map(str, urls)) if isinstance(urls, Sequence) else ()
        on = settings.get("on")
        self._occasions = (
            frozenset(map(str, on)) if isinstance(on, Sequence) else frozenset(DEFAULT_OCCASIONS)
        )
        self._rows = settings.get("rows") is not False
        self._root = root
        self._ledger = Ledger(spool / "alerts-sent")

    def __enter__(self) -> Self:
        """Open nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Give nothing."""
        return {}

    def send(self, run: RunLog) -> None:
        """Send the alert of a run that has ended, if there is one. Raises NotSentError, GivenUpError."""
        if run.finished is None:
            return
        waiting = [one for one in self._names if one not in self._ledger]
        alert = alert_of(run, self._occasions, rows=self._rows) if waiting else None
        if alert is None:
            return
        if time.time() - run.finished > STALE:
            whom = ", ".join(position(self._names, one) for one in waiting)
            raise GivenUpError(f"{whom}: the run ended more than {STALE / 3600:.0f} hours ago")
        troubles = []
        for name in waiting:
            try:
                notify(url_of(name, self._root, os.environ), alert)
            except (NoUrlError, NotSentError) as error:
                troubles.append(f"{position(self._names, name)}: {error}")
            else:
                self._ledger.note([name])
        if troubles:
            raise NotSentError("; ".join(troubles))


class NotSentError(RuntimeError):
    """A target did not take an alert; says which and why, and nothing of its URL."""


def position(names: Sequence[str], name: str) -> str:
    """Name a URL by its place in the list, since it may be a secret."""
    return f"URL {names.index(name) + 1} of {len(names)}"


def notify(url: str, alert: Alert) -> None:
    """Send an alert to one URL. Raises NotSentError."""
    heard = _Heard()
    log = logging.getLogger("apprise")
    propagates, log.propagate = log.propagate, False  # what it logs may hold the URL
    log.addHandler(heard)
    try:
        target = _target(url)
        taken = len(target) > 0 and target.notify(
            title=alert.title, body=alert.body, notify_type=_TYPES[alert.occasion], body_format="text"
        )
    except Exception as error:  # noqa: BLE001 - whatever a plug-in of apprise raises: it may hold the URL, too
        heard.lines.append(f"{type(error).__name__}: {error}")
        taken = False
    finally:
        log.removeHandler(heard)
        log.propagate = propagates
    if not taken:
        said = "; ".join(masked(line, url) for line in heard.lines[:2])
        raise NotSentError(f"{url.partition('://')[0]}: not sent{f' ({said})' if said else ''}")


def _target(url: str) -> Apprise:
    import apprise  # noqa: PLC0415 - the library, where it is needed

    asset: Any = apprise.AppriseAsset(
        app_id="nbpipeline", app_desc="nbpipeline", app_url="", async_mode=False
    )
    target = apprise.Apprise(asset=asset)
    target.add(url)
    return target


class _Heard(logging.Handler):
    """Hears why a target refused: apprise says only that it did."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(" ".join(record.getMessage().split()))


def masked(text: str, url: str) -> str:
    """Hide in a text all parts of a URL but its scheme, and its host where that cannot be a token."""
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0] if scheme in _HOSTED else ""
    parts = {one for part in _PARTS.split(rest) for one in (part, unquote(part))} - {host}
    for one in sorted((one for one in parts if len(one) >= _SHORTEST), key=len, reverse=True):
        text = text.replace(one, "[masked]")
    return text


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> AlertsTracker:
    """Make the tracker of a project; it opens nothing before it is asked."""
    return AlertsTracker(settings, root, project, spool)
