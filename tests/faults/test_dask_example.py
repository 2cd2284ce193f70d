"""The example on a Dask cluster that shares nothing but a bucket: the bytes of a local run, though workers die."""

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from buckets import Bucket
from builders import command
from dask_machines import Machines, copied

import nbpipeline
from nbpipeline.model import Event, RunResult, Status

REPOSITORY = Path(__file__).parents[2]
SAME = tuple((REPOSITORY / "docs/reference/example-deterministic.txt").read_text().split())
VICTIMS = ("features", "train")

pytestmark = [pytest.mark.nightly, pytest.mark.children, pytest.mark.timeout(1200)]


def clone(target: Path) -> Path:
    """The example's files, without anything that a run leaves."""
    for name in ("notebooks", "expectations", "data/source", "pipeline.yaml"):
        source = REPOSITORY / name
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)
    return target


class Killing:
    """Kills the worker that has a stage when the stage's first cell has begun there, each stage's once.

    In the place of the first that is killed another one starts, which has to be looked at like the others.
    """

    def __init__(self, machines: Machines, stages: tuple[str, ...]) -> None:
        self.events: list[Event] = []
        self.killed: list[str] = []
        self._machines = machines
        self._left = list(stages)
        self._turn = threading.Lock()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.kind == "cell_started" and event.stage in self._left:
            with self._turn:
                self._left.remove(event.stage)
                name = self._holder(event.stage)
                self._machines.kill(name)
                self.killed.append(name)
                if len(self.killed) == 1:
                    self._machines.start("late")

    def _holder(self, stage: str) -> str:
        folder = self._machines.folder
        (found,) = [
            name for name in self._machines.workers if list((folder / name).glob(f"**/runs/*/{stage}"))
        ]
        return found


def run(root: Path, machines: Machines, hear: Any) -> RunResult:
    return nbpipeline.Project(root).run(executor="dask", address=machines.address, on_event=hear, track=False)


def digests(root: Path) -> dict[str, str]:
    """What is on record of the last success of each stage that is deterministic."""
    records = nbpipeline.Project(root).plan().steps
    return {
        one.path: one.digest
        for step in records
        if step.record
        for one in step.record.outputs
        if one.path in SAME
    }


def test_the_example_ends_with_the_bytes_of_a_local_run_though_two_workers_die(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    plain = clone(tmp_path / "plain")
    store = f'store: {{path: "{bucket.url}/example", endpoint: "{bucket.endpoint}"}}'
    there = copied(plain, tmp_path / "there", "")
    file = there / "pipeline.yaml"
    text = file.read_text()
    (line,) = [one for one in text.splitlines() if one.startswith("store:")]
    file.write_text(text.replace(line, store))
    machines.start("one", "two", "three")

    killing = Killing(machines, VICTIMS)
    result = run(there, machines, killing)
    assert {one.status for one in result.results} == {Status.SUCCEEDED}, [
        one.failure for one in result.results
    ]
    assert len(killing.killed) == len(VICTIMS)
    begun = Counter(one.stage for one in killing.events if one.kind == "attempt_started")
    assert [begun[name] for name in VICTIMS] == [2, 2]
    finished = Counter(one.stage for one in killing.events if one.kind == "stage_finished")
    assert set(finished.values()) == {1}

    done = command("run", "--no-track", cwd=plain, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {name: (plain / name).read_bytes() for name in SAME}
    assert [name for name in SAME if (there / name).read_bytes() != expected[name]] == []
    assert digests(there) == digests(plain)
    assert set(digests(there)) == set(SAME)
    assert {str(one.action) for one in nbpipeline.Project(there).plan().steps} == {"skip"}
