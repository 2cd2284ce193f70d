"""What `doctor` looks at of the installation: Python, the kernels, and whether they can be forked."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import TimeoutError as LateError

from nbpipeline import __version__
from nbpipeline.errors import NbpipelineError
from nbpipeline.fingerprint.kernels import KernelSpec, find_kernel
from nbpipeline.kernels.fork_service import ForkServer, NoForkError, forkable
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.model import ProjectSpec
from nbpipeline.upkeep.finding import Finding

_OLDEST = (3, 11)
_PROBE_SECONDS = 30.0


def python() -> Iterator[Finding]:
    """Look at the Python that runs nbpipeline."""
    version = ".".join(str(one) for one in sys.version_info[:3])
    what = f"{version} at {sys.executable}, nbpipeline {__version__}"
    good = sys.version_info >= _OLDEST
    yield Finding(
        subject="Python",
        state="good" if good else "bad",
        what=what,
        mend="" if good else "install nbpipeline with Python 3.11 or newer",
    )


def kernels(project: ProjectSpec) -> Iterator[Finding]:
    """Look at each kernel that a stage asks for: is it installed, and can its Python be one."""
    wanted: dict[tuple[str | None, str], list[str]] = {}
    for one in project.stages:
        key = (one.kernel or one.notebook.kernel, one.notebook.language)
        wanted.setdefault(key, []).append(one.name)
    for (name, language), stages in wanted.items():
        subject = f"kernel {name or language}"
        try:
            found = find_kernel(name, language)
        except NbpipelineError as error:
            first = error.complaints[0]
            yield Finding(subject=subject, state="bad", what=first.what, mend=first.mend)
            continue
        if found.fallback and name:
            what = f"not installed; {', '.join(stages)} run in the Python that runs nbpipeline"
            yield Finding(
                subject=subject, state="warning", what=what, mend=f"install a kernelspec named {name}"
            )
        yield from _probe(subject, found)


def _probe(subject: str, kernel: KernelSpec) -> Iterator[Finding]:
    program = shutil.which(kernel.argv[0]) if kernel.argv else None
    if program is None:
        what = f"its program {kernel.argv[0] if kernel.argv else '(none)'} is not there"
        yield Finding(subject=subject, state="bad", what=what, mend="install the kernelspec again")
        return
    if "ipykernel" not in " ".join(kernel.argv):
        yield Finding(subject=subject, state="good", what=program)
        return
    answer = _ask(program)
    if answer:
        mend = f"{program} -m pip install --upgrade ipykernel"
        yield Finding(subject=subject, state="bad", what=f"{program} cannot run it: {answer}", mend=mend)
    else:
        yield Finding(subject=subject, state="good", what=program)


def _ask(program: str) -> str:
    """Let an interpreter import ipykernel; gives what it says against it, empty where nothing."""
    try:
        done = subprocess.run(  # noqa: S603 - the kernelspec's own interpreter
            [program, "-c", "import ipykernel"],
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it failed"])[-1]


def warm_kernels(project: ProjectSpec, refusals: Refusals) -> Iterator[Finding]:
    """Look at whether each interpreter can fork its kernels, and which modules it leaves to the stages."""
    subject = "warm kernels"
    if project.kernels == "plain":
        yield Finding(subject=subject, state="good", what="not wanted: pipeline.yaml says `kernels: plain`")
        return
    specs = {find_kernel(one.kernel or one.notebook.kernel, one.notebook.language) for one in project.stages}
    places = {one.argv: forkable(one.argv) for one in specs}
    commands = {argv[: place - 2] for argv, place in places.items() if place is not None}
    for command in sorted(commands):
        why = _unforkable(command)
        what = f"{command[0]} forks them"
        if why:
            what = f"{command[0]} forks none, so that each is started anew: {why}"
        mend = "`kernels: plain` in pipeline.yaml, or mend what is named" if why else ""
        yield Finding(subject=subject, state="warning" if why else "good", what=what, mend=mend)
    for interpreter, one in refusals.all():
        what = f"{one.module} is left to its stages by {interpreter}: {one.why}"
        yield Finding(subject=subject, state="good", what=what)


def _unforkable(command: tuple[str, ...]) -> str:
    """Start a server and end it; says why it does not come up, empty where it does."""
    try:
        server = ForkServer(command, os.environ, ())
    except OSError as error:
        return str(error)
    try:
        server.ready.result(_PROBE_SECONDS)
    except NoForkError as error:
        return str(error)
    except LateError:
        return f"it is not up in {_PROBE_SECONDS:g} s"
    finally:
        server.close()
    return ""
