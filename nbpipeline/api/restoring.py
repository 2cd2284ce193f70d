"""Finds what `restore` brings back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from nbpipeline import report, upkeep
from nbpipeline.api.planning import done_with
from nbpipeline.model import Pipeline, StageInstance, StageRecord
from nbpipeline.run.claim import by_hand
from nbpipeline.selection import select
from nbpipeline.worker import Workplace


def to_restore(
    pipeline: Pipeline, place: Workplace, what: str, run: str | None
) -> tuple[tuple[tuple[StageInstance, StageRecord], ...], AbstractContextManager[None]]:
    """Give the results of a stage, or of the one that makes a file, and what keeps runs away meanwhile.

    The last ones, or those that stood after `run`. Raises UsageError for what is not known.
    """
    root = Path(pipeline.project.root)
    paths = {path for one in pipeline for output in one.outputs for path in output.paths}
    chosen = None if what in paths else select(pipeline, [what])
    record_of: Callable[[str], StageRecord | None] = place.state.last_record
    if run is not None:
        record_of = report.comparison.records_after(place.state, place.store, root, run)
    found = upkeep.byhand.find_records(pipeline, what, chosen, record_of)
    return found, by_hand({instance.id for instance, _ in found}, pipeline, root, done_with(place))
