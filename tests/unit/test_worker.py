"""The far side: a job crosses to another process as bytes, and its result comes back."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

import nbpipeline
from nbpipeline.model import Action, Event, Job, StageResult, Status
from nbpipeline.reading.project import read_project
from nbpipeline.worker import Workplace, run_job


def far(job: bytes, events: str) -> StageResult:
    """What an executor runs elsewhere: it gets bytes, and has the project's folder in reach."""

    def emit(event: Event) -> None:
        with Path(events).open("a", encoding="utf-8") as file:
            file.write(f"{event.kind}\n")

    return run_job(pickle.loads(job), emit)  # noqa: S301 - our own bytes


def test_a_job_runs_in_another_process_and_is_fresh_here(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "params: {factor: 3}\n", "data/in.csv": "a\n1\n"})
    write_notebook(
        root / "notebooks" / "train.ipynb",
        header("matrix: {region: [eu, us]}\nexpect: {table: [{rows: {min: 1}}]}\nenv: [TZ]"),
        code("factor: int = 1\nregion: str = 'eu'", "parameters"),
        code('from pathlib import Path\ntable = Path("../data") / "in.csv"', "inputs"),
        code('model = f"../models/{region}.txt"', "outputs"),
        code("import os\nPath(model).write_text(f'{region} {factor} {os.environ[\"FROM_TRACKER\"]}')"),
    )
    project = nbpipeline.Project(root)
    step = project.plan("train[region=us]").steps[0]
    job = Job(
        root=project.root,
        run="20260101-000000-0000",
        folder=str(root / ".nbpipeline" / "runs" / "far" / step.instance.slug),
        instance=step.instance,
        fingerprint=step.fingerprint,
        environment={"FROM_TRACKER": "run-7"},
    )
    told = root / "events.txt"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result = pool.submit(far, pickle.dumps(job), str(told)).result(120)
    assert result.status is Status.SUCCEEDED, result.failure
    assert (root / "models" / "us.txt").read_text() == "us 3 run-7"
    assert told.read_text().splitlines()[:2] == ["check_finished", "attempt_started"]
    assert {one.instance.id: one.action for one in project.plan().steps} == {
        "train[region=eu]": Action.RUN,
        "train[region=us]": Action.SKIP,
    }


def test_what_an_earlier_run_showed_is_compared_on_the_far_side_too(root: Path) -> None:
    write_files(
        root,
        {"pipeline.yaml": "name: far\n", "notebooks/text.py": "A = 1  # as text\n", "lib/m.py": "B = 1\n"},
    )
    write_notebook(
        root / "notebooks" / "it.ipynb",
        code('out = "../data/out.txt"', "outputs"),
        code("import sys\nfor one in ['../lib']:\n    sys.path.append(one)\nfrom m import B"),
        code("open(out, 'w').write(open('text.py').read() + str(B))"),
    )
    project = nbpipeline.Project(root)
    for number in range(2):
        (step,) = project.plan().steps if not number else project.plan(force=True).steps
        folder = root / ".nbpipeline" / "runs" / f"far-{number}" / "it"
        job = Job(
            root=project.root,
            run=f"far-{number}",
            folder=str(folder),
            instance=step.instance,
            fingerprint=step.fingerprint,
        )
        result = run_job(job, lambda event: None)
        assert result.record is not None, result.notices
        assert result.record.followed == ("=notebooks/text.py", "lib/m.py")
        assert [one.action for one in project.plan().steps] == [Action.SKIP]


def test_what_was_opened_is_closed_though_the_last_push_is_interrupted(root: Path, monkeypatch) -> None:
    write_files(root, {"pipeline.yaml": "name: far\n"})
    project, _ = read_project(root)
    place = Workplace(project)
    closed = []

    def interrupted(*_given):
        raise KeyboardInterrupt

    place.__enter__()
    place._stack.callback(closed.append, "closed")
    monkeypatch.setattr(type(place.store), "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        place.__exit__(None, None, None)
    assert closed == ["closed"]
