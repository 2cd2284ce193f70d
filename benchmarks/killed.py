"""Killed in mid-write: what is left of the last good output, and what the next command makes of it.

    python -m benchmarks.killed [--only nbpipeline,dvc]

A stage has run and its output is good. Its code is changed; while the new version is half-way through writing
the same file, the runner and all that it started are killed (SIGKILL). Then the file is looked at: as it is;
after the runner's command that says or mends its state; and after the next run. Twice: with the changed code,
which the next run has to finish, and with the edit taken back, where the good file is the right one and a
half one is silently wrong.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import machine, measure, work
from benchmarks.environments import Environment, default_cache
from benchmarks.peers import TAIL, Bench, located, prepare
from benchmarks.results_file import FOLDER
from benchmarks.runners import BARE, select
from benchmarks.runners.runner import Runner

HOLD = "BENCHMARK_HOLD"  # environment variable: while this file is there, the stage stops half-way
FIRST, SECOND = 1, 2
PATIENCE = 180.0
LINES = 8  # of what the next run said
STAGE = "source"

SLOW_WORK = f"""\
import time

with open(os.environ["{{variable}}"], "a") as trace:
    trace.write("{{name}}\\n")
step = {{step}}
with open(output, "w") as stream:
    stream.write(f"first half of {{{{step}}}}\\n")
    stream.flush()
    while os.path.exists(os.environ["{HOLD}"]):
        open(os.environ["{HOLD}"] + ".reached", "w").close()
        time.sleep(0.02)
    stream.write(f"second half of {{{{step}}}}\\n")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What one kill left: words for the state of the file, and exit codes."""

    runner: str
    edit: str  # "kept" or "taken back"
    killed: str  # the file right after the kill
    status: str  # the file after the status command
    status_command: str
    code: int  # of the next run
    after: str  # the file after it
    ran: bool  # the stage ran in it
    said: str  # the end of what the next run said


def whole(step: int) -> str:
    """Give the text that a finished stage has written."""
    return f"first half of {step}\nsecond half of {step}\n"


def state(path: Path) -> str:
    """Put the state of the output in a word."""
    if not path.is_file():
        return "absent"
    words = {
        whole(FIRST): "last good",
        whole(SECOND): "new",
        whole(SECOND).splitlines(keepends=True)[0]: "half",
    }
    return words.get(path.read_text(encoding="utf-8"), "something else")


def kill(root: int) -> None:
    """Kill a process and all that it started, itself first so that it cannot react."""
    doomed = [root, *(entry.pid for entry in measure.tree(root))]
    while doomed:
        for pid in doomed:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        measure.reap()
        doomed = [entry.pid for entry in measure.tree(os.getpid())]


def cut(bench: Bench, variables: dict[str, str]) -> None:
    """Start the runner, wait until the stage is half-way, and kill everything."""
    hold = Path(variables[HOLD])
    reached = hold.with_name(hold.name + ".reached")
    reached.unlink(missing_ok=True)
    hold.touch()
    with (bench.folder / "killed.log").open("wb") as log:
        child = subprocess.Popen(
            located(bench.runner.command, bench.environment),
            cwd=bench.project,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE
    while not reached.exists() and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.02)
    met = reached.exists()
    kill(child.pid)
    child.returncode = -signal.SIGKILL
    hold.unlink()
    if not met:
        said = (bench.folder / "killed.log").read_text(encoding="utf-8", errors="replace")
        raise RuntimeError(f"{bench.runner.name}: the stage never came half-way\n{bench.tidy(said)[-TAIL:]}")


def attempt(bench: Bench, *, taken_back: bool) -> Trial:
    """Make a good output, kill the next attempt half-way, and look."""
    stage = work.Stage(name=STAGE, upstream=(), step=FIRST, text=SLOW_WORK)
    output = bench.project / stage.output
    bench.fresh((stage,))
    hold = {HOLD: str(bench.folder / "hold")}
    first = bench.call(bench.runner.command, hold)
    if first.returncode != 0 or state(output) != "last good":
        raise RuntimeError(f"{bench.runner.name}: the first run failed\n{bench.tidy(first.stdout)[-TAIL:]}")
    work.edit(bench.project, stage, SECOND)
    cut(bench, bench.variables() | hold)
    killed = state(output)
    if taken_back:
        work.edit(bench.project, work.changed((stage,), STAGE, SECOND)[0], FIRST)
    if bench.runner.status:
        bench.call(bench.runner.status, hold)
    looked = state(output) if bench.runner.status else ""
    bench.trace.write_text("", encoding="utf-8")
    again = bench.call(bench.runner.command, hold)
    return Trial(
        runner=bench.runner.name,
        edit="taken back" if taken_back else "kept",
        killed=killed,
        status=looked,
        status_command=" ".join(bench.runner.status),
        code=again.returncode,
        after=state(output),
        ran=bool(bench.trace.read_text(encoding="utf-8")),
        said="\n".join(bench.tidy(again.stdout).splitlines()[-LINES:]),
    )


def try_all(runners: Sequence[Runner], scratch: Path, cache: Path) -> Iterator[Trial | str]:
    """Kill each runner twice; one that cannot be tried is told by what it said."""
    measure.adopt_orphans()
    made = prepare(runners, cache)
    for runner in runners:
        environment = made[runner.environment]
        for taken_back in (False, True):
            try:
                if not isinstance(environment, Environment):
                    raise RuntimeError(f"{runner.name}: not installed\n{environment}")  # noqa: TRY004, TRY301
                bench = Bench(runner=runner, environment=environment, folder=scratch / "killed", dag=())
                yield attempt(bench, taken_back=taken_back)
            except RuntimeError as error:
                yield str(error)
    shutil.rmtree(scratch / "killed", ignore_errors=True)


def tell(one: Trial | str) -> None:
    """Print a line of progress."""
    if isinstance(one, str):
        print(f"  {one}", flush=True)
        return
    ends = f"{one.after} ({'ran' if one.ran else 'did not run'}, exit code {one.code})"
    print(f"  {one.runner:24} edit {one.edit:10} {one.killed}, {one.status or '-'}, {ends}", flush=True)


def save(path: Path, found: Sequence[Trial | str]) -> None:
    """Keep what was found."""
    document = {
        "machine": machine.describe(),
        "trials": [asdict(one) for one in found if isinstance(one, Trial)],
        "failed": [one for one in found if isinstance(one, str)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def load(path: Path) -> tuple[list[Trial], list[str]]:
    """Read what `save` wrote."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return [Trial(**one) for one in document["trials"]], document["failed"]


def main(arguments: Sequence[str]) -> int:
    """Kill, look, keep; exit code 1 when a runner could not be tried."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.killed", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="runners, separated by commas; a part of the name will do")
    parser.add_argument("--scratch", type=Path, required=True, help="a folder for projects")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="where environments are kept")
    parser.add_argument("--results", type=Path, default=FOLDER / "killed.json")
    options = parser.parse_args(arguments)
    chosen = [runner for runner in select(options.only) if runner.peer or not runner.needs]
    found: list[Trial | str] = []
    for one in try_all([one for one in chosen if one.name != BARE], options.scratch, options.cache):
        found.append(one)
        save(options.results, found)
        tell(one)
    return int(any(isinstance(one, str) for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
