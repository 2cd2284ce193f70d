"""A Dask scheduler and workers that share nothing but a bucket: the same results, whoever dies."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zoo
from buckets import Bucket, Wire
from builders import Gate, code, command, header, write_files, write_notebook
from dask_machines import Machines, copied, end
from distributed import Client
from environments import new_environment

import nbpipeline
from nbpipeline.errors import ExecutorError
from nbpipeline.executors import dask_cluster
from nbpipeline.model import Event, RunResult, Status

pytestmark = [pytest.mark.heavy, pytest.mark.children]


def shared(bucket: Bucket, prefix: str) -> str:
    return f'store: {{path: "{bucket.url}/{prefix}", endpoint: "{bucket.endpoint}"}}\n'


class Told:
    """A pipe by which a cell says in which folder it runs."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.say = f"import os\nopen({str(path)!r}, 'w').write(os.getcwd() + '\\n')"
        self._pipe = os.fdopen(os.open(path, os.O_RDWR), "rb", buffering=0)  # it is never at its end

    def wait(self) -> str:
        """Give the folder, when a cell has come to that."""
        return self._pipe.readline().decode().strip()


def slow_project(root: Path, said: Told, gate: Gate) -> None:
    zoo.diamond(root)
    write_notebook(
        root / "notebooks/slow.ipynb",
        header("inputs: {number: {from: load.number}}\noutputs: {slow: ../data/slow.txt}"),
        code(
            f"{said.say}\n{gate.wait}\nfrom pathlib import Path\nPath(slow).write_text(Path(number).read_text())"
        ),
    )


@contextmanager
def process(order: list[str], root: Path, **further: Any) -> "Iterator[subprocess.Popen[str]]":
    """A command as a process, which is gone after the block, whatever the block comes to."""
    how: dict[str, Any] = {"cwd": root, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    with subprocess.Popen(order, **how, **further) as run:
        try:
            yield run
        finally:
            end(run)


class Running:
    """A run in a thread of its own."""

    def __init__(self, root: Path, address: str) -> None:
        self.events: list[Event] = []
        self._found: list[Any] = []
        self._root, self._address = root, address
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        project = nbpipeline.Project(self._root)
        how: dict[str, Any] = {"executor": "dask", "address": self._address, "on_event": self.events.append}
        try:
            self._found.append(project.run(**how))
        except BaseException as error:  # noqa: BLE001 - the test's thread shall raise it
            self._found.append(error)

    def result(self) -> RunResult:
        self._thread.join(240)
        assert self._found, "the run hangs"
        if isinstance(self._found[0], BaseException):
            raise self._found[0]
        return self._found[0]


def test_workers_that_share_a_bucket_give_what_a_local_run_gives_also_when_two_die(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    slow_project(tmp_path / "plain", said, gate)
    there = copied(tmp_path / "plain", tmp_path / "there", shared(bucket, "dies"))
    machines.start("one", "two", "three")
    run = Running(there, machines.address)
    for _ in range(2):
        machines.kill(machines.holder(said.wait()))
    last = machines.holder(said.wait())
    gate.open()
    result = run.result()
    assert {one.status for one in result.results} == {Status.SUCCEEDED}, [
        one.failure for one in result.results
    ]
    assert set(machines.workers) == {last}

    begun = Counter(one.stage for one in run.events if one.kind == "attempt_started")
    assert begun.pop("slow") == 3
    assert max(begun.values()) <= 3, begun  # what a dying worker had in its hands may begin again
    lost = [one.data["text"] for one in run.events if one.kind == "notice" and "was lost" in str(one.data)]
    assert len([text for text in lost if "'slow' begins anew" in str(text)]) == 2
    finished = Counter(one.stage for one in run.events if one.kind == "stage_finished")
    assert set(finished.values()) == {1}
    assert {"cell_started", "cell_finished"} <= {one.kind for one in run.events}

    gate.open()
    assert command("run", cwd=tmp_path / "plain").returncode == 0
    pipeline = nbpipeline.Project(there).pipeline
    assert list(zoo.differences(pipeline, zoo.observe(tmp_path / "plain"), zoo.observe(there))) == []
    for path in ("data/slow.txt", "data/all.json"):
        assert (there / path).read_bytes() == (tmp_path / "plain" / path).read_bytes()
    assert list(there.glob(".nbpipeline/runs/*/slow/attempt-1.ipynb"))
    again = nbpipeline.Project(there).run(executor="dask", address="tcp://127.0.0.1:1")  # it asks nobody
    assert {one.status for one in again.results} == {Status.FRESH}
    clone = copied(tmp_path / "plain", tmp_path / "clone", shared(bucket, "dies"))
    for made in ("data", ".nbpipeline"):
        subprocess.run(["rm", "-rf", str(clone / made)], check=True)
    assert {str(one.action) for one in nbpipeline.Project(clone).plan().steps} == {"restore"}


def test_a_scheduler_that_is_lost_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    slow_project(tmp_path / "there", said, gate)
    root = tmp_path / "there"
    (root / "pipeline.yaml").write_text((root / "pipeline.yaml").read_text() + shared(bucket, "lost"))
    machines.start("one")
    order = [sys.executable, "-m", "nbpipeline", "run", "--executor", "dask", "--address", machines.address]
    with process(order, root, stderr=subprocess.PIPE) as run:
        said.wait()
        machines.kill_scheduler()
        _, told = run.communicate(timeout=120)
    assert run.returncode == 2, told
    assert f"the Dask scheduler at {machines.address} was lost while stages ran." in told
    assert "  mend: start it again; then `nbpipeline run` goes on from there" in told
    machines.kill("one")

    actions = {one.instance.id: str(one.action) for one in nbpipeline.Project(root).plan().steps}
    assert actions["load"] == "skip"
    assert actions["slow"] == "run"
    machines.start_scheduler()
    machines.start("two")
    gate.open()
    second = Running(root, machines.address).result()
    statuses = {one.instance: one.status for one in second.results}
    assert statuses["load"] is Status.FRESH
    assert statuses["slow"] is Status.SUCCEEDED
    assert (root / "data/slow.txt").read_text() == "15"


def test_a_worker_that_does_not_fit_is_named_before_anything_runs(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    site = tmp_path / "more" / "site-packages"
    write_files(
        site,
        {
            "oddlib.py": "VALUE = 3\n",
            "oddlib-1.0.dist-info/METADATA": "Name: oddlib\nVersion: 1.0\n",
            "oddlib-1.0.dist-info/RECORD": "oddlib.py,,\n",
        },
    )
    root = tmp_path / "project"
    write_files(root, {"pipeline.yaml": shared(bucket, "odd")})
    write_notebook(
        root / "notebooks/odd.ipynb",
        header("outputs: {n: ../n.txt}\nsecrets: [WAREHOUSE_TOKEN]"),
        code("import oddlib\nfrom pathlib import Path\nPath(n).write_text(str(oddlib.VALUE))"),
    )
    here = {"PYTHONPATH": str(site), "WAREHOUSE_TOKEN": "hush-hush-1234"}
    order = ("run", "--executor", "dask", "--address")
    machines.start("bare", environment={"WAREHOUSE_TOKEN": "hush-hush-1234"})
    refused = command(*order, machines.address, cwd=root, environment=here)
    assert refused.returncode == 5, refused.stderr
    assert "it has no oddlib" in refused.stderr
    assert "  mend: pip install 'oddlib==1.0'" in refused.stderr
    assert not (root / "n.txt").exists()
    assert (
        "stage_started"
        not in next(root.glob(".nbpipeline/runs/*/events.jsonl"), root / "pipeline.yaml").read_text()
    )

    machines.kill("bare")
    machines.start("dumb", environment={"PYTHONPATH": str(site)})
    refused = command(*order, machines.address, cwd=root, environment=here)
    assert refused.returncode == 2, refused.stderr
    assert "secret WAREHOUSE_TOKEN is not in its environment" in refused.stderr

    machines.kill("dumb")
    away = {"AWS_ACCESS_KEY_ID": "testing", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    machines.start("fit", environment={**here, **away})  # the control: it runs
    done = command(*order, machines.address, cwd=root, environment=here)
    assert done.returncode == 0, done.stderr
    assert "dask: stages run on 1 worker (tcp://127.0.0.1:" in done.stderr
    assert (root / "n.txt").read_text() == "3"


def test_a_store_that_workers_do_not_see_is_named(tmp_path: Path, bucket: Bucket, machines: Machines) -> None:
    root = tmp_path / "project"
    write_files(root, {"pipeline.yaml": f'store: {{path: "file://{tmp_path}/shared"}}\n'})
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {n: ../n.txt}"), code("open(n, 'w').write('1')")
    )
    machines.start("one")
    how = {"executor": "dask", "address": machines.address}
    assert nbpipeline.Project(root).run(**how).results[0].status is Status.SUCCEEDED  # the control
    (root / "n.txt").unlink()
    write_files(root, {"pipeline.yaml": 'store: {path: "memory://only/here"}\n'})
    with pytest.raises(ExecutorError, match="is another one there"):
        nbpipeline.Project(root).run(force=True, **how)


def test_no_scheduler_and_no_worker_are_said(
    tmp_path: Path, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT", 3.0)
    root = tmp_path / "project"
    write_files(root, {"pipeline.yaml": "executor: {name: dask, wait: 1s}\n"})
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {n: ../n.txt}"), code("open(n, 'w').write('1')")
    )
    with pytest.raises(ExecutorError, match="cannot be reached"):
        nbpipeline.Project(root).run(address="tcp://127.0.0.1:1")
    with pytest.raises(ExecutorError, match="no worker joined"):
        nbpipeline.Project(root).run(address=machines.address)


def test_ctrl_c_reaches_the_worker_of_a_cluster_started_here(tmp_path: Path) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    slow_project(root, said, gate)
    (root / "data").mkdir()
    (root / "data/slow.txt").write_text("before")
    order = [sys.executable, "-m", "nbpipeline", "run", "--executor", "dask", "-j", "2", "--format", "json"]
    with process(order, root) as run:
        folder = said.wait()
        os.killpg(run.pid, 2)
        told, _ = run.communicate(timeout=120)
    assert run.returncode == 130
    ended = {
        one["stage"]: one["data"]["status"]
        for one in map(json.loads, told.splitlines())
        if one["kind"] == "stage_finished"
    }
    assert ended["load"] == "succeeded"
    assert ended["slow"] == "cancelled"
    assert (root / "data/slow.txt").read_text() == "before"
    assert not Path(folder).exists()


def until(run: "subprocess.Popen[str]", kind: str) -> None:
    """Read a run's events until one of the kind comes."""
    assert run.stdout is not None
    for line in run.stdout:
        if json.loads(line)["kind"] == kind:
            return
    raise AssertionError(f"no {kind} came")


def one_stage(root: Path, said: Told, gate: Gate) -> list[str]:
    """A project of one slow stage; gives the command that runs it, without the address."""
    write_notebook(
        root / "notebooks/slow.ipynb",
        header("outputs: {slow: ../slow.txt}"),
        code(f"{said.say}\n{gate.wait}\nopen(slow, 'w').write('done')"),
    )
    return [sys.executable, "-m", "nbpipeline", "run", "--executor", "dask", "--format", "json", "--address"]


def occupied(client: Client, path: Path, worker: str) -> Any:
    """Give a worker something else to do until somebody writes into the pipe."""
    os.mkfifo(path)
    busy = client.submit(subprocess.call, ["cat", str(path)], pure=False, workers=[worker])
    with path.open(
        "wb", buffering=0
    ):  # that it opens is the sign: `cat` reads; held open by a further writer
        return busy, os.open(path, os.O_RDWR)


def held_by_scheduler(client: Client, begin: str) -> None:
    """Wait until the scheduler has a task whose key begins so."""

    async def there(dask_scheduler: Any) -> None:
        import asyncio

        async def come() -> None:
            while not any(  # noqa: ASYNC110 - the scheduler has no event for it
                str(key).startswith(begin) and one.state in ("processing", "queued", "no-worker")
                for key, one in dask_scheduler.tasks.items()
            ):
                await asyncio.sleep(0.02)

        await asyncio.wait_for(come(), 120)

    client.run_on_scheduler(there)


def test_ctrl_c_drops_what_waits_for_a_busy_worker(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    order = one_stage(root, said, gate)
    write_files(root, {"pipeline.yaml": shared(bucket, "busy")})
    machines.start("one")
    with Client(machines.address, set_as_default=False) as client:
        _, held = occupied(client, tmp_path / "held", "one")
        with process([*order, machines.address], root) as run:
            held_by_scheduler(client, "slow-")
            run.send_signal(2)
            told, _ = run.communicate(timeout=120)
        os.close(held)
    assert run.returncode == 130
    assert '"cancelled"' in told


def test_ctrl_c_ends_a_run_that_waits_for_its_first_worker(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    order = one_stage(root, said, gate)
    write_files(root, {"pipeline.yaml": f"{shared(bucket, 'none')}executor: {{wait: 10m}}\n"})
    with (
        Client(machines.address, set_as_default=False) as client,
        process([*order, machines.address], root) as run,
    ):
        held_by_scheduler(client, "nbpipeline-wants-a-worker")
        run.send_signal(2)
        told, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    kinds = Counter(json.loads(line)["kind"] for line in told.splitlines())
    assert kinds["run_finished"] == 1, told
    assert kinds["stage_started"] == 0


def test_a_worker_that_hangs_is_named_before_anything_runs(
    tmp_path: Path, bucket: Bucket, machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_cluster, "CONNECT", 4.0)
    root = tmp_path / "project"
    one_stage(root, Told(tmp_path / "said"), Gate(tmp_path / "gate"))
    write_files(root, {"pipeline.yaml": shared(bucket, "hangs")})
    machines.start("one", "two")
    machines.workers["one"].send_signal(signal.SIGSTOP)
    with pytest.raises(ExecutorError, match=r"worker tcp://[\d.:]+ does not answer\.") as caught:
        nbpipeline.Project(root).run(executor="dask", address=machines.address)
    assert len(caught.value.complaints) == 1


def test_two_ctrl_c_end_a_run_whose_worker_hangs(tmp_path: Path, bucket: Bucket, machines: Machines) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    order = one_stage(root, said, gate)
    write_files(root, {"pipeline.yaml": shared(bucket, "stopped")})
    machines.start("one", "two")
    with process([*order, machines.address], root, stderr=subprocess.PIPE) as run:
        machines.workers[machines.holder(said.wait())].send_signal(signal.SIGSTOP)
        run.send_signal(2)
        assert run.stderr is not None
        assert any("once more kills" in line for line in run.stderr)
        run.send_signal(2)
        told, _ = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "does not answer, and is not waited for" in told
    assert '"cancelled"' in told


def test_ctrl_c_drops_what_waits_anew_after_its_worker_was_lost(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    order = one_stage(root, said, gate)
    write_files(root, {"pipeline.yaml": shared(bucket, "anew")})
    machines.start("one")
    with process([*order, machines.address], root) as run:
        said.wait()
        machines.start("two")
        with Client(machines.address, set_as_default=False) as client:
            _, held = occupied(client, tmp_path / "held", "two")
            machines.kill("one")
            run.send_signal(2)
            told, _ = run.communicate(timeout=120)
            os.close(held)
    assert run.returncode == 130
    assert '"cancelled"' in told
    assert not (root / "slow.txt").exists()


def test_a_worker_that_joins_late_is_asked_as_the_others_were(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    said, gate = Told(tmp_path / "said"), Gate(tmp_path / "gate")
    root = tmp_path / "project"
    order = one_stage(root, said, gate)
    write_files(root, {"pipeline.yaml": shared(bucket, "late")})
    for name in ("slow", "other"):
        write_notebook(
            root / f"notebooks/{name}.ipynb",
            header(f"outputs: {{o: ../{name}.txt}}"),
            code(f"{said.say}\n{gate.wait}\nopen(o, 'w').write('done')"),
        )
    write_notebook(
        root / "notebooks/secretive.ipynb",
        header("after: [slow, other]\noutputs: {o: ../secretive.txt}\nsecrets: [WAREHOUSE_TOKEN]"),
        code("open(o, 'w').write('1')"),
    )
    token = {"WAREHOUSE_TOKEN": "hush-hush-1234"}
    machines.start("one", environment=token)
    further: dict[str, Any] = {"env": {**os.environ, **token}, "stderr": subprocess.PIPE}
    with process([*order, machines.address], root, **further) as run:
        said.wait()  # one of them has the only thread
        machines.start("late")
        until(run, "stage_finished")
        gate.open()
        _, told = run.communicate(timeout=120)
    assert run.returncode == 2, told
    assert "secret WAREHOUSE_TOKEN is not in its environment" in told
    assert "worker tcp://127.0.0.1:" in told
    assert "start the worker with it: secrets do not travel with jobs" in told
    assert len([name for name in ("slow", "other") if (root / f"{name}.txt").exists()]) == 1


def test_a_worker_that_is_lost_while_it_publishes_leaves_nothing_half(
    tmp_path: Path, bucket: Bucket, machines: Machines
) -> None:
    root = tmp_path / "project"
    write_files(root, {"pipeline.yaml": f'store: {{path: "{bucket.url}/publishing"}}\n'})
    write_notebook(
        root / "notebooks/big.ipynb",
        header("outputs: {a: ../a.bin, b: ../b.bin}"),
        code(
            "import random\nfor path in (a, b):\n    open(path, 'wb').write(random.Random(path).randbytes(2_000_000))"
        ),
    )
    wire = Wire(bucket.endpoint)
    wire.limit, wire.holds = 3_000_000, True  # in the midst of the second file
    os.environ["AWS_ENDPOINT_URL"] = bucket.endpoint
    try:
        machines.start("one", environment={"AWS_ENDPOINT_URL": wire.endpoint})
        run = Running(root, machines.address)
        assert wire.reached.wait(120)
        machines.kill("one")
        machines.start("two", environment={"AWS_ENDPOINT_URL": bucket.endpoint})
        (result,) = run.result().results
    finally:
        del os.environ["AWS_ENDPOINT_URL"]
        wire.close()
    assert result.status is Status.SUCCEEDED, result.failure
    begun = [one for one in run.events if one.kind == "attempt_started"]
    assert len(begun) == 2
    assert [(root / name).stat().st_size for name in ("a.bin", "b.bin")] == [2_000_000, 2_000_000]
    assert {str(one.action) for one in nbpipeline.Project(root).plan().steps} == {"skip"}


@pytest.mark.nightly
def test_keys_of_the_store_stay_here_and_workers_have_their_own(tmp_path: Path, bucket: Bucket) -> None:
    root = tmp_path / "project"
    keys = "{key: a-key-of-mine, secret: hush-hush-1234}"
    read, gate = Told(tmp_path / "read"), Gate(tmp_path / "gate")
    store = f'store: {{path: "{bucket.url}/keys", endpoint: "{bucket.endpoint}", options: {keys}}}\n'
    write_files(root, {"pipeline.yaml": store})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {n: ../n.txt}"),
        code(f"{read.say}\n{gate.wait}\nopen(n, 'w').write('1')"),
    )
    how = {"executor": "dask"}
    with Machines(tmp_path / "machines", {"AWS_EC2_METADATA_DISABLED": "true"}) as machines:
        machines.start("bare")
        with pytest.raises(ExecutorError, match="FSSPEC_S3_KEY, FSSPEC_S3_SECRET there stands for it"):
            nbpipeline.Project(root).run(address=machines.address, **how)
        machines.kill("bare")
        own = {"FSSPEC_S3_KEY": "a-key-of-theirs", "FSSPEC_S3_SECRET": "theirs-1234"}
        machines.start("fit", environment=own)
        run = Running(root, machines.address)
        assert (machines.folder / "fit") in Path(read.wait()).parents
        files = [one for one in machines.folder.rglob("*") if one.is_file() and not one.is_symlink()]
        there = {str(one): one.read_bytes() for one in files}  # logs, and the seat while the stage runs
        gate.open()
        (result,) = run.result().results
    assert result.status is Status.SUCCEEDED
    assert len([name for name in there if name.endswith("/log")]) >= 2
    there |= {key: bucket.read(key) for key in bucket.keys("keys")}
    assert len(bucket.keys("keys")) >= 2
    assert not [name for name, data in there.items() if b"hush-hush-1234" in data]


def another_python() -> str:
    """Find an interpreter of another minor version: on the path, or installed beside this one."""
    minors = [f"3.{number}" for number in range(11, 15) if number != sys.version_info[1]]
    beside = [
        str(one) for minor in minors for one in Path(sys.base_prefix).parent.glob(f"*/bin/python{minor}")
    ]
    found = [*filter(None, (shutil.which(f"python{minor}") for minor in minors)), *beside]
    if not found:
        pytest.skip("there is no other Python on this machine")
    return found[-1]


@pytest.mark.nightly
def test_another_python_is_named_before_anything_runs(tmp_path: Path, machines: Machines) -> None:
    import distributed

    wanted = f"distributed=={distributed.__version__}"
    other = new_environment(tmp_path / "other", wanted, python=another_python())
    machines.start("other", python=str(other))
    root = tmp_path / "project"
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {n: ../n.txt}"), code("open(n, 'w').write('1')")
    )
    with pytest.raises(ExecutorError, match=r"runs Python 3\.\d+, and this is Python 3"):
        nbpipeline.Project(root).run(executor="dask", address=machines.address)
    assert not (root / "n.txt").exists()
