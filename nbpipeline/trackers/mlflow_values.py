"""What is known of a stage in MLflow's words: metrics, tags, datasets."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.encoding import plain
from nbpipeline.location import is_url
from nbpipeline.model import EXECUTED, StoredOutput, Value
from nbpipeline.model.told import CellLog, RunLog, StageLog

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput, Metric

LONGEST_VALUE = 6000
"""Characters of a parameter's value; MLflow refuses more. A tag may be somewhat longer."""
_DIGEST = 36
"""Characters of a dataset's digest; MLflow refuses more."""
_MEGABYTE = 1e6


def text(value: Value) -> str:
    """Write a parameter's value as MLflow's own client does: a notebook may log the same one."""
    return str(value)[:LONGEST_VALUE]


def metric_name(stage: str) -> str:
    """Write an instance's name so that it may stand in a metric's: `fit[region=eu]` as `fit region:eu`."""
    told = stage.replace("[", " ").replace("=", ":").replace(",", " ").replace("]", "")
    return "".join(one if one.isalnum() or one in "_-. :/" else "_" for one in told)


def metrics(numbers: Mapping[str, Value], time: float) -> list[Metric]:
    """Give what is a number and finite; MLflow's databases hold no other."""
    from mlflow.entities import Metric  # noqa: PLC0415 - as in `connected`

    return [
        Metric(name, float(value), milliseconds(time), 0)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    ]


def cell_metrics(cells: Sequence[CellLog]) -> list[Metric]:
    """Give what each cell cost; its step is the cell's index."""
    from mlflow.entities import Metric  # noqa: PLC0415 - as in `connected`

    found = [
        Metric("nbpipeline.cell_seconds", one.seconds, milliseconds(one.finished), one.cell) for one in cells
    ]
    found += [
        Metric(
            "nbpipeline.cell_peak_memory_mb",
            one.peak_memory / _MEGABYTE,
            milliseconds(one.finished),
            one.cell,
        )
        for one in cells
        if one.peak_memory is not None
    ]
    return found


def end_metrics(one: StageLog, finished: float) -> list[Metric]:
    """Give the stage's own metrics, and what it cost as a whole."""
    cost: dict[str, Value] = {"nbpipeline.seconds": one.seconds, "nbpipeline.attempts": one.attempts}
    if one.peak_memory is not None:
        cost["nbpipeline.peak_memory_mb"] = one.peak_memory / _MEGABYTE
    return metrics({**one.metrics, **cost}, finished)


def tags(one: StageLog) -> dict[str, str]:
    """Say how the stage ended, why it ran, in which state; and of its metrics what is no finite number."""
    found = {"nbpipeline.status": one.status, "nbpipeline.action": one.action}
    if one.reasons:
        found["nbpipeline.reasons"] = json.dumps([dict(reason) for reason in one.reasons], ensure_ascii=False)
    if one.fingerprint is not None:
        found["nbpipeline.fingerprint"] = json.dumps(plain(one.fingerprint), ensure_ascii=False)
    if one.failure:
        found["nbpipeline.failure"] = f"{one.failure.get('kind')}: {one.failure.get('what')}"
        found["mlflow.note.content"] = f"**{one.failure.get('what')}**\n\n{one.failure.get('mend', '')}"
    odd = {name: plain(value) for name, value in one.metrics.items() if not _is_metric(value)}
    return {**found, "nbpipeline.other_metrics": json.dumps(odd)} if odd else found


def revision(run: RunLog) -> dict[str, str]:
    """Say what the code was under version control."""
    if run.commit is None:
        return {}
    return {
        "mlflow.source.git.commit": run.commit.id,
        "nbpipeline.git_dirty": str(run.commit.dirty).lower(),
    }


def _is_metric(value: Value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def inputs(one: StageLog, root: Path) -> Iterator[DatasetInput]:
    """Give the files that the stage read, with their digests."""
    for path, digest in (one.fingerprint.inputs if one.fingerprint else {}).items():
        if digest:
            yield _dataset(path, digest, root, "input")


def outputs(one: StageLog, root: Path) -> Iterator[DatasetInput]:
    """Give the files that the stage left, with their digests."""
    for output in one.outputs:
        if output.kind != EXECUTED:
            yield _dataset(output.path, output.digest, root, "output", output)


def _dataset(
    path: str, digest: str, root: Path, context: str, output: StoredOutput | None = None
) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag  # noqa: PLC0415 - as in `connected`

    url = path if is_url(path) else (root / path).as_uri()
    profile = json.dumps({"size": output.size, "digest": digest} if output else {"digest": digest})
    made = Dataset(path, digest[:_DIGEST], "local", json.dumps({"uri": url}), profile=profile)
    return DatasetInput(made, [InputTag("mlflow.data.context", context)])


def milliseconds(seconds: float) -> int:
    """Give a time as MLflow counts it."""
    return round(seconds * 1000)
