"""The far side: a job crosses to another process as bytes, and its result comes back."""

import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from builders import code, header, write_files, write_notebook

import nbpipeline
from nbpipeline.model import Action, Event, Job, StageResult, Status
from nbpipeline.worker import run_job


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
    assert told.read_text().splitlines()[0] == "attempt_started"
    assert {one.instance.id: one.action for one in project.plan().steps} == {
        "train[region=eu]": Action.RUN,
        "train[region=us]": Action.SKIP,
    }
