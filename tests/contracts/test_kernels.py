"""What every source of kernels must do (`ports.Kernels`)."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import outlasting

from nbpipeline.errors import UsageError
from nbpipeline.kernels.fork import ForkKernels
from nbpipeline.kernels.plain import PlainKernels
from nbpipeline.model import KernelNeed
from nbpipeline.ports import Kernels

IMPLEMENTATIONS: list[Callable[[], AbstractContextManager[Kernels]]] = [PlainKernels, ForkKernels]


def expected(kernels: Kernels, kernel: str, folder: Path, *environments: Mapping[str, str]) -> None:
    """Say that kernels come, so that a source that can prepare for them has."""
    kernels.expect(
        [KernelNeed(kernel=kernel, folder=str(folder), environment=one) for one in environments] * 2
    )


@pytest.fixture(params=IMPLEMENTATIONS)
def kernels(request: pytest.FixtureRequest) -> Any:
    with request.param() as made:
        yield made


async def answered(client: Any) -> dict[str, Any]:
    """The next answer to expressions; replies to what was asked before are passed over."""
    while True:
        reply = await client.get_shell_msg(timeout=60)
        if "user_expressions" in reply["content"]:
            return reply["content"]["user_expressions"]


def ask(manager: Any, *expressions: str) -> list[str]:
    """Start the kernel, evaluate expressions, end it."""

    async def talk() -> list[str]:
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=60)
            wanted = {str(n): one for n, one in enumerate(expressions)}
            client.execute("", silent=True, store_history=False, user_expressions=wanted)
            answers = await answered(client)
            return [answers[str(n)]["data"]["text/plain"] for n in range(len(expressions))]
        finally:
            client.stop_channels()
            await manager.shutdown_kernel(now=True)

    return asyncio.run(talk())


def test_the_kernel_gets_folder_and_environment_and_nothing_else(kernels: Kernels, tmp_path: Path) -> None:
    environment = {**os.environ, "ONLY_HERE": "yes"}
    environment.pop("HOME", None)
    before = Path.cwd()
    expected(kernels, "", tmp_path, environment)
    manager = kernels.manager(KernelNeed(kernel="", folder=str(tmp_path), environment=environment))
    found = ask(
        manager,
        "__import__('os').getcwd()",
        "__import__('os').environ['ONLY_HERE']",
        "'HOME' in __import__('os').environ",
        "__import__('sys').executable",
    )
    assert found == [repr(str(tmp_path)), "'yes'", "False", repr(sys.executable)]
    assert not manager.fallback
    assert Path.cwd() == before
    assert "ONLY_HERE" not in os.environ


def test_parallel_kernels_do_not_meet(kernels: Kernels, tmp_path: Path) -> None:
    environments = [{**os.environ, "N": str(n)} for n in range(4)]
    expected(kernels, "python3", tmp_path, *environments)
    managers = [
        kernels.manager(KernelNeed(kernel="python3", folder=str(tmp_path), environment=one))
        for one in environments
    ]

    async def started() -> list[str]:
        await asyncio.gather(*(one.start_kernel() for one in managers))
        try:
            return [await number(one) for one in managers]
        finally:
            await asyncio.gather(*(one.shutdown_kernel(now=True) for one in managers))

    async def number(manager: Any) -> str:
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        client.execute("", silent=True, user_expressions={"n": "__import__('os').environ['N']"})
        answers = await answered(client)
        client.stop_channels()
        return str(answers["n"]["data"]["text/plain"])

    assert asyncio.run(started()) == ["'0'", "'1'", "'2'", "'3'"]


def test_a_kernel_that_is_not_installed(kernels: Kernels, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        kernels.manager(KernelNeed(kernel="nobody-s", folder=str(tmp_path), environment={}))
    text = str(caught.value)
    assert text.startswith("kernel 'nobody-s' is not installed.\n  installed kernels: ")
    assert text.endswith("  mend: name one of them under `kernel:` in the header, or install it")


def test_connection_files_are_private_and_go_away(tmp_path: Path) -> None:
    with PlainKernels() as kernels:
        manager = kernels.manager(KernelNeed(kernel="", folder=str(tmp_path), environment=os.environ))
        folder = Path(manager.connection_file).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(os.fsencode(f"{manager.ip}-5")) <= 103
        assert manager.transport == "ipc"
    assert not folder.exists()
    with pytest.raises(RuntimeError, match="outside its `with` block"):
        kernels.manager(KernelNeed(kernel="", folder=str(tmp_path), environment={}))


def test_folders_of_killed_runners_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    dead = tmp_path / f"nbpipeline-{ended.pid}-abc"
    alive = tmp_path / f"nbpipeline-{os.getpid()}-abc"
    dead.mkdir()
    alive.mkdir()
    with PlainKernels():
        assert not dead.exists()
        assert alive.exists()


def test_a_long_runtime_folder_gives_ports_instead_of_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with PlainKernels() as kernels:
        manager = kernels.manager(KernelNeed(kernel="", folder=str(tmp_path), environment=os.environ))
        assert manager.transport == "tcp"
        assert ask(manager, "1 + 1") == ["2"]


RUNNER = """
import asyncio, os, sys
from pathlib import Path
from nbpipeline.kernels.fork import ForkKernels
from nbpipeline.kernels.plain import PlainKernels
from nbpipeline.model import KernelNeed

async def main():
    with {kind}() as kernels:
        kernels.expect([KernelNeed(kernel="", folder=os.getcwd(), environment=dict(os.environ))] * 2)
        manager = kernels.manager(KernelNeed(kernel="", folder=os.getcwd(), environment=os.environ))
        await manager.start_kernel()
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        client.execute("import time\\nwhile True: time.sleep(0.01)")
        print(manager.provisioner.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["PlainKernels", "ForkKernels"])
def test_a_kernel_dies_with_its_runner_even_by_sigkill(kind: str, tmp_path: Path) -> None:
    runner = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(RUNNER.format(kind=kind))],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    kernel = psutil.Process(int(runner.stdout.readline()))
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert not outlasting([kernel], 5)
