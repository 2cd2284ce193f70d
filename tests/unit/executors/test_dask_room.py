"""What a job claims of Dask's workers, and which workers are refused."""

import pickle
import sys

import pytest
from distributed import LocalCluster

import nbpipeline
from nbpipeline.errors import ExecutorError
from nbpipeline.executors import dask, dask_task
from nbpipeline.executors.dask_cluster import _offer, _strange, claims
from nbpipeline.model import Resources

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
