"""Inputs that other stages made elsewhere: brought from the store to where a stage reads them."""

import time
from collections.abc import Mapping
from pathlib import Path

from nbpipeline.errors import Complaint, ExitCode, MissingInputError
from nbpipeline.location import is_url
from nbpipeline.model import Pipeline, StageInstance, StageRecord, shell_name
from nbpipeline.ports import Digests
from nbpipeline.stage.backends import Backends
from nbpipeline.upkeep.byhand import bring_back, narrowed
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanting:
    """An input that is not here, or not as its maker's result."""

    maker: StageInstance
    path: str
    record: StageRecord


def wanting(
    pipeline: Pipeline, instance: StageInstance, results: Mapping[str, StageRecord], digests: Digests
) -> tuple[Wanting, ...]:
    """Find the inputs of an instance that are to be brought.

    Raises MissingInputError for one that is not here and that no result on record gives.
    """
    root = Path(pipeline.project.root)
    found: list[Wanting] = []
    missing: list[Complaint] = []
    for edge in pipeline.upstream(instance.id):
        if edge.kind != "data" or is_url(edge.path):
            continue
        record = results.get(edge.upstream)
        output = next((one for one in record.outputs if one.path == edge.path), None) if record else None
        if record is None or output is None:
            if not (root / edge.path).exists():
                missing.append(_missing(instance, edge.path, edge.upstream))
        elif digests.of(root / edge.path) != output.digest:
            found.append(Wanting(maker=pipeline.instances[edge.upstream], path=edge.path, record=record))
    if missing:
        raise MissingInputError(missing)
    return tuple(found)


def bring(wanted: tuple[Wanting, ...], backends: Backends, root: Path) -> tuple[str, ...]:
    """Bring what is wanted from the store; gives the paths. Raises UsageError where the store lacks it."""
    parts = [narrowed(one.maker, one.path, one.record) for one in wanted]
    return bring_back(parts, backends, root, time.time()).paths


def _missing(instance: StageInstance, path: str, maker: str) -> Complaint:
    name = shell_name(maker)
    return Complaint(
        where=instance.spec.where,
        what=f"input {path} of '{instance.id}' is not here, and the store has no result of '{maker}' "
        "for its present code, parameters and inputs.",
        mend=f"run that first: nbpipeline run-stage {name}; what it reads has to be here too, "
        "and the store has to be shared",
        exit_code=ExitCode.PIPELINE,
    )
