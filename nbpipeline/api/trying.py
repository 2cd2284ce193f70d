"""Tries stages alone, on their test inputs."""

from collections.abc import Sequence

from nbpipeline import upkeep
from nbpipeline.model import Pipeline
from nbpipeline.ports import Cancel, Emit
from nbpipeline.selection import select
from nbpipeline.worker import Workplace


def tried(
    pipeline: Pipeline,
    place: Workplace,
    selectors: Sequence[str],
    given: Sequence[str],
    emit: Emit,
    cancel: Cancel,
) -> "tuple[upkeep.trial.Trial, ...]":
    """Try the selected stages, or all that have a test; `given` are parameters that keep their values."""
    chosen = select(pipeline, selectors)
    found = [one for one in pipeline if one.id in chosen and (selectors or upkeep.trial.has_test(one.spec))]
    return tuple(
        upkeep.trial.try_stage(pipeline, one, place.backends(), fixed=given, emit=emit, cancel=cancel)
        for one in found
        if not cancel.level
    )
