"""What is known of a stage as a run of W&B's, written as its client writes one offline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipeline.encoding import plain
from nbpipeline.location import is_url
from nbpipeline.model import EXECUTED, Value
from nbpipeline.model.told import CellLog, RunLog, StageLog
from nbpipeline.trackers.record import MEGABYTE, cost, failure, numbers, others, pictures, reasons

if TYPE_CHECKING:
    import wandb
    from wandb.sdk.wandb_run import Run

_GOOD = {"succeeded", "restored", "fresh"}
_LONGEST_NAME = 100
"""Characters of an artifact's name; W&B takes 128."""


def write_run(settings: Mapping[str, Value], folder: Path, run: RunLog, one: StageLog) -> None:
    """Write a run into `folder/wandb`: parameters, metrics, cost, plots, files, digests."""
    import wandb  # noqa: PLC0415 - it costs time: for the tracker's process alone

    own = wandb.Settings(
        mode="offline",
        resume="allow",
        console="off",
        silent=True,
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        **settings,
    )
    opened = wandb.init(settings=own, dir=str(folder), config=_config(run, one), reinit="create_new")
    opened.define_metric("nbpipeline/cell_*", step_metric="nbpipeline/cell")
    for cell in one.cells:
        opened.log(_of_cell(cell))
    shown = {
        f"plots/cell {index} ({n})": _image(folder, n, data)
        for n, (index, data) in enumerate(pictures(one), 1)
    }
    opened.log({**numbers(one), **cost(one), **shown})
    opened.summary.update(_words(one))
    _log_artifacts(opened, folder, run, one)
    opened.finish(exit_code=0 if one.status in _GOOD else 1)


def _config(run: RunLog, one: StageLog) -> dict[str, Any]:
    about: dict[str, Any] = {
        "run": run.run,
        "stage": one.stage,
        "action": one.action,
        "command": run.command,
        "reasons": json.loads(reasons(one)),
        "started": one.started,
        "finished": one.finished,
        "inputs": _inputs(one),
        "outputs": _outputs(one),
        "fingerprint": plain(one.fingerprint) if one.fingerprint is not None else None,
    }
    if run.commit is not None:
        about |= {"git_commit": run.commit.id, "git_dirty": run.commit.dirty}
    return {**{name: plain(value) for name, value in one.parameters.items()}, "nbpipeline": about}


def _inputs(one: StageLog) -> dict[str, str]:
    found = one.fingerprint.inputs if one.fingerprint else {}
    return {path: digest for path, digest in found.items() if digest}


def _outputs(one: StageLog) -> dict[str, str]:
    return {output.path: output.digest for output in one.outputs if output.kind != EXECUTED}


def _words(one: StageLog) -> dict[str, Any]:
    odd = others(one)
    found = {
        "nbpipeline/status": one.status or "stopped",
        "nbpipeline/failure": failure(one),
        "nbpipeline/other_metrics": json.dumps(odd, ensure_ascii=False) if odd else "",
    }
    return {name: text for name, text in found.items() if text}


def _of_cell(cell: CellLog) -> dict[str, float]:
    found = {"nbpipeline/cell": float(cell.cell), "nbpipeline/cell_seconds": cell.seconds}
    if cell.peak_memory is not None:
        found["nbpipeline/cell_peak_memory_mb"] = cell.peak_memory / MEGABYTE
    return found


def _image(folder: Path, number: int, picture: bytes) -> wandb.Image:
    import wandb  # noqa: PLC0415 - as above

    file = folder / f"plot-{number}.png"
    file.write_bytes(picture)
    return wandb.Image(str(file))


def _log_artifacts(opened: Run, folder: Path, run: RunLog, one: StageLog) -> None:
    """Log what the stage left in the run's folder, and the digests of what it read and wrote."""
    import wandb  # noqa: PLC0415 - as above

    if one.files:
        record = wandb.Artifact(_name(one.stage, "record"), "nbpipeline-record")
        for path in one.files.values():
            record.add_file(path)
        opened.log_artifact(record)
    held = {"inputs": _inputs(one), "outputs": _outputs(one)}
    for side, digests in held.items():
        if digests:
            opened.log_artifact(_data(folder, Path(run.root), _name(one.stage, side), side, digests))


def _data(folder: Path, root: Path, name: str, side: str, digests: Mapping[str, str]) -> wandb.Artifact:
    """Refer to files where they are; their digests make it another version when they change."""
    import wandb  # noqa: PLC0415 - as above

    made = wandb.Artifact(name, f"nbpipeline-{side}", metadata={"digests": dict(digests)})
    listed = folder / f"{side}.json"
    listed.write_text(json.dumps(dict(digests), indent=1, ensure_ascii=False), encoding="utf-8")
    made.add_file(str(listed), name="digests.json")
    for path in digests:
        if not is_url(path) and (root / path).is_file():
            made.add_reference((root / path).as_uri(), name=f"files/{path}", checksum=False)
    return made


def _name(stage: str, kind: str) -> str:
    """Give an artifact's name; W&B takes letters, digits, `-`, `_` and `.`."""
    safe = "".join(one if one.isascii() and (one.isalnum() or one in "-_.") else "_" for one in stage)
    return f"{safe[:_LONGEST_NAME]}-{kind}"
