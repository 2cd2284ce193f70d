"""The part of an exported flow that is the same for every pipeline: the task that runs one stage."""

from collections.abc import Mapping

from nbpipeline.exporters.rendering.source import text
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model.exported import ExportGiven, Workflow

_IMPORTS = """
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import {contexts}
from pathlib import Path
from typing import {typing}

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.blocks.system import Secret
from prefect.cache_policies import NO_CACHE
{concurrency}from prefect.exceptions import TerminationSignal
from prefect.futures import wait
{pydantic}
PROJECT = (Path(__file__).parent / {to_root}).resolve()
EXECUTED = PROJECT / {executed}  # executed notebooks, a folder a flow run
TOO_LATE, STOPPED, NOT_FOUND = 124, 130, 127
RETRIED = {{1, 7, TOO_LATE}}  # exit codes: its notebook failed, another run holds it; a failed check is 4
PATIENCE = 25.0  # seconds for commands to restore what they changed; Prefect has 30
RUNNING: set[subprocess.Popen[str]] = set()
STOPPING = threading.Event()
"""

_TASK = '''

class StageFailedError(Exception):
    """`nbpipeline run-stage` ended with an exit code that is no success."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def is_worth_another_try(task: Any, task_run: Any, state: Any) -> bool:
    """Say whether a further try may end otherwise; checks, and a pipeline that is wrong, stay as they are."""
    try:
        state.result()
    except StageFailedError as error:
        return not STOPPING.is_set() and (error.code in RETRIED or error.code < 0)
    except Exception:
        return True
    return False


# Prefect's cache stays off: `run-stage` skips what is fresh by the fingerprint of code, modules, parameters,
# inputs, and environment, and brings lost outputs back; a second key would know less, and skip too much.
@task(
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=is_worth_another_try,
)
def run_stage(
    stage: str,
    command: list[str],
    settings: dict[str, Any],
    key: str,
    cores: int = 1,
    memory_mb: int = 0,
    gpus: int = 0,
    limit: float | None = None,
    secrets: dict[str, str] | None = None,
) -> None:
    """Run one stage's notebook, and leave what became of it as artifacts whose keys begin with `key`."""
    folder = EXECUTED / str(runtime.flow_run.id)
    notebook, told = folder / f"{key}.ipynb", folder / f"{key}.json"
    told.unlink(missing_ok=True)  # of an earlier try
    words = [*command, "--params", json.dumps(settings), "--executed", str(notebook), "--result", str(told)]
    environment = {**os.environ, **secret_values(secrets or {})}
    with resources(cores, memory_mb, gpus):
        code, last = run(words, environment, limit)
    result = json.loads(told.read_text(encoding="utf-8")) if told.exists() else {}
    if result:
        leave_artifacts(stage, key, result)
    if code:
        failure = result.get("failure") or {"where": stage, "what": last}
        raise StageFailedError(f"{failure['where'] or stage}: {failure['what']} (exit code {code})", code)


def run(words: list[str], environment: dict[str, str], limit: float | None) -> tuple[int, str]:
    """Run a command, and tell the log what it says; gives its exit code and its last line."""
    if STOPPING.is_set():
        raise StageFailedError("the flow is being stopped", STOPPED)
    try:
        process = subprocess.Popen(
            words,
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # it is told once that it has to end, by `ended_with_the_flow`
        )
    except FileNotFoundError as error:
        raise StageFailedError(f"the worker's PATH has no `{error.filename}`", NOT_FOUND) from error
    RUNNING.add(process)
    if STOPPING.is_set():
        process.terminate()
    last, logger = "", get_run_logger()
    with ended_when_late(process, limit) as late:
        for line in process.stdout or ():
            logger.info("%s", line.rstrip("\\n"))
            last = line.strip() or last
        code = process.wait()
    RUNNING.discard(process)
    return (TOO_LATE, f"it did not end within {limit:.0f} s") if late.is_set() else (code, last)


@contextmanager
def ended_when_late(process: subprocess.Popen[str], limit: float | None) -> Iterator[threading.Event]:
    """End a command that outlives its time limit: Prefect's `timeout_seconds` would count waits for cores."""
    late = threading.Event()

    def end() -> None:
        late.set()
        process.terminate()
        try:
            process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()

    timer = threading.Timer(min(limit or 0, threading.TIMEOUT_MAX), end)
    timer.daemon = True
    if limit is not None:
        timer.start()
    try:
        yield late
    finally:
        timer.cancel()


@contextmanager
def ended_with_the_flow() -> Iterator[None]:
    """Pass on that the flow ends early, cancelled or with its worker: commands restore what they changed."""
    STOPPING.clear()
    try:
        yield
    except (TerminationSignal, KeyboardInterrupt):
        STOPPING.set()
        ending, deadline = list(RUNNING), time.monotonic() + PATIENCE
        for process in ending:
            process.terminate()
        for process in ending:  # the end of this process may be the end of its container
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.0, deadline - time.monotonic()))
        raise


def secret_values(blocks: dict[str, str]) -> dict[str, str]:
    """Give the variables that are not in the environment, from their Secret blocks."""
    found = {}
    for variable, block in blocks.items():
        if variable not in os.environ:
            try:
                found[variable] = str(Secret.load(block).get())
            except ValueError:  # there is no such block; `run-stage` says that it is missing
                get_run_logger().warning("neither a variable %s nor a Secret block '%s'", variable, block)
    return found


def leave_artifacts(stage: str, key: str, result: dict[str, Any]) -> None:
    """Leave a summary, metrics, checks, and the executed notebook as artifacts of the task run."""
    create_markdown_artifact(key=f"{key}-result", markdown=summary(stage, result), description=stage)
    if result["metrics"]:
        rows = [{"metric": name, "value": value} for name, value in result["metrics"].items()]
        create_table_artifact(key=f"{key}-metrics", table=rows, description=f"{stage}: metrics")
    if result["checks"]:
        create_table_artifact(key=f"{key}-checks", table=result["checks"], description=f"{stage}: checks")
    if result["notebook"]:
        link = Path(result["notebook"]).as_uri()
        create_link_artifact(
            key=f"{key}-notebook", link=link, link_text="executed notebook", description=stage
        )


def summary(stage: str, result: dict[str, Any]) -> str:
    """Write what became of a stage as Markdown; what is not ours stands in code."""
    rows = [f"# `{stage}`: {result['status']}", "", f"Run `{result['run']}`, {result['seconds']:.1f} s."]
    if result["failure"]:
        told = "\\n".join(result["failure"][name] for name in ("where", "what", "known", "mend"))
        rows += ["", *(f"    {line}" for line in told.splitlines() if line)]
    if result["parameters"]:
        rows += ["", "## Parameters", ""]
        rows += [f"    {name} = {json.dumps(value)}" for name, value in result["parameters"].items()]
    if result["outputs"]:
        rows += ["", "## Outputs", ""]
        rows += [f"    {one['path']}  {one['bytes']} bytes  {one['digest']}" for one in result["outputs"]]
    return "\\n".join(rows) + "\\n"
'''

_CORES = '''

class Cores:
    """The machine's cores: tasks that run side by side take no more than there are."""

    def __init__(self, number: int) -> None:
        self.number = self.free = number
        self.changed = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        wanted = min(wanted, self.number)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= wanted)
            self.free -= wanted
        try:
            yield
        finally:
            with self.changed:
                self.free += wanted
                self.changed.notify_all()


CORES = Cores(os.cpu_count() or 1)


@contextmanager
def resources(cores: int, memory_mb: int, gpus: int) -> Iterator[None]:
    """Wait until so many cores are free; what counts memory and GPUs is `export --set limits=NAME`."""
    del memory_mb, gpus
    with CORES.taken(cores):
        yield
'''

_LIMITS = '''

@contextmanager
def resources(cores: int, memory_mb: int, gpus: int) -> Iterator[None]:
    """Take slots of the global concurrency limits; a missing one is an error, for it limits nothing."""
    wanted = {{"cores": cores, "memory-mb": memory_mb, "gpus": gpus}}
    how: dict[str, Any] = {{"strict": True, "raise_on_lease_renewal_failure": False}}  # what runs may go on
    with ExitStack() as held:
        for name, slots in wanted.items():
            if slots:
                held.enter_context(concurrency(f"{{LIMITS}}-{{name}}", occupy=slots, **how))
        yield


LIMITS = {name}
'''

NAMES = frozenset(
    {
        "json",
        "os",
        "subprocess",
        "threading",
        "flow",
        "task",
        "wait",
        "run",
        "run_stage",
        "resources",
        "runtime",
    }
    | {"summary", "secret_values", "leave_artifacts", "is_worth_another_try", "ended_with_the_flow"}
    | {"ended_when_late", "concurrency", "contextmanager", "get_run_logger"}
    | {"create_link_artifact", "create_markdown_artifact", "create_table_artifact", "suppress", "time"}
)
"""What the flow's function must not be called."""


def source(workflow: Workflow, given: ExportGiven, typing: Mapping[str, bool]) -> list[str]:
    """Write the imports and the task."""
    del workflow
    limits = given.options.get("limits", "")
    head = _IMPORTS.format(
        contexts=("ExitStack, " if limits else "") + "contextmanager, suppress",
        typing=", ".join(sorted(["Any", *(name for name, used in typing.items() if used)])),
        concurrency="from prefect.concurrency.sync import concurrency\n" if limits else "",
        pydantic="from pydantic import Field\n" if typing["Annotated"] else "",
        to_root=text(given.to_root),
        executed=text(f"{STATE_FOLDER}/prefect"),
    )
    tail = _LIMITS.format(name=text(limits)) if limits else _CORES
    return [head.strip("\n"), _TASK.strip("\n").join(("\n\n", "")), tail.strip("\n").join(("\n\n", ""))]
