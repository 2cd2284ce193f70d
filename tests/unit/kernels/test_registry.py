"""Kernels kept for `debug`: real ones, taken out of the run that started them."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from nbpipeline.kernels import registry
from nbpipeline.kernels.plain import PlainKernels
from nbpipeline.model import KernelNeed
from nbpipeline.upkeep import debugging


def start_kernel(root: Path, idle: float = 3600.0) -> registry.KeptKernel:
    """A kernel as a stage gets it, kept when its run's kernels are closed."""

    async def start() -> registry.KeptKernel:
        with PlainKernels() as kernels:
            manager = kernels.manager(KernelNeed(kernel="", folder=str(root), environment=dict(os.environ)))
            await manager.start_kernel(independent=True)
            client = manager.client()
            client.start_channels()
            await client.wait_for_ready(timeout=60)
            await client.execute("kept = 41", reply=True)
            client.stop_channels()
            return registry.keep(
                root,
                "train[region=eu]",
                run="r1",
                connection=manager.connection_file,
                pid=manager.provisioner.pid,
                idle=idle,
            )

    return asyncio.run(start())


@pytest.fixture
def kept(root: Path):
    found = start_kernel(root)
    yield found
    registry.end(root, found)


def ask(kept: registry.KeptKernel, code: str) -> str:
    client = BlockingKernelClient(connection_file=kept.connection)
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        reply = client.execute_interactive(
            "", user_expressions={"value": code}, timeout=30, store_history=False
        )
        return reply["content"]["user_expressions"]["value"]["data"]["text/plain"]
    finally:
        client.stop_channels()


def test_a_kept_kernel_answers_after_its_run_with_its_state(root, kept):
    assert registry.find(root, "train[region=eu]") == kept
    assert registry.find_by_name(root, "train") == (kept,)
    assert registry.find_by_name(root, "trai") == ()
    attached = debugging.kept(root, "train@region=eu")
    assert attached is not None, "the way to write an instance that no shell expands finds it too"
    assert attached.connection == Path(kept.connection)
    assert registry.kept_kernels(root) == (kept,)
    assert ask(kept, "kept + 1") == "42"
    assert ask(kept, "__import__('os').getcwd()") == repr(str(root))
    assert oct(Path(kept.connection).parent.stat().st_mode & 0o777) == "0o700"
    assert oct(Path(kept.connection).stat().st_mode & 0o777) == "0o600"


def test_it_stays_on_the_file_system_of_its_run_wherever_that_is(root, tmp_path, monkeypatch):
    place = tmp_path / "k"
    place.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    kept = start_kernel(root)
    try:
        assert Path(kept.connection).parent.parent == place
    finally:
        registry.end(root, kept)


def test_ending_it_leaves_nothing(root, kept):
    registry.end(root, kept)
    assert not psutil.pid_exists(kept.pid) or psutil.Process(kept.pid).status() == psutil.STATUS_ZOMBIE
    assert not Path(kept.connection).parent.exists()
    assert registry.find(root, kept.stage) is None
    assert list((root / ".nbpipeline" / "kernels").iterdir()) == []


def test_a_second_one_of_the_stage_ends_the_first(root, kept):
    second = start_kernel(root)
    try:
        assert not registry.is_alive(kept)
        assert registry.find(root, kept.stage) == second
    finally:
        registry.end(root, second)


def test_a_dead_one_is_forgotten(root, kept):
    process = psutil.Process(kept.pid)
    process.kill()
    process.wait(10)
    assert registry.find(root, kept.stage) is None
    assert not Path(kept.connection).parent.exists()


def test_an_idle_one_is_ended_by_its_warden(root):
    kept = start_kernel(root, idle=0.5)
    psutil.Process(kept.pid).wait(60)
    psutil.Process(kept.warden).wait(60)
    assert registry.find(root, kept.stage) is None
    assert not Path(kept.connection).parent.exists()


def test_a_damaged_entry_is_no_kernel(root):
    folder = root / ".nbpipeline" / "kernels"
    folder.mkdir(parents=True)
    (folder / "train.json").write_text('{"stage": "tr')
    assert registry.find(root, "train") is None
    assert registry.kept_kernels(root) == ()
