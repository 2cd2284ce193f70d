"""What is known of a stage as TensorBoard's events."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nbpipeline.model import Value
from nbpipeline.model.told import CellLog, RunLog, StageLog
from nbpipeline.trackers.record import (
    MEGABYTE,
    cost,
    failure,
    numbers,
    others,
    pictures,
    reasons,
    size_of,
)

if TYPE_CHECKING:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary

FORMAT = "brain.Event:2"
"""First in every event file."""
LONGEST_TEXT = 10_000
"""Characters of one text or parameter."""


def of_stage(one: StageLog, ended: float) -> Iterator[Event]:
    """Tell of one run of a stage: parameters beside metrics, what each cell cost, plots, words."""
    own = numbers(one)
    yield _event(ended, file_version=FORMAT)
    parameters = {name: _parameter(value) for name, value in one.parameters.items()}
    from tensorboardX.summary import hparams  # noqa: PLC0415 - it costs time: for the tracker's process alone

    for part in hparams(parameters, dict.fromkeys(own)):
        yield _event(one.started or ended, summary=_ended_as(part, one.status))
    yield from _scalars({**own, **cost(one)}, ended, 0)
    for cell in one.cells:
        yield from _scalars(_of_cell(cell), cell.finished, cell.cell)
    for number, (index, picture) in enumerate(pictures(one), start=1):
        yield _event(ended, summary=_image(f"plots/cell {index} ({number})", picture))
    yield from _texts(_words(one), ended)


def over_runs(one: StageLog, ended: float, number: int) -> Iterator[Event]:
    """Tell of a stage's numbers in the run of that number."""
    yield _event(ended, file_version=FORMAT)
    yield from _scalars({**numbers(one), **cost(one)}, ended, number)


def of_run(run: RunLog, ended: float) -> Iterator[Event]:
    """Tell of a run as a whole."""
    counts = {f"nbpipeline/{status}": float(count) for status, count in run.counts.items()}
    yield _event(ended, file_version=FORMAT)
    yield from _scalars(
        {"nbpipeline/seconds": run.seconds, "nbpipeline/fresh": float(run.fresh), **counts}, ended, 0
    )
    words = {"status": run.status, "command": run.command}
    if run.commit is not None:
        words["commit"] = run.commit.id + (" and files that differ from it" if run.commit.dirty else "")
    yield from _texts(words, ended)


def _of_cell(cell: CellLog) -> dict[str, float]:
    found = {"nbpipeline/cell_seconds": cell.seconds}
    if cell.peak_memory is not None:
        found["nbpipeline/cell_peak_memory_mb"] = cell.peak_memory / MEGABYTE
    return found


def _words(one: StageLog) -> dict[str, str]:
    odd = others(one)
    return {
        "status": one.status or "stopped",
        "reasons": reasons(one) if one.reasons else "",
        "failure": failure(one),
        "mend": str(one.failure.get("mend", "")) if one.failure else "",
        "other_metrics": json.dumps(odd, ensure_ascii=False) if odd else "",
    }


def _parameter(value: Value) -> bool | float | str:
    return value if isinstance(value, bool | int | float) else str(value)[:LONGEST_TEXT]


def _scalars(values: Mapping[str, float], time: float, step: int) -> Iterator[Event]:
    for name, value in values.items():
        yield _event(time, step=step, summary=_summary(tag=name, simple_value=value))


def _texts(texts: Mapping[str, str], time: float) -> Iterator[Event]:
    from tensorboardX.summary import text as written  # noqa: PLC0415 - as above

    for name, text in texts.items():
        if text:
            yield _event(time, summary=written(f"nbpipeline/{name}", text[:LONGEST_TEXT]))


def _event(time: float, **given: Any) -> Event:
    from tensorboardX.proto.event_pb2 import Event  # noqa: PLC0415 - as above

    return Event(wall_time=time, **given)


def _summary(**value: Any) -> Summary:
    from tensorboardX.proto.summary_pb2 import Summary  # noqa: PLC0415 - as above

    return Summary(value=[Summary.Value(**value)])


def _image(tag: str, picture: bytes) -> Summary:
    width, height = size_of(picture)
    image = {"height": height, "width": width, "colorspace": 4, "encoded_image_string": picture}
    return _summary(tag=tag, image=image)


def _ended_as(part: Summary, status: str) -> Summary:
    """Mend the end of a session, which tensorboardX always calls a success."""
    from tensorboardX.proto.api_pb2 import Status  # noqa: PLC0415 - as above
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData, SessionEndInfo  # noqa: PLC0415 - as above

    value = part.value[0]
    if value.tag == "_hparams_/session_end_info" and status not in {"succeeded", "restored", "fresh"}:
        end = SessionEndInfo(status=Status.Value("STATUS_FAILURE"))
        value.metadata.plugin_data.content = HParamsPluginData(session_end_info=end).SerializeToString()
    return part
