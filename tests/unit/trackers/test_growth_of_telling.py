"""Telling of a run grows with its stages and no faster: counted, never timed."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import told
from counting import calls_of

from nbpipeline.model import StageResult, Status
from nbpipeline.run.folder import open_run
from nbpipeline.state.sqlite import open_state
from nbpipeline.tracking.log import RunReader

SIZES = (40, 120, 200)
EVENT = {"version": 1, "time": 1.0, "kind": "stage_finished", "data": {"status": "succeeded"}}


def assert_linear(counts) -> None:
    first, second, third = counts
    assert third - second < 1.2 * (second - first), counts


def telling(name: str, folder: Path, size: int):
    """Tell a tracker of a run each time that one more of its stages has ended, and of its end."""
    folder.mkdir()
    module = import_module(f"nbpipeline.trackers.{name}")
    run = told.run(*(told.stage(f"s{number}") for number in range(size)), root=str(folder))
    tracker = module.open_tracker({}, folder, "flights", folder / "spool")

    def work():
        for ended in range(1, size + 1):
            tracker.send(replace(run, stages=run.stages[:ended], finished=None, status=""))
        tracker.send(run)

    return tracker, work


@pytest.mark.parametrize("name", ["openlineage", "opentelemetry", "tensorboard"])
def test_each_stage_is_told_once(name, tmp_path):
    pytest.importorskip({"tensorboard": "tensorboardX"}.get(name, name))
    warm, work = telling(name, tmp_path / "warm", 2)
    with warm:
        work()  # what is imported once
    counts = []
    for size in SIZES:
        tracker, work = telling(name, tmp_path / str(size), size)
        with tracker:
            counts.append(calls_of(work, ("call", "c_call")))
    assert_linear(counts)


def test_the_history_is_read_on(tmp_path):
    counts = []
    for size in SIZES:
        root = tmp_path / str(size)
        root.mkdir()
        folder = open_run(root, {"version": 1, "stages": []}, now=1000.0)
        with open_state(root / ".nbpipeline") as state:
            reader = RunReader(root, folder, "flights", state)

            def work(folder=folder, state=state, reader=reader, size=size):
                for number in range(size):
                    result = StageResult(instance=f"s{number}", status=Status.SUCCEEDED)
                    state.add_result(folder.run, result, finished=1.0)
                    with folder.events.open("a") as file:
                        file.write(json.dumps({**EVENT, "stage": f"s{number}"}) + "\n")
                    reader.read(1000.0)

            counts.append(calls_of(work, ("call", "c_call")))
    assert_linear(counts)
