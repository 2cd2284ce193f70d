"""OpenTelemetry: a run is a trace, with spans for the run, its stages, their cells; to a collector or a file.

Ids follow from the run, so what arrives twice is the same span; what a collector took is noted beside it.
Written against OpenTelemetry 1.45, https://opentelemetry.io/docs/specs/otlp.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbpipeline.model import Value
from nbpipeline.model.told import RunLog
from nbpipeline.plugins import missing_library
from nbpipeline.trackers.opentelemetry_spans import span_id, spans_of_run, spans_of_stage, trace_id
from nbpipeline.trackers.sent import Ledger, LinesFile
from nbpipeline.trackers.settings import is_installed, wrong

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

JOINED_BY = frozenset({"opentelemetry"})
"""A notebook that imports it is told its stage's span in TRACEPARENT."""
PAGES = False
KEYS = ("endpoint", "file", "service")
DEFAULT_FILE = "opentelemetry.jsonl"
_SECONDS = 5
"""A request may take, with its repetitions."""
_MOST = 500
"""Spans in a request."""
_PATH = "/v1/traces"


def require() -> None:
    """Raise MissingPluginError where the SDK or its exporter is not installed."""
    if not (
        is_installed("opentelemetry.sdk.trace") and is_installed("opentelemetry.exporter.otlp.proto.http")
    ):
        raise missing_library("opentelemetry", "tracker 'opentelemetry'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {opentelemetry: ...}`, and the mend."""
    return wrong(settings, KEYS, addresses=("endpoint",))


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give nothing: a kernel is told its span, and no file."""
    return ()


class OpenTelemetryTracker:
    """A collector or a file, for the runs of one project."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> None:
        """Open nothing yet."""
        self._settings = {key: str(value) for key, value in settings.items()}
        self._service = self._settings.get("service", project)
        self._told: set[tuple[str, str]] = set()
        """Runs and stages of whom all is told; stage "" is the whole run."""
        self._ledger = Ledger(spool / "opentelemetry-sent")
        self._files: dict[str, LinesFile] = {}
        self._path: Path | None = None
        if "file" in settings or "endpoint" not in settings:
            self._path = root / self._settings.get("file", DEFAULT_FILE)

    def __enter__(self) -> Self:
        """Load what it takes to send."""
        import_module("opentelemetry.sdk.trace")
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Name the stage's span, for a notebook's own spans to be its children (W3C Trace Context)."""
        return {"TRACEPARENT": f"00-{trace_id(run):032x}-{span_id(run, stage):016x}-01"}

    def send(self, run: RunLog) -> None:
        """Send the spans that have ended. Raises RuntimeError where they are not taken, and OSError."""
        due = [one.stage for one in run.stages if one.finished is not None or run.finished is not None]
        due = [
            one
            for one in (*due, *([""] if run.finished is not None else []))
            if (run.run, one) not in self._told
        ]
        if not due:
            return
        spans = self._spans(run, frozenset(due))
        if self._path is not None:
            self._write(self._path, f"{trace_id(run):032x}", spans)
        if "endpoint" in self._settings:
            self._export({key: some for key, some in spans.items() if key not in self._ledger})
        self._told.update((run.run, one) for one in due)

    def _write(self, path: Path, mark: str, due: Mapping[str, Sequence[ReadableSpan]]) -> None:
        """Write the spans; the id of their trace stands in each line."""
        file = self._files.setdefault(mark, LinesFile(path, _first_span, mark))
        file.add({key: _line(spans) for key, spans in due.items()})

    def _spans(self, run: RunLog, due: frozenset[str]) -> dict[str, Sequence[ReadableSpan]]:
        """Give the spans of what has ended, by the id of the first."""
        found: dict[str, Sequence[ReadableSpan]] = {
            f"{span_id(run, one.stage):016x}": spans_of_stage(run, one, self._service)
            for one in run.stages
            if one.stage in due
        }
        if "" in due:
            found[f"{span_id(run, ''):016x}"] = spans_of_run(run, self._service)
        return found

    def _export(self, due: Mapping[str, Sequence[ReadableSpan]]) -> None:
        keys: list[str] = []
        spans: list[ReadableSpan] = []
        for number, (key, some) in enumerate(due.items(), start=1):
            keys.append(key)
            spans += some
            if len(spans) >= _MOST or number == len(due):
                self._post(spans)
                self._ledger.note(keys)
                keys, spans = [], []

    def _post(self, spans: Sequence[ReadableSpan]) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 - the library, where it is needed
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.trace.export import SpanExportResult  # noqa: PLC0415 - as above

        given = self._settings["endpoint"].rstrip("/")
        endpoint = given if given.endswith(_PATH) else f"{given}{_PATH}"
        said = _Said()
        exporter: Any = OTLPSpanExporter(endpoint=endpoint, timeout=_SECONDS)
        log = logging.getLogger("opentelemetry.exporter")
        log.addHandler(said)
        try:
            taken = exporter.export(spans) is SpanExportResult.SUCCESS
        finally:
            log.removeHandler(said)
            exporter.shutdown()
        if not taken:
            raise RuntimeError(f"{endpoint} did not take the spans{said.last}")


class _Said(logging.Handler):
    """Hears why an export failed: the exporter gives no reason."""

    last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the last line."""
        self.last = f": {record.getMessage()}"


def _line(spans: Sequence[ReadableSpan]) -> str:
    """Write spans as a line of OTLP/JSON, in which ids are hexadecimal and enums are numbers."""
    from google.protobuf.json_format import MessageToDict  # noqa: PLC0415 - as above
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - as above

    return json.dumps(_hexadecimal(MessageToDict(encode_spans(spans), use_integers_for_enums=True)))


def _hexadecimal(data: Any) -> Any:
    if isinstance(data, list):
        return [_hexadecimal(one) for one in data]
    if not isinstance(data, dict):
        return data
    ids = {"traceId", "spanId", "parentSpanId"}
    return {
        key: base64.b64decode(one).hex() if key in ids else _hexadecimal(one) for key, one in data.items()
    }


def _first_span(line: Any) -> str:
    return str(line["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"])


def open_tracker(
    settings: Mapping[str, Value], root: Path, project: str, spool: Path
) -> OpenTelemetryTracker:
    """Make the tracker of a project; it opens nothing before it is asked."""
    return OpenTelemetryTracker(settings, root, project, spool)
