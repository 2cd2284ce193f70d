"""What a job claims of Dask's workers, and which workers are refused."""

import os
import pickle
import socket
import sys
import threading
from types import SimpleNamespace

import pytest
from distributed import LocalCluster
from stages import instance

import nbpipeline
from nbpipeline.errors import ExecutorError
from nbpipeline.executors import dask, dask_cluster, dask_task
from nbpipeline.executors.dask_asking import Rounds, awaited, silent_of
from nbpipeline.executors.dask_cluster import _offer, _strange, claims
from nbpipeline.executors.local import Level
from nbpipeline.model import Fingerprint, Job, Resources

PYTHON = "{}.{}.{}.final.0".format(*sys.version_info)


def offers(*workers: dict[str, float]):
    return tuple(map(_offer, workers))


@pytest.mark.parametrize(
    ("workers", "wanted", "claimed"),
    [
        ([{}], {"cpus": 8}, {}),
        ([{"cpus": 4}], {"cpus": 2, "memory": 10**9}, {"cpus": 2}),
        ([{"CPU": 4, "GPU": 1}], {"gpus": 1}, {"CPU": 1, "GPU": 1}),
        ([{"cpus": 4}, {"cpus": 8}], {"cpus": 99}, {"cpus": 8}),
        (
            [{"cpus": 16, "memory": 10}, {"cpus": 2, "memory": 50}],
            {"cpus": 4, "memory": 40},
            {"cpus": 2, "memory": 50},
        ),
        ([{"cpus": 4, "memory": 10}, {}], {"cpus": 1, "memory": 5}, {"cpus": 1, "memory": 5}),
        ([{"cpus": 2, "gpus": 0}], {"gpus": 1}, {"cpus": 2}),
        ([{"cpus": 4, "GPU": 2}, {"cpus": 4, "gpus": 1}], {"gpus": 2}, {"cpus": 1, "GPU": 2}),
        ([{"cpus": 4, "GPU": 2}, {"CPU": 8}], {"gpus": 3, "cpus": 2}, {"cpus": 4, "GPU": 2}),
        ([], {"cpus": 2}, {}),
    ],
)
def test_a_job_claims_what_workers_speak_of_and_no_more_than_one_has(workers, wanted, claimed):
    assert claims(Resources(**wanted), offers(*workers)) == claimed


def test_workers_with_several_words_for_one_thing_all_get_jobs():
    there = offers({"cpus": 4, "GPU": 1}, {"CPU": 4, "gpus": 1}, {"CPU": 4, "gpus": 1})
    held = []
    for _ in range(6):
        held.append(claims(Resources(gpus=1), there, held))
    assert sum("GPU" in one for one in held) == 2
    assert sum("gpus" in one for one in held) == 4
    assert all(len(one) == 2 for one in held)


@pytest.mark.parametrize(
    ("packages", "code", "what"),
    [
        (
            {"python": "3.9.1.final.0", "nbpipeline": nbpipeline.__version__},
            2,
            "worker a runs Python 3.9, and this is",
        ),
        ({"python": PYTHON, "nbpipeline": None}, 5, "worker a has no nbpipeline, and this is"),
        ({"python": PYTHON, "nbpipeline": "9.9"}, 5, "worker a has nbpipeline 9.9, and this is"),
    ],
)
def test_a_worker_with_another_python_or_nbpipeline_is_refused(packages, code, what):
    (found,) = _strange("worker a", packages)
    assert int(found.exit_code) == code
    assert found.what.startswith(what)
    assert found.mend


def test_a_job_of_another_version_is_not_unpacked():
    with pytest.raises(RuntimeError, match="another Python or nbpipeline"):
        dask_task.do(b"", b"", "session", "key", ("3.1", "0.0"))


def test_an_exception_that_cannot_be_pickled_comes_back_by_its_words():
    class OddError(Exception):
        def __reduce__(self):
            raise TypeError

    done = pickle.loads(dask_task._packed(dask_task.Done(outcome=OddError("so it is"), attempt="a", sent=1)))  # noqa: S301 - our own bytes
    assert str(done.outcome) == "OddError: so it is"


def test_trouble_of_a_worker_is_told_with_its_name():
    found = dask_task._named(ExecutorError.of("it has no room.", mend="make some"), "tcp://w:1")
    assert isinstance(found, ExecutorError)
    assert found.complaints[0].what == "worker tcp://w:1: it has no room."
    other = KeyError("x")
    assert dask_task._named(other, "tcp://w:1") is other


def test_a_worker_like_this_process_is_not_refused():
    assert list(_strange("worker a", {"python": PYTHON, "nbpipeline": nbpipeline.__version__})) == []


def test_an_adaptive_cluster_without_workers_starts_one():
    options = {"n_workers": 0, "processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(**options) as cluster:
        cluster.adapt(minimum=0, maximum=1, interval="100ms")
        settings = {"address": cluster.scheduler_address, "wait": 20}
        with dask.open_executor(len, slots=1, memory=None, settings=settings) as executor:
            assert len(executor.ask(str)) == 1


def test_what_may_never_end_has_a_limit_and_ends_when_the_run_is_cancelled():
    assert awaited(lambda: 3, 20, Level()) == 3
    with pytest.raises(KeyError, match="odd"):
        awaited(lambda: {}["odd"], 20, Level())
    never, level = threading.Event(), Level()
    with pytest.raises(TimeoutError, match=r"not within 0\.01 s"):
        awaited(never.wait, 0.01, level)
    with pytest.raises(ExecutorError, match="was cancelled"):
        awaited(lambda: level.raise_to(1) or never.wait(), 20, level)
    never.set()


class Workers:
    """A client of three workers, of which one hangs until it may go on."""

    def __init__(self):
        self.may = threading.Event()
        self.asked = []

    def scheduler_info(self, n_workers):
        return {"workers": dict.fromkeys("abc")}

    def run(self, function, *arguments, workers, on_error):
        (name,) = workers
        self.asked.append(name)
        if name == "b":
            self.may.wait()
        return {name: function(*arguments)}


def test_a_worker_that_hangs_keeps_nobody_from_hearing_the_others_and_is_not_asked_on():
    client = Workers()
    rounds = Rounds(client)
    first = rounds.ask(str, 5, seconds=0.2)
    assert (first["a"], first["c"], silent_of(first)) == ("5", "5", ("b",))
    assert silent_of(rounds.ask(str, 5, seconds=0.2)) == ("b",)
    assert sorted(client.asked) == ["a", "a", "b", "c", "c"]
    open_ones = tuple(rounds._open.values())
    client.may.set()
    assert [one.result(20) for one in open_ones] == ["5"]
    assert rounds.ask(str, 6, seconds=20) == {"a": "6", "b": "6", "c": "6"}


def test_who_waits_for_a_first_worker_hears_that_the_run_is_cancelled():
    options = {"n_workers": 0, "processes": False, "dashboard_address": "127.0.0.1:0", "silence_logs": 50}
    with LocalCluster(**options) as cluster:
        settings = {"address": cluster.scheduler_address, "wait": 300}
        executor = dask.open_executor(os.getpid, slots=1, memory=None, settings=settings)
        executor.cancel(1)
        with pytest.raises(ExecutorError, match="was cancelled"):
            executor.__enter__()


def test_who_waits_for_a_scheduler_that_says_nothing_hears_that_the_run_is_cancelled(monkeypatch):
    monkeypatch.setattr(dask_cluster, "CONNECT", 20.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"address": f"tcp://127.0.0.1:{silent.getsockname()[1]}"}
        executor = dask.open_executor(os.getpid, slots=1, memory=None, settings=settings)
        threading.Thread(target=lambda: silent.accept() and executor.cancel(1), daemon=True).start()
        with pytest.raises(ExecutorError, match="was cancelled"):
            executor.__enter__()


def test_two_looks_at_one_moment_cancel_nothing():
    """The outcome of what has just ended may be on its way."""
    executor = dask.open_executor(os.getpid, slots=1, memory=None, settings={})
    executor._rounds = SimpleNamespace(ask=lambda *_, **__: {"a": ()})
    cancelled = []
    there = SimpleNamespace(status="pending", cancel=lambda: cancelled.append(1))
    waiting = (SimpleNamespace(key="k", worker="", done=None, there=there),)
    executor.cancel(1)
    executor._turn(waiting)
    executor._turn(waiting)
    assert cancelled == []
    executor._idle["k"] -= 60  # a minute later
    executor._turn(waiting)
    assert cancelled == [1]


def test_what_a_silent_worker_may_have_begun_is_not_cancelled_at_the_first_ctrl_c():
    executor = dask.open_executor(os.getpid, slots=1, memory=None, settings={})
    executor._rounds = SimpleNamespace(ask=lambda *_, **__: {"a": (), "b": TimeoutError()})
    waiting = (SimpleNamespace(key="k", worker="", done=None, there=SimpleNamespace(status="pending")),)
    executor.cancel(1)
    executor._turn(waiting)
    assert executor._idle == {}
    executor.cancel(2)
    executor._turn(waiting)
    assert list(executor._idle) == ["k"]


class Emptied:
    """A client of a cluster whose workers left after a look; notes what is claimed."""

    def __init__(self):
        self.there = [{"a": {"resources": {"cpus": 4.0}}}]
        self.claimed = []

    def scheduler_info(self, n_workers):
        return {"workers": self.there.pop() if self.there else {}}

    def submit(self, *_, resources, **__):
        self.claimed.append(resources)
        return SimpleNamespace(add_done_callback=lambda done: None)


def test_a_job_claims_what_workers_had_also_while_none_is_there():
    executor = dask.open_executor(os.getpid, slots=1, memory=None, settings={})
    executor._client = client = Emptied()
    stage = instance(["x = 1"], resources=Resources(cpus=3))
    for _ in range(2):
        job = Job(root="/", run="r", folder="/", instance=stage, fingerprint=Fingerprint())
        executor.submit(job, lambda event: None)
    assert client.claimed == [{"cpus": 3.0}] * 2
