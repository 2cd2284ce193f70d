"""`nbpipeline debug`: the kernel that a failed stage left, or a new one set up like the stage."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError, UsageError
from nbpipeline.kernels import registry
from nbpipeline.kernels.resolve import kernel_of
from nbpipeline.model import Fingerprint, Job, KernelNeed, StageInstance, canonical_id
from nbpipeline.run.folder import state_folder
from nbpipeline.stage import Backends
from nbpipeline.stage.environment import kernel_environment, write_context
from nbpipeline.stage.places import absolute
from nbpipeline.stage.prepare import assignments
from nbpipeline.values import dataclass

_READY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A kernel to attach to."""

    connection: Path
    notices: tuple[str, ...] = ()


def require_console() -> None:
    """Raise MissingPluginError where jupyter console is not installed."""
    if find_spec("jupyter_console") is None:
        raise MissingPluginError.of(
            "`debug` needs jupyter console, which is not installed.", mend=plugins.install("console")
        )


def kept(root: Path, name: str) -> Session | None:
    """Find the kernel that `run --on-failure keep` left for a stage. Raises UsageError for several."""
    found = registry.find_by_name(root, canonical_id(name))
    if not found:
        return None
    if len(found) > 1:
        raise UsageError.of(
            f"several instances of '{name}' left a kernel.",
            known=f"instances: {', '.join(one.stage for one in found)}",
            mend="name one of these",
        )
    one = found[0]
    since = time.strftime("%H:%M:%S", time.localtime(one.since))
    told = f"{one.stage}: the kernel that run {one.run or 'unknown'} left at {since}, with its variables"
    return Session(connection=Path(one.connection), notices=(told,))


@contextmanager
def fresh(instance: StageInstance, backends: Backends, root: Path) -> Iterator[Session]:
    """Start a kernel in the stage's folder and environment, with its declared names assigned; end it after.

    Raises UsageError where its kernelspec is not installed.
    """
    import asyncio  # noqa: PLC0415 - start-up is counted, and only kernels need it

    folder = state_folder(root) / "debug" / instance.slug
    folder.mkdir(parents=True, exist_ok=True)
    job = Job(root=str(root), run="debug", folder=str(folder), instance=instance, fingerprint=Fingerprint())
    name, notices = kernel_of(instance.spec)
    manager = backends.kernels.manager(
        KernelNeed(
            kernel=name,
            folder=str(absolute(root, instance.spec.working_folder)),
            environment=kernel_environment(job, "debug", write_context(job, folder)),
        )
    )
    values = declared(instance)
    with asyncio.Runner() as loop:
        loop.run(manager.start_kernel())
        try:
            loop.run(_assign(manager, assignments(instance, values) if values else ""))
            told = f"{instance.id}: a new kernel; defined: {', '.join(values) or 'nothing'}"
            yield Session(connection=Path(manager.connection_file), notices=(*notices, told))
        finally:
            loop.run(manager.shutdown_kernel(now=True))


def declared(instance: StageInstance) -> Mapping[str, Any]:
    """Give every name that the pipeline would define, with its value."""
    artifacts = (*instance.inputs, *instance.outputs)
    return {
        **dict(instance.axes),
        **instance.parameters,
        **{one.name: one.value for one in artifacts},
    }


async def _assign(manager: Any, code: str) -> None:
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=_READY_SECONDS)
        if code:
            await client.execute_interactive(code, silent=True, timeout=_READY_SECONDS)
    finally:
        client.stop_channels()
