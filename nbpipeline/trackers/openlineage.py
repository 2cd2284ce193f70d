"""OpenLineage: events of a run and its stages, to a file of lines or to a collector such as Marquez.

An event is sent once: the file is looked at for it; what a collector took is noted beside the run; its ids
follow from the run, so that an event which arrives twice changes nothing.
Written against openlineage-python 1.54, https://openlineage.io/docs/client/python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbpipeline.model import Value
from nbpipeline.model.told import RunLog
from nbpipeline.plugins import missing_library
from nbpipeline.trackers.openlineage_events import Due, Lineage, run_id
from nbpipeline.trackers.sent import Ledger, LinesFile
from nbpipeline.trackers.settings import is_installed, wrong

if TYPE_CHECKING:
    from openlineage.client.transport.http import HttpTransport

JOINED_BY: frozenset[str] = frozenset()
"""No notebook speaks to it itself."""
PAGES = False
KEYS = ("file", "url", "endpoint", "namespace", "datasets", "api_key_env")
DEFAULT_FILE = "openlineage.jsonl"
API_KEY = "OPENLINEAGE_API_KEY"
_SECONDS = 5.0
"""A request may take."""
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST.value, HTTPStatus.UNPROCESSABLE_ENTITY.value})
"""Said of an event, not of the one who sends it: the next one may be taken."""


def require() -> None:
    """Raise MissingPluginError where OpenLineage's client is not installed."""
    if not is_installed("openlineage.client"):
        raise missing_library("openlineage", "tracker 'openlineage'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {openlineage: ...}`, and the mend."""
    return wrong(settings, KEYS, addresses=("url",))


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give nothing: no kernel writes for it."""
    return ()


class OpenLineageTracker:
    """A file or a collector, for the runs of one project."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> None:
        """Open nothing yet."""
        self._settings = {key: str(value) for key, value in settings.items()}
        self._lineage = Lineage(
            root, project, self._settings.get("namespace", "nbpipeline"), self._settings.get("datasets", "")
        )
        self._told: set[str] = set()
        self._ledger = Ledger(spool / "openlineage-sent")
        self._transport: HttpTransport | None = None
        self._files: dict[str, LinesFile] = {}
        self._path: Path | None = None
        if "file" in settings or "url" not in settings:
            self._path = root / self._settings.get("file", DEFAULT_FILE)

    def __enter__(self) -> Self:
        """Load what it takes to send."""
        import_module("openlineage.client.event_v2")
        import_module("openlineage.client.facet_v2")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Give nothing."""
        return {}

    def send(self, run: RunLog) -> None:
        """Send the events that are due. Raises what the client does; RuntimeError where some were refused."""
        due = self._lineage.due(run, self._told)
        if not due:
            return
        if self._path is not None:
            self._write(self._path, run_id(run, ""), due)
        if "url" in self._settings:
            self._post({key: one for key, one in due.items() if key not in self._ledger})
        self._told.update(due)

    def _write(self, path: Path, mark: str, due: Mapping[str, Due]) -> None:
        """Write the events; the id of the whole run stands in each of them."""
        from openlineage.client.serde import Serde  # noqa: PLC0415 - the library, where it is needed

        file = self._files.setdefault(mark, LinesFile(path, _key, mark))
        file.add({key: Serde.to_json(one()) for key, one in due.items()})

    def _post(self, due: Mapping[str, Due]) -> None:
        from requests import HTTPError  # noqa: PLC0415 - the client's own

        transport = self._connected()
        refused = []
        for key, one in due.items():
            try:
                transport.emit(one())
            except HTTPError as error:
                if error.response is None or error.response.status_code not in _REFUSED:
                    raise
                refused.append(f"{key}: {error}")
            else:
                self._ledger.note([key])
        if refused:
            raise RuntimeError(f"{len(refused)} events were refused, the first {refused[0]}")

    def _connected(self) -> HttpTransport:
        from openlineage.client.transport.http import HttpConfig, HttpTransport  # noqa: PLC0415 - as above

        if self._transport is None:
            given: dict[str, Any] = {"url": self._settings["url"], "timeout": _SECONDS, "retry": {"total": 0}}
            if "endpoint" in self._settings:
                given["endpoint"] = self._settings["endpoint"]
            key = os.environ.get(self._settings.get("api_key_env", API_KEY))
            if key:
                given["auth"] = {"type": "api_key", "apiKey": key}
            self._transport = HttpTransport(HttpConfig.from_dict(given))
        return self._transport


def _key(event: Any) -> str:
    return f"{event['run']['runId']}/{event['eventType']}"


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> OpenLineageTracker:
    """Make the tracker of a project; it opens nothing before it is asked."""
    return OpenLineageTracker(settings, root, project, spool)
