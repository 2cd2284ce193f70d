"""What became of a run, in words."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.cli.excerpt import traceback_lines
from nbpipeline.cli.frame import say
from nbpipeline.cli.main import close_output, last_words
from nbpipeline.cli.progress import Guarded
from nbpipeline.cli.wording import counted
from nbpipeline.errors import NbpipelineError, StorageError
from nbpipeline.location import is_url
from nbpipeline.model import Failure, Pipeline, RunResult, StageResult, Status, shell_name, slug_of
from nbpipeline.report.wording import duration
from nbpipeline.run.summary import exit_code
from nbpipeline.stage.check_files import PAGE as CHECKS_PAGE
from nbpipeline.stage.check_files import warnings_of

if TYPE_CHECKING:
    from nbpipeline.api import Project

_WORDS = {
    Status.SUCCEEDED: "ran",
    Status.RESTORED: "restored",
    Status.FRESH: "fresh",
    Status.FAILED: "failed",
    Status.CHECK_FAILED: "failed a check",
    Status.BLOCKED: "blocked",
    Status.CANCELLED: "cancelled",
}
_LISTED = 6
"""Outputs that are named; the rest is counted."""


def conclude(result: RunResult, pipeline: Pipeline, events: Guarded, *, as_json: bool) -> int:
    """Tell what became of a run; gives its exit code, or, where it went well, that of a disk that refuses.

    As JSON, its `events` told all there is.
    """
    code = exit_code(result)
    refused = events.refused if as_json else _refused(summary_lines(result, pipeline))
    if refused is not None:
        told = StorageError.of(
            f"what became of the run cannot be written: {refused.strerror or refused}.",
            known=f"run {result.run} has ended, and is on record",
            mend=f"make room, or let it write elsewhere; see the run with nbpipeline show {result.run}",
        )
        last_words(str(told))
        return int(code or told.exit_code)
    return int(code)


def _refused(lines: Iterator[str]) -> OSError | None:
    """Say them; gives the error where their place takes nothing."""
    try:
        say(lines)
    except OSError as error:
        close_output()
        return error
    return None


def tell_untold(result: RunResult) -> None:
    """Say which trackers were not told of the run, and what of it a remote store is yet to get."""
    for line in (*result.untold, *result.unshared):
        last_words(f"note: {line}")


def tell_report(project: "Project", run: str, target: Path) -> None:
    """Write the run's page, and say where it is; trouble with it is a note, since the run is what it is."""
    try:
        last_words(f"report: {project.report(run, target)}")
    except NbpipelineError as error:
        last_words(f"note: {error}")


def summary_lines(result: RunResult, pipeline: Pipeline) -> Iterator[str]:
    """Say what ran, was restored, was fresh and failed, the metrics, and where things are."""
    counts = Counter(one.status for one in result.results)
    if not result.interrupted and set(counts) <= {Status.FRESH}:
        yield f"all fresh: {counted(len(result.results), 'stage')}, nothing to run"
        return
    for one in result.results:
        if one.failure and one.status in {Status.FAILED, Status.CHECK_FAILED}:
            yield from failure_lines(one, one.failure, Path(result.folder) / slug_of(one.instance))
    warned = [*_warning_lines(result)]
    yield from warned
    yield from _metric_lines(result)
    yield from _output_lines(result, pipeline)
    told = ", ".join(f"{counts[status]} {word}" for status, word in _WORDS.items() if counts[status])
    told += f", {counted(len(warned), 'warning')}" if warned else ""
    ended = "interrupted" if result.interrupted else told
    yield f"{ended}{f' ({told})' if result.interrupted and told else ''} in {duration(result.seconds)}"
    yield f"run {result.run}: nbpipeline show {result.run}"


def _warning_lines(result: RunResult) -> Iterator[str]:
    """Say which checks with `severity: warn` did not hold: the lines that told of it are far above."""
    for one in result.results:
        if one.attempts:
            for text in warnings_of(Path(result.folder) / slug_of(one.instance)):
                yield f"{one.instance}: {text}"


def failure_lines(result: StageResult, failure: Failure, folder: Path) -> Iterator[str]:
    """Tell a failure in three parts, with the traceback in short and where the executed notebook is."""
    where = f"{failure.where}: " if failure.where else ""
    yield ""
    yield f"{result.instance} failed"
    yield f"{where}{failure.what}"
    yield from (f"  {line}" for line in failure.known.splitlines())
    for line in traceback_lines(failure.traceback):
        yield f"  | {line}"
    executed = sorted(folder.glob("attempt-*.ipynb"), key=lambda one: int(one.stem.rpartition("-")[2]))
    if executed:
        yield f"  executed notebook: {_shown(executed[-1])}"
    if failure.kind == "check" and (folder / CHECKS_PAGE).exists():
        yield f"  all checks, with the rows: {_shown(folder / CHECKS_PAGE)}"
    yield f"  mend: {failure.mend or f'nbpipeline debug {shell_name(result.instance)}'}"
    if failure.kind in {"cell", "exit"} and "nbpipeline debug" not in failure.mend:
        yield f"        nbpipeline debug {shell_name(result.instance)}"


def _metric_lines(run: RunResult) -> Iterator[str]:
    measured = [
        (one.instance, one.record.metrics)
        for one in run.results
        if one.status is Status.SUCCEEDED and one.record and one.record.metrics
    ]
    if measured:
        yield ""
    for name, metrics in measured:
        values = ", ".join(f"{key} = {_number(value)}" for key, value in metrics.items())
        yield f"{name}: {values}"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _output_lines(run: RunResult, pipeline: Pipeline) -> Iterator[str]:
    """Name what was written by stages that nothing reads on: what one ran it for."""
    inner = {edge.upstream for edge in pipeline.edges if edge.kind == "data"}
    made = {Status.SUCCEEDED, Status.RESTORED}
    root = Path(pipeline.project.root)
    new = {one.instance for one in run.results if one.status in made}
    paths = [
        _shown(root / path) if not is_url(path) else path
        for one in pipeline
        if one.id in new - inner
        for output in one.outputs
        for path in output.paths
    ]
    if paths:
        more = f" and {len(paths) - _LISTED} more" if len(paths) > _LISTED else ""
        yield f"results: {', '.join(paths[:_LISTED])}{more}"


def _shown(path: Path) -> str:
    """Write a path from where the user stands, where that is shorter."""
    near = os.path.relpath(path)
    return str(path) if near.startswith(f"..{os.sep}..") else near
