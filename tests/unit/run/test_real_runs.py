"""The scheduler with real notebooks and kernels, through the project's API."""

from pathlib import Path

import pytest
from builders import code, header, write_notebook
from pipelines import read_events

from nbpipeline import Project
from nbpipeline.kernels import registry
from nbpipeline.run import CancelSwitch, exit_code


def stage(root: Path, name: str, body: str, *, reads: str = "", writes: str = "", head: str = "") -> Path:
    """A stage that reads and writes one file of data/."""
    cells = [header(f"stage: {name}\n{head}")]
    cells += [code(f'{reads} = "../data/{reads}.txt"', "inputs")] if reads else []
    cells += [code(f'{writes} = "../data/{writes}.txt"', "outputs")] if writes else []
    return write_notebook(root / "notebooks" / f"{name}.ipynb", *cells, code(body))


@pytest.fixture
def project(root: Path) -> Path:
    (root / "pipeline.yaml").write_text("name: small\n")
    stage(root, "left", 'open(l, "w").write("left")', writes="l")
    stage(root, "right", 'open(r, "w").write("right")', writes="r")
    stage(root, "after_left", 'open(a, "w").write(open(l).read())', reads="l", writes="a")
    return root


def statuses(result) -> dict[str, str]:
    return {one.instance: str(one.status) for one in result.results}


def test_a_real_run_and_its_events(project):
    heard = []
    result = Project(project).run(jobs=2, on_event=heard.append)
    assert statuses(result) == dict.fromkeys(("left", "right", "after_left"), "succeeded")
    assert (project / "data" / "a.txt").read_text() == "left"
    assert list(read_events(Path(result.folder) / "events.jsonl")) == heard
    assert [one.seq for one in heard] == list(range(1, len(heard) + 1))
    for name in statuses(result):
        own = [one for one in heard if one.stage == name]
        assert [own[0].kind, own[1].kind, own[-1].kind] == [
            "stage_started",
            "attempt_started",
            "stage_finished",
        ]
        cells = [one.data for one in own if one.kind == "cell_finished"]
        assert [one["n"] for one in cells] == list(range(1, len(cells) + 1))
        assert {one["of"] for one in cells} == {len(cells)}
    assert statuses(Project(project).run()) == dict.fromkeys(("left", "right", "after_left"), "fresh")


def test_a_change_that_writes_the_same_runs_no_more(project):
    Project(project).run()
    stage(project, "left", 'text = "left"\nopen(l, "w").write(text)', writes="l")
    result = Project(project).run()
    assert statuses(result) == {"left": "succeeded", "right": "fresh", "after_left": "fresh"}
    assert exit_code(result) == 0


def test_cancelling_brings_back_what_stood(project):
    Project(project).run()
    stage(project, "left", 'open(l, "w").write("half")\nimport time\nwhile True: time.sleep(0.1)', writes="l")
    switch = CancelSwitch()

    def hear(event):
        if event.kind == "cell_started" and event.data["n"] == event.data["of"]:
            switch.raise_to(1)

    result = Project(project).run(on_event=hear, cancel=switch)
    assert exit_code(result) == 130
    assert statuses(result) == {"left": "cancelled", "right": "fresh", "after_left": "cancelled"}
    assert (project / "data" / "l.txt").read_text() == "left"


def test_a_failed_stages_kernel_is_kept(project):
    stage(project, "left", "kept = 41\nraise ValueError(kept)", writes="l")
    result = Project(project).run("left", on_failure="keep")
    assert exit_code(result) == 1
    (kept,) = registry.find_by_name(project, "left")
    try:
        assert kept.run == result.run
        assert registry.is_alive(kept)
        (left,) = result.results
        assert "the kernel is kept: `nbpipeline debug left`" in left.notices
    finally:
        registry.end(project, kept)
    assert registry.find(project, "left") is None
