"""What a Dask executor leaves behind: nothing that runs, however late its word of having begun."""

import threading

from distributed import LocalCluster
from stages import instance

from nbpipeline.executors import dask
from nbpipeline.executors import dask_task as task
from nbpipeline.model import Fingerprint, Job, StageResult, Status

WAIT = 20
STARTED = threading.Event()
LEVELS: list[int] = []


def until_killed(job: Job, emit, cancel) -> StageResult:
    killed = threading.Event()
    cancel.on_raise(lambda level: killed.set() if level == 2 else None)
    STARTED.set()
    assert killed.wait(WAIT)
    LEVELS.append(cancel.level)
    return StageResult(instance=job.run, status=Status.CANCELLED)


def test_a_job_is_killed_and_waited_for_whose_beginning_was_not_heard_yet(monkeypatch):
    monkeypatch.setattr(task._Line, "tell", lambda line, event: None)  # all that it tells is on its way
    stage = Job(root="/", run="a", folder="/", instance=instance(["x = 1"]), fingerprint=Fingerprint())
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        resources={"cpus": 1},
        silence_logs=50,
    ) as cluster:
        settings = {"address": cluster.scheduler_address}
        with dask.open_executor(until_killed, slots=1, memory=None, settings=settings) as executor:
            future = executor.submit(stage, lambda event: None)
            waiting = executor.submit(stage, lambda event: None)
            assert STARTED.wait(WAIT)
        assert LEVELS == [2]
        assert future.result(0).status is Status.CANCELLED
        assert waiting.result(0).status is Status.CANCELLED
