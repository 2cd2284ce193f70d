"""Prometheus: a file for node_exporter's textfile collector, with the last run and the last of each stage.

Written anew at a run's end, as a whole. Needs prometheus-client 0.21 or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from filelock import FileLock

from nbpipeline.model import Value
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.plugins import missing_library
from nbpipeline.replacing import replace_text
from nbpipeline.trackers.locks import lock_of
from nbpipeline.trackers.settings import is_installed, wrong

if TYPE_CHECKING:
    from prometheus_client.registry import CollectorRegistry

JOINED_BY: frozenset[str] = frozenset()
"""No notebook speaks to it itself."""
PAGES = False
KEYS = ("file",)
DEFAULT_FILE = "nbpipeline.prom"
STARTED = "nbpipeline_run_started_timestamp_seconds"
GOOD = "nbpipeline_run_last_success_timestamp_seconds"
_PATIENCE = 10.0
"""Seconds to wait for another process that writes the same file."""
_RUN_STATUSES = ("succeeded", "failed", "interrupted")
_STAGE_STATUSES = ("succeeded", "restored", "fresh", "failed", "check_failed", "blocked", "cancelled")
_HELP: Mapping[str, str] = {
    STARTED: "Unix time at which the last run began.",
    "nbpipeline_run_finished_timestamp_seconds": "Unix time at which the last run ended.",
    GOOD: "Unix time at which the last run that succeeded ended.",
    "nbpipeline_run_duration_seconds": "How long the last run took.",
    "nbpipeline_run_status": "1 for the way in which the last run ended, 0 for the others.",
    "nbpipeline_run_stages": "How many instances ended in which way in the last run.",
    "nbpipeline_stage_finished_timestamp_seconds": "Unix time at which the stage last ended.",
    "nbpipeline_stage_status": "1 for the way in which the stage last ended, 0 for the others.",
    "nbpipeline_stage_duration_seconds": "How long the stage last took.",
    "nbpipeline_stage_attempts": "How many attempts the stage last took.",
    "nbpipeline_stage_peak_memory_bytes": "What the stage's kernel last held at its highest.",
    "nbpipeline_stage_checks": "Last checks on the stage's files, by result: passed, failed, warned.",
    "nbpipeline_stage_metric": "A number of the stage's metrics cells.",
}

Sample = tuple[str, tuple[tuple[str, str], ...], float]
"""Name, labels, value."""


def require() -> None:
    """Raise MissingPluginError where the client is not installed."""
    if not is_installed("prometheus_client"):
        raise missing_library("prometheus_client", "tracker 'prometheus'")


def complaints(settings: Mapping[str, Value]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with `tracking: {prometheus: ...}`, and the mend."""
    yield from wrong(settings, KEYS)
    file = settings.get("file", DEFAULT_FILE)
    if isinstance(file, str) and file.strip() and not file.endswith(".prom"):
        yield f"file: {file!r} does not end in .prom.", "name it so: node_exporter reads no others"


def files(settings: Mapping[str, Value], root: Path) -> tuple[str, ...]:
    """Give nothing: no kernel writes for it."""
    return ()


class PrometheusTracker:
    """One file, for the runs of one project."""

    def __init__(self, settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> None:
        """Open nothing; nothing is kept in `spool`."""
        self._file = root / str(settings.get("file", DEFAULT_FILE))
        self._project = project
        self._told = ""

    def __enter__(self) -> Self:
        """Load what it takes to send."""
        import_module("prometheus_client.parser")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open."""

    def environment(self, run: RunLog, stage: str) -> Mapping[str, str]:
        """Give nothing."""
        return {}

    def send(self, run: RunLog) -> None:
        """Write the file when the run has ended, unless it tells of a later one. Raises OSError."""
        if run.finished is None or self._told == run.run:
            return
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock_of(self._file), timeout=_PATIENCE):
            before = self._before()
            newest = max((value for name, _, value in before if name == STARTED), default=run.started)
            if newest <= run.started:
                replace_text(self._file, _text(self._samples(run, before)))
        self._told = run.run

    def _before(self) -> list[Sample]:
        """Read what the file says of this pipeline; nothing where there is none, or it is damaged."""
        from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - the library, where it is needed

        try:
            families = [*text_string_to_metric_families(self._file.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, KeyError, IndexError):
            return []
        found = (
            (one.name, tuple(one.labels.items()), one.value) for family in families for one in family.samples
        )
        return [one for one in found if ("pipeline", self._project) in one[1] and one[0] in _HELP]

    def _samples(self, run: RunLog, before: Iterable[Sample]) -> Iterator[Sample]:
        pipeline = ("pipeline", self._project)
        told = {one.stage for one in run.stages}
        for name, labels, value in _of_run(run):
            yield name, (pipeline, *labels), value
        for one in run.stages:
            for name, labels, value in _of_stage(run, one):
                yield name, (pipeline, ("stage", one.stage), *labels), value
        for name, labels, value in before:
            earlier = dict(labels).get("stage", "")
            if (earlier and earlier not in told) or (name == GOOD and run.status != "succeeded"):
                yield name, labels, value


def _of_run(run: RunLog) -> Iterator[Sample]:
    finished = run.finished or run.started
    yield STARTED, (), run.started
    yield "nbpipeline_run_finished_timestamp_seconds", (), finished
    if run.status == "succeeded":
        yield GOOD, (), finished
    yield "nbpipeline_run_duration_seconds", (), run.seconds or finished - run.started
    yield from _one_of("nbpipeline_run_status", run.status, _RUN_STATUSES)
    for status in _STAGE_STATUSES:
        count = run.counts.get(status, 0)
        yield "nbpipeline_run_stages", (("status", status),), count


def _of_stage(run: RunLog, one: StageLog) -> Iterator[Sample]:
    yield "nbpipeline_stage_finished_timestamp_seconds", (), one.finished or run.finished or run.started
    yield from _one_of("nbpipeline_stage_status", one.status or "cancelled", _STAGE_STATUSES)
    yield "nbpipeline_stage_duration_seconds", (), one.seconds
    yield "nbpipeline_stage_attempts", (), one.attempts
    if one.peak_memory is not None:
        yield "nbpipeline_stage_peak_memory_bytes", (), one.peak_memory
    results = ["passed" if check.passed else f"{check.severity}ed" for check in one.checks]
    for result in ("passed", "failed", "warned"):
        yield "nbpipeline_stage_checks", (("result", result),), results.count(result)
    for name, value in one.metrics.items():
        if isinstance(value, int | float):
            yield "nbpipeline_stage_metric", (("metric", name),), value


def _one_of(name: str, status: str, statuses: Iterable[str]) -> Iterator[Sample]:
    for one in statuses:
        yield name, (("status", one),), float(one == status)


def _text(samples: Iterable[Sample]) -> str:
    from prometheus_client import generate_latest  # noqa: PLC0415 - as above

    return generate_latest(_registry(samples)).decode()


def _registry(samples: Iterable[Sample]) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - as above

    registry = CollectorRegistry()
    gauges: dict[str, Any] = {}
    for name, labels, value in samples:
        if name not in gauges:
            gauges[name] = Gauge(name, _HELP[name], [label for label, _ in labels], registry=registry)
        gauges[name].labels(**dict(labels)).set(value)
    return registry


def open_tracker(settings: Mapping[str, Value], root: Path, project: str, spool: Path) -> PrometheusTracker:
    """Make the tracker of a project; it opens nothing before it is asked."""
    return PrometheusTracker(settings, root, project, spool)
