"""Forked kernels: what must be fresh in each, what may not be shared, and what happens where it cannot be."""

import asyncio
import json
import os
import signal
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from nbpipeline.kernels.fork import ForkKernels
from nbpipeline.kernels.nursery import Nursery
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.model import Imported, KernelNeed
from nbpipeline.state.memory import MemoryState

pytestmark = [
    pytest.mark.children,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system"),
]


def waiting(kernels: ForkKernels) -> list[Any]:
    """The managers of the kernels that wait to be asked for."""
    found = [one for one in kernels._nurseries.values() if isinstance(one, Nursery)]
    return [spare for one in found for spares in one.spares.values() for spare in spares]


class Bench:
    """Kernels of one source, and talk with them."""

    def __init__(self, kernels: ForkKernels, folder: Path, environment: Mapping[str, str]) -> None:
        self.kernels, self.folder, self.environment = kernels, folder, dict(environment)
        self.managers: list[Any] = []

    def expect(self, *imports: Imported, count: int = 2, **variables: str) -> None:
        one = KernelNeed(
            kernel="", folder=str(self.folder), environment={**self.environment, **variables}, imports=imports
        )
        self.kernels.expect([one] * count)

    def ask(
        self,
        *expressions: str,
        kernel: str = "",
        code: str = "",
        imports: Sequence[Imported] = (),
        **variables: str,
    ) -> list[Any]:
        """Start a kernel, run code, evaluate expressions, end it. Answers as Python values."""
        manager = self.kernels.manager(
            KernelNeed(
                kernel=kernel,
                folder=str(self.folder),
                environment={**self.environment, **variables},
                imports=tuple(imports),
            )
        )
        self.managers.append(manager)

        async def talk() -> list[Any]:
            await manager.start_kernel()
            client = manager.client()
            client.start_channels()
            try:
                await client.wait_for_ready(timeout=60)
                wanted = {str(n): f"__import__('json').dumps({one})" for n, one in enumerate(expressions)}
                identity = client.execute(manager.late + code, silent=True, user_expressions=wanted)
                while True:
                    reply = await client.get_shell_msg(timeout=60)
                    if reply["parent_header"].get("msg_id") == identity:
                        break
                assert reply["content"]["status"] == "ok", reply["content"]
                answers = reply["content"]["user_expressions"]
                texts = [answers[str(n)]["data"]["text/plain"] for n in range(len(expressions))]
                return [json.loads(eval(text)) for text in texts]  # noqa: S307 - a repr of JSON
            finally:
                client.stop_channels()
                await manager.shutdown_kernel(now=True)

        return asyncio.run(talk())


@pytest.fixture
def cache() -> MemoryState:
    return MemoryState()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder that counts as installed packages."""
    folder = tmp_path / "site-packages"
    folder.mkdir()
    return folder


@pytest.fixture
def bench(tmp_path: Path, installed: Path, cache: MemoryState) -> Iterator[Bench]:
    work = tmp_path / "work"
    work.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    with ForkKernels(Refusals(cache)) as kernels:
        yield Bench(kernels, work, environment)


def write(folder: Path, name: str, source: str) -> Imported:
    (folder / f"{name}.py").write_text(textwrap.dedent(source))
    return Imported(name)


def test_what_is_expected_is_imported_before_the_fork(bench: Bench, installed: Path) -> None:
    module = write(installed, "warm", "import os\nmaker = os.getpid()")
    bench.expect(module)
    maker, here = bench.ask("__import__('warm').maker", "__import__('os').getpid()", imports=[module])
    assert maker != here
    assert not bench.managers[0].fallback


def test_submodules_that_are_taken_by_name_are_imported_too(bench: Bench, installed: Path) -> None:
    package = installed / "deep"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "part.py").write_text("import os\nmaker = os.getpid()")
    module = Imported("deep", ("part", "nothing"))
    bench.expect(module)
    maker, here = bench.ask(
        "__import__('deep.part').part.maker", "__import__('os').getpid()", imports=[module]
    )
    assert maker != here


def test_the_projects_own_modules_are_never_imported_before_the_fork(bench: Bench, tmp_path: Path) -> None:
    own = tmp_path / "src"
    own.mkdir()
    module = write(own, "mine", "import os\nmaker = os.getpid()")
    bench.environment["PYTHONPATH"] += f"{os.pathsep}{own}"
    bench.expect(module)
    maker, here = bench.ask("__import__('mine').maker", "__import__('os').getpid()", imports=[module])
    assert maker == here


def test_each_fork_has_its_own_chance(bench: Bench) -> None:
    bench.expect(Imported("random"), Imported("numpy.random"), Imported("uuid"), count=3)
    wanted = (
        "__import__('random').random()",
        "__import__('numpy').random.random()",
        "str(__import__('uuid').uuid4())",
    )
    found = [bench.ask(*wanted, imports=[Imported("random"), Imported("numpy.random")]) for _ in range(3)]
    for column in zip(*found, strict=True):
        assert len(set(column)) == 3


def test_each_fork_has_its_own_variables_and_folder(bench: Bench, tmp_path: Path) -> None:
    bench.expect(count=3, ONE="1")
    asked = ("dict(__import__('os').environ)", "__import__('os').getcwd()")
    first, folder = bench.ask(*asked, ONE="1", NBPIPELINE_STAGE="a", MLFLOW_RUN_ID="x")
    second, _ = bench.ask(*asked, ONE="1", NBPIPELINE_STAGE="b")
    third, _ = bench.ask(*asked, ONE="2")
    assert folder == str(bench.folder)
    assert (first["NBPIPELINE_STAGE"], first["MLFLOW_RUN_ID"], first["ONE"]) == ("a", "x", "1")
    assert (second["NBPIPELINE_STAGE"], second.get("MLFLOW_RUN_ID"), second["ONE"]) == ("b", None, "1")
    assert (third.get("NBPIPELINE_STAGE"), third["ONE"]) == (None, "2")


def test_a_fork_leads_a_session_and_has_no_files_of_the_server(bench: Bench) -> None:
    bench.expect()
    session, pid, links = bench.ask(
        "__import__('os').getsid(0)",
        "__import__('os').getpid()",
        "[__import__('os').readlink('/proc/self/fd/' + one) for one in __import__('os').listdir('/proc/self/fd')"
        " if __import__('os').path.exists('/proc/self/fd/' + one)]",
    )
    assert session == pid
    given = {str(Path(f"/proc/self/fd/{number}").readlink()) for number in (1, 2)}
    assert not [one for one in links if "deleted" in one and one not in given]  # the server's own output


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()",
            "it starts threads while it is imported",
        ),
        ("import socket\nkept = socket.socketpair()", "it opens a socket while it is imported"),
        (
            "import subprocess, sys\nkept = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)",
            "it starts a process while it is imported",
        ),
        ("import os\nkept = open('/dev/full', 'w')", "it opens the device /dev/full"),
        ("print('hello')", "it writes text while it is imported"),
        ("import warnings\nwarnings.warn('old', FutureWarning)", "it writes text while it is imported"),
        ("import os\nos._exit(3)", "it ends the process while it is imported"),
        ("shell = get_ipython()\nshell.run_line_magic", "it asks for the notebook while it is imported"),
        (
            "from IPython import get_ipython\nin_notebook = get_ipython() is not None",
            "it asks for the notebook while it is imported",
        ),
    ],
)
def test_a_module_that_cannot_be_forked_is_left_to_its_stages(
    bench: Bench, installed: Path, cache: MemoryState, source: str, why: str
) -> None:
    write(
        installed,
        "spoilt",
        f"import os, sys\nif 'ipykernel.inprocess' not in sys.modules and not os.environ.get('LET'):\n{textwrap.indent(textwrap.dedent(source), '    ')}\n",
    )
    good = write(installed, "good", "import os\nmaker = os.getpid()")
    modules = [Imported("spoilt"), good]
    bench.expect(*modules)
    maker, here, loaded = bench.ask(
        "__import__('good').maker",
        "__import__('os').getpid()",
        "'spoilt' in __import__('sys').modules",
        imports=modules,
    )
    assert maker != here
    assert not loaded
    assert not bench.managers[0].fallback
    refused = Refusals(cache).all()
    assert [(one.module, one.why) for _, one in refused] == [("spoilt", why)]


def test_what_pandas_asks_of_the_notebook_is_answered_as_in_a_kernel(bench: Bench) -> None:
    module = Imported("pandas")
    asked = ("pandas.get_option('display.max_columns')", "get_ipython().__class__.__module__")
    bench.expect(module)
    forked = bench.ask(*asked, code="import pandas", imports=[module])
    assert not bench.managers[0].fallback
    with ForkKernels(least=99) as plain:
        assert forked == Bench(plain, bench.folder, bench.environment).ask(*asked, code="import pandas")


def test_a_module_without_a_file_is_not_tried_again(
    cache: MemoryState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nbpipeline.kernels.fork_service import Refusal

    monkeypatch.chdir(tmp_path)
    known = Refusals(cache)
    known.add("/usr/bin/python", Refusal(module="hangs", why="because"))
    (tmp_path / "new").write_text("the working folder has changed")
    assert [one.module for one in known.of("/usr/bin/python")] == ["hangs"]


def test_a_refusal_is_forgotten_when_its_package_changes(tmp_path: Path, cache: MemoryState) -> None:
    from nbpipeline.kernels.fork_service import Refusal

    file = tmp_path / "package.py"
    file.write_text("1")
    known = Refusals(cache)
    known.add("/usr/bin/python", Refusal(module="package", why="because", origin=str(file)))
    assert [one.module for one in known.of("/usr/bin/python")] == ["package"]
    assert not known.of("/usr/bin/python2")
    os.utime(file, ns=(1, 1))
    assert not known.of("/usr/bin/python")


def test_forks_share_memory(bench: Bench) -> None:
    module = Imported("pandas")
    bench.expect(module)
    rollup = "dict((one.split(':')[0], int(one.split()[1])) for one in open('/proc/self/smaps_rollup') if one.endswith('kB\\n'))"
    (found,) = bench.ask(rollup, imports=[module])
    private = found["Private_Dirty"] + found["Private_Clean"]
    assert private < found["Rss"] / 2, found


def test_a_stage_may_use_more_threads_than_its_server(bench: Bench) -> None:
    modules = [Imported("numpy"), Imported("threadpoolctl")]
    bench.expect(*modules)
    asked = "[one['num_threads'] for one in __import__('threadpoolctl').threadpool_info()]"
    many = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    bench.expect(*modules, **many)
    assert set(bench.ask(asked, imports=modules)[0]) == {1}
    assert set(bench.ask(asked, imports=modules, **many)[0]) == {2}


def test_kernels_die_with_their_server_and_the_next_ones_come_from_another(bench: Bench) -> None:
    bench.expect(count=8)
    manager = bench.kernels.manager(
        KernelNeed(kernel="", folder=str(bench.folder), environment=bench.environment)
    )

    async def killed() -> int | None:
        await manager.start_kernel()
        kernel = psutil.Process(manager.provisioner.pid)
        kernel.parent().send_signal(signal.SIGKILL)
        code = await asyncio.wait_for(manager.provisioner.wait(), 30)
        assert not psutil.pid_exists(kernel.pid) or kernel.status() == psutil.STATUS_ZOMBIE
        await manager.cleanup_resources()
        return code

    assert asyncio.run(killed()) == -signal.SIGKILL
    bench.ask("1")
    assert not bench.managers[-1].fallback


def test_a_server_that_is_killed_again_and_again_gives_way_to_plain_kernels(bench: Bench) -> None:
    bench.expect(count=8)
    for _ in range(2):
        manager = bench.kernels.manager(
            KernelNeed(kernel="", folder=str(bench.folder), environment=bench.environment)
        )

        async def killed(manager: Any = manager) -> None:
            await manager.start_kernel()
            psutil.Process(manager.provisioner.pid).parent().send_signal(signal.SIGKILL)
            await asyncio.wait_for(manager.provisioner.wait(), 30)
            await manager.cleanup_resources()

        asyncio.run(killed())
    assert bench.ask("1 + 1") == [2]
    assert bench.managers[-1].fallback == "the fork server was ended 2 times"


def test_an_interpreter_that_cannot_serve_gives_plain_kernels(bench: Bench, installed: Path) -> None:
    (installed / "ipykernel").mkdir()
    (installed / "ipykernel" / "__init__.py").write_text("raise ImportError('no ipykernel here')")
    bench.environment["LET"] = "1"
    bench.expect()
    manager = bench.kernels.manager(
        KernelNeed(kernel="", folder=str(bench.folder), environment=bench.environment)
    )
    with pytest.raises(Exception):  # noqa: B017 - the plain kernel cannot start there either
        asyncio.run(asyncio.wait_for(_started(manager), 30))
    assert manager.fallback == "the fork server does not start: ImportError: no ipykernel here"


async def _started(manager: Any, **how: Any) -> None:
    await manager.start_kernel(**how)
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=20)
    finally:
        client.stop_channels()
        if not how:
            await manager.shutdown_kernel(now=True)


def test_each_interpreter_and_its_flags_have_a_server_of_their_own(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, flags in (("one", []), ("two", ["-X", "utf8"])):
        folder = tmp_path / "jupyter" / "kernels" / name
        folder.mkdir(parents=True)
        argv = [sys.executable, *flags, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec = {"argv": argv, "display_name": name, "language": "python"}
        (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    expected = [
        KernelNeed(kernel=name, folder=str(bench.folder), environment=bench.environment)
        for name in ("one", "two", "one", "two")
    ]
    before = set(psutil.Process().children())
    bench.kernels.expect(expected)
    assert len(set(psutil.Process().children()) - before) == 2
    asked = "__import__('sys').flags.utf8_mode"
    assert [bench.ask(asked, kernel=name) for name in ("one", "two")] == [[0], [1]]
    assert not any(manager.fallback for manager in bench.managers)


def test_what_a_kernelspec_sets_holds_from_the_start_and_stays(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "set"
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    env = {"FROM_SPEC": "${HOME}/x", "PYTHONHASHSEED": "7"}
    spec = {"argv": argv, "display_name": "set", "language": "python", "env": env}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    one = KernelNeed(kernel="set", folder=str(bench.folder), environment=bench.environment)
    bench.kernels.expect([one] * 2)
    for spare in waiting(bench.kernels):
        spare.provisioner.child_asked.result(60)
    asked = ("__import__('os').environ['FROM_SPEC']", "hash('some text')")
    found = bench.ask(*asked, kernel="set")
    assert not bench.managers[0].fallback
    with ForkKernels(least=99) as plain:
        assert found == Bench(plain, bench.folder, bench.environment).ask(*asked, kernel="set")


def test_a_launch_that_is_given_up_leaves_the_others_alone(bench: Bench, installed: Path) -> None:
    os.mkfifo(bench.folder / "gate")
    slow = write(installed, "slow", f"open({str(bench.folder / 'gate')!r}).read()")
    bench.expect(slow, count=4)
    need = KernelNeed(kernel="", folder=str(bench.folder), environment=bench.environment, imports=(slow,))
    given_up = bench.kernels.manager(need)

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(given_up.start_kernel(), 0.5)

    asyncio.run(give_up())
    (bench.folder / "gate").write_text("go")  # waits until the server reads it
    assert bench.ask("1 + 1", imports=[slow]) == [2]
    assert not bench.managers[0].fallback
    child = given_up.provisioner.child_asked.result(60)
    assert child.ended.result(60) == -signal.SIGKILL


def test_a_kernel_that_is_no_ipykernel_is_a_plain_one(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "jupyter" / "kernels" / "other"
    folder.mkdir(parents=True)
    argv = ["/bin/sh", "-c", "exec", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "other", "language": "sh"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    one = KernelNeed(kernel="other", folder=str(bench.folder), environment=bench.environment)
    before = set(psutil.Process().children())
    bench.kernels.expect([one] * 3)
    assert set(psutil.Process().children()) == before
    manager = bench.kernels.manager(
        KernelNeed(kernel="other", folder=str(bench.folder), environment=bench.environment)
    )
    assert manager.kernel_spec.argv == argv


def test_a_file_that_a_library_reads_where_it_is_imported_counts(bench: Bench, installed: Path) -> None:
    module = write(installed, "placed", "import os\nmaker, place = os.getpid(), os.getcwd()")
    (bench.folder / "matplotlibrc").write_text("figure.dpi: 33\n")
    bench.expect(module)
    asked = ("__import__('placed').place", "__import__('placed').maker", "__import__('os').getpid()")
    place, maker, here = bench.ask(*asked, imports=[module])
    assert place == str(bench.folder)
    assert maker != here


def test_spawned_workers_start_in_the_kernels_folder(bench: Bench) -> None:
    (bench.folder / "beside.py").write_text("def triple(x):\n    return 3 * x\n")
    bench.expect(Imported("multiprocessing"))
    code = "import beside, multiprocessing\nwith multiprocessing.get_context('spawn').Pool(1) as pool: found = pool.map(beside.triple, range(3))"
    assert bench.ask("found", code=code) == [[0, 3, 6]]


def test_a_run_with_one_kernel_starts_no_server(bench: Bench) -> None:
    before = {one.pid for one in psutil.Process().children(recursive=True)}
    bench.expect(count=1)
    assert {one.pid for one in psutil.Process().children(recursive=True)} <= before
    assert bench.ask("1") == [1]


def test_kernels_wait_before_they_are_asked_for_and_go_when_nobody_comes(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    with ForkKernels() as kernels:
        one = KernelNeed(kernel="", folder=str(tmp_path), environment=dict(os.environ))
        kernels.expect([one] * 5)
        (server,) = set(psutil.Process().children()) - before
        pids = [spare.provisioner.child_asked.result(60).pid for spare in waiting(kernels)]
        assert len(pids) == 2
        assert {child.pid for child in server.children()} == set(pids)
    assert not any(psutil.pid_exists(pid) for pid in [server.pid, *pids])


def test_a_kernel_that_is_to_stay_outlives_its_server(tmp_path: Path) -> None:
    before = set(psutil.Process().children())
    environment = dict(os.environ)
    with ForkKernels() as kernels:
        kernels.expect([KernelNeed(kernel="", folder=str(tmp_path), environment=environment)] * 3)
        (server,) = set(psutil.Process().children()) - before
        for spare in waiting(kernels):
            spare.provisioner.child_asked.result(60)
        manager = kernels.manager(
            KernelNeed(kernel="", folder=str(tmp_path), environment=environment), stays=True
        )
        asyncio.run(_started(manager, independent=True))
        kernel = psutil.Process(manager.provisioner.pid)
        assert kernel.ppid() == server.pid
    try:
        with pytest.raises(psutil.TimeoutExpired):  # ipykernel looks for its parent every second
            kernel.wait(3)
        assert not server.is_running()
        assert kernel.ppid() != server.pid
    finally:
        kernel.kill()


def test_jupyter_client_finds_the_provisioner_by_its_entry_point(tmp_path: Path, installed: Path) -> None:
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    from nbpipeline.kernels.provisioner import ForkProvisioner

    write(installed, "warm", "import os\nmaker = os.getpid()")
    metadata = {
        "kernel_provisioner": {"provisioner_name": "nbpipeline-fork", "config": {"preload": ["warm"]}}
    }
    manager = AsyncKernelManager(connection_file=str(tmp_path / "kernel.json"))
    manager._kernel_spec = KernelSpec(
        argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        language="python",
        metadata=metadata,
    )

    async def asked() -> str:
        await manager.start_kernel(env={**os.environ, "PYTHONPATH": str(installed)}, cwd=str(tmp_path))
        assert isinstance(manager.provisioner, ForkProvisioner)
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            identity = client.execute(
                "", user_expressions={"own": "__import__('os').getpid() == __import__('warm').maker"}
            )
            while True:
                reply = await client.get_shell_msg(timeout=60)
                if reply["parent_header"].get("msg_id") == identity:
                    return str(reply["content"]["user_expressions"]["own"]["data"]["text/plain"])
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    assert asyncio.run(asked()) == "False"


def test_the_names_of_hidden_state_are_not_seen_by_cells(bench: Bench) -> None:
    bench.expect()
    (names,) = bench.ask(
        "sorted(one for one in globals() if 'nbpipeline' in one or one in ('run', 'leave', 'Server'))"
    )
    assert names == []
