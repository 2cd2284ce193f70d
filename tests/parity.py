"""Every target runs the zoo, and is compared with `nbpipeline run`.

    python tests/parity.py                       # all targets; writes rows of docs/reference/parity.md where nothing differs
    python tests/parity.py snakemake dvc         # these alone; writes their rows
    python tests/parity.py -j 2 --no-page        # two targets side by side; writes nothing
    python tests/parity.py dask --case fresh     # one case

A target is a module in tests/runners with `NAME`, `QUICK` (the cases that .ci/run takes; the others are this program's) and
`run(project, case, place)`, which exports, has the target run all of the pipeline, returns when it has ended, well or not, and gives
what it said. `again(project, case, place)` runs what is exported once more. `CANNOT` names the cases that it cannot run here, with why;
`NOTHING` is a pattern that stands in what it says of a run with nothing to do, and not in what it says of others; `PACKAGE` is
the distribution whose version is told. NAME.lock beside it pins the environment that it runs in; `ENVIRONMENT` names another's, or none. `validate(project, case, place)` in place of
`run` gives complaints about the files of a target that runs on no single machine; what only a run could show it cannot tell: `NEVER_RUN` goes into its `CANNOT`. `TITLE` names what is no exporter.
"""

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import zoo  # noqa: E402
from builders import command  # noqa: E402
from filelock import FileLock  # noqa: E402

import nbpipeline  # noqa: E402
from nbpipeline import plugins  # noqa: E402

RUNNERS = HERE / "runners"
PAGE = HERE.parent / "docs/reference/parity.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbpipeline-tests"


NEVER_RUN = dict.fromkeys(
    ("failing", "failing_check", "retried", "backoff", "fresh", "changed", "apart"),
    "only a run shows it, and the service has run nothing",
)
"""Cases of what becomes of a run, with why a target that is only validated tells nothing of them."""
NO_SECRETS = {"secrets": "refused: the target has no word for secrets"}


@dataclass(frozen=True)
class Place:
    """Where a target lives while it runs a case."""

    bin: Path
    """Folder of the programs of the target's own environment."""
    scratch: Path
    """An empty folder, outside the project."""
    environment: Mapping[str, str]
    """Variables for its processes: the target's programs and `nbpipeline` are on PATH, HOME is in `scratch`."""

    def run(
        self, *words: str, cwd: Path, timeout: float = 900, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end; never raises on its exit code."""
        return subprocess.run(
            words,
            cwd=cwd,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def targets() -> tuple[str, ...]:
    """Name all exporters, and what else has a runner."""
    return tuple(sorted({*plugins.BUILT_IN["exporters"], *(one.stem for one in RUNNERS.glob("*.py"))}))


def runner(name: str) -> Any:
    """Load a runner; None for a target that has none."""
    return import_module(f"runners.{name}") if (RUNNERS / f"{name}.py").exists() else None


def environment_of(name: str) -> Path:
    """Make the target's own environment from its lock, or find it made; gives its folder of programs.

    Kept by the lock's digest in the user's cache, which may be deleted at any time.
    """
    lock = RUNNERS / f"{name}.lock"
    if not lock.exists():
        return Path(sys.executable).parent
    key = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = CACHE / f"{name}-{key}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "ready").exists():
            shutil.rmtree(folder, ignore_errors=True)
            install(lock, folder)
            (folder / "ready").touch()
    return folder / "bin"


def install(lock: Path, folder: Path) -> None:
    """Make a virtual environment of what a lock pins."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    for words in (
        [sys.executable, "-m", "venv", str(folder)],
        [
            str(folder / "bin/python"),
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--no-compile",
            "-r",
            str(lock),
        ],
    ):
        subprocess.run(words, env=environment, check=True, timeout=1500)


def place_for(name: str, scratch: Path) -> Place:
    """Give a target its environment and an empty home."""
    folder = environment_of(name)
    scratch.mkdir(parents=True, exist_ok=True)
    own = Path(sys.executable).parent
    kept = {key: value for key, value in os.environ.items() if key in {"LANG", "LC_ALL", "TMPDIR", "TZ"}}
    path = f"{folder}{os.pathsep}{own}{os.pathsep}{os.environ['PATH']}"
    return Place(
        bin=folder,
        scratch=scratch,
        environment={**kept, "PATH": path, "HOME": str(scratch), "MPLBACKEND": "agg"},
    )


def exported(project: Path, target: str, *options: str) -> Path:
    """Export a project as its user would; gives the folder. Raises AssertionError where that fails."""
    done = command("export", target, *options, cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr
    again = command("export", target, *options, "--check", cwd=project)
    assert again.returncode == 0, again.stdout + again.stderr
    return project / plugins.load("exporters", target).FOLDER


@dataclass
class Local:
    """What local runs of the cases came to, each run once."""

    folder: Path
    _found: dict[str, zoo.Observed] = field(default_factory=dict)
    _locks: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))

    def of(self, case: zoo.Case) -> zoo.Observed:
        """Give what a case came to. Raises AssertionError where its run did not end as it should."""
        with self._locks[case.name]:
            if case.name not in self._found:
                self._found[case.name] = self._run(case, self.folder / f"local-{case.name}")
            return self._found[case.name]

    def _run(self, case: zoo.Case, root: Path) -> zoo.Observed:
        root.mkdir(parents=True)
        case.write(root)
        words = ["run", "--keep-going", *texts(case)]
        done = command(*words, cwd=root, environment=case.variables, timeout=900)
        assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
        first = zoo.observe(root)
        if case.between is not None:
            case.between(root)
            again = command(*words, cwd=root, environment=case.variables)
            assert again.returncode == 0, again.stdout + again.stderr
        assert not [*zoo.leaks(case, root)]
        return _with_facts(case, root, first, zoo.observe(root))


def texts(case: zoo.Case) -> list[str]:
    """Write a case's parameters as options of the command."""
    return [f"-p{key}={one if isinstance(one, str) else json.dumps(one)}" for key, one in case.params.items()]


def _with_facts(case: zoo.Case, root: Path, first: zoo.Observed, found: zoo.Observed) -> zoo.Observed:
    anew = [name for name, span in found.spans.items() if first.spans.get(name) != span]
    twice = {"ran in the second run": ", ".join(sorted(anew))} if case.between is not None else {}
    return replace(found, facts={**case.facts(root), **twice}, spans=first.spans)  # the order is of one run


MACHINE = """#!/bin/sh
# A task's machine: the project's files as they were handed out, and nothing that another task left.
own=$(mktemp -d {machines}/XXXXXX)
cp -r {handed}/. "$own"
cd "$own" && exec {command} "$@"
"""


def apart(place: Place, root: Path, folder: Path) -> tuple[Place, Path]:
    """Have each task run on a machine of its own; gives the folder of the machines."""
    handed, machines, programs = folder / "handed", folder / "machines", folder / "programs"
    shutil.copytree(root, handed)
    machines.mkdir()
    programs.mkdir()
    own = shlex.quote(str(Path(sys.executable).parent / "nbpipeline"))
    text = MACHINE.format(machines=shlex.quote(str(machines)), handed=shlex.quote(str(handed)), command=own)
    (programs / "nbpipeline").write_text(text)
    (programs / "nbpipeline").chmod(0o755)
    path = f"{programs}{os.pathsep}{place.environment['PATH']}"
    return replace(place, environment={**place.environment, "PATH": path}), machines


def compared(name: str, case: zoo.Case, folder: Path, local: Local | None = None) -> list[str]:
    """Run a case here and on the target; gives what differs, a line each."""
    there = folder / "there"
    there.mkdir(parents=True)
    case.write(there)
    target = runner(name)
    place = place_for(getattr(target, "ENVIRONMENT", name), folder / "scratch")
    place = replace(place, environment={**place.environment, **case.variables})
    if hasattr(target, "validate"):
        return list(target.validate(there, case, place))
    here = (local or Local(folder)).of(case)
    roots = [there]
    if case.apart:
        place, machines = apart(place, there, folder)
    said = target.run(there, case, place)
    if case.apart:
        roots = [*machines.iterdir()] or roots
    first, wrong = zoo.observe(*roots), []
    if case.apart and len(roots) != len(first.spans) and not hasattr(target, "APART"):
        wrong.append(f"{len(first.spans)} tasks ran on {len(roots)} machines")
    if case.between is not None:
        case.between(there)
        later = target.again(there, case, place)
        wrong += _told(target, case, said, later)
    found = _with_facts(case, there, first, zoo.observe(*roots))
    pipeline = nbpipeline.Project(there).pipeline
    wrong += zoo.leaks(case, folder)
    wrong += ["the target says a secret" for one in case.hidden if one in (said or "")]
    return [*wrong, *zoo.differences(pipeline, here, found, case.only)]


def _told(target: Any, case: zoo.Case, first: str, second: str) -> list[str]:
    """Hold a target to saying that nothing was to do, where that is so, and not to saying it else."""
    pattern = re.compile(target.NOTHING)
    wrong = ["it says of the first run that nothing was to do"] if pattern.search(first) else []
    if case.name == "fresh" and not pattern.search(second):
        wrong.append(f"it does not say that nothing was to do: {second[-2000:]}")
    return wrong


def cases_of(name: str) -> Iterator[tuple[zoo.Case, str]]:
    """Give every case with why the target cannot run it here, or an empty text."""
    reasons = getattr(runner(name), "CANNOT", {})
    for case in zoo.CASES.values():
        yield case, reasons.get(case.name, "")


# --- the page --------------------------------------------------------------------------------

Row = Mapping[str, str]
"""Of a target: what came out by case, and `version` and `run on`."""
_HEAD = ("target", "version", "run on")
OFFLINE = "validated offline, never run on the service"


def version_of(name: str) -> str:
    """Say which version of the target was run."""
    target = runner(name)
    package = getattr(target, "PACKAGE", "")
    if not package:
        return ""
    program = f"from importlib.metadata import version; print(version({package!r}))"
    python = environment_of(name) / "python"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    return f"{package} {done.stdout.strip()}"


def title(name: str) -> str:
    """Name a row."""
    return str(getattr(runner(name), "TITLE", name))


def table(found: Mapping[str, Row], notes: list[str]) -> str:
    """Write what came out as a table of targets and cases; adds to the notes why a case was not run."""
    heads = [*_HEAD, *(one.replace("_", " ") for one in zoo.CASES)]
    rows = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for name in sorted(found):
        row = found[name]
        cells = [row.get("version", ""), row.get("run on", "")]
        for case in zoo.CASES:
            cell = row.get(case, "")
            why = cell.removeprefix("not run: ")
            if why != cell:
                notes += [why] if why not in notes else []
                cell = f"({notes.index(why) + 1})"
            cells.append(cell)
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def earlier(page: str) -> dict[str, dict[str, str]]:
    """Read the rows of a page that was written before."""
    lines = [line for line in page[page.find("| target |") :].splitlines() if line.startswith("| ")]
    heads, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] or [[]]
    notes = re.findall(r"^\d+\. (.*)$", page, flags=re.MULTILINE)
    by_title = {one.replace("_", " "): one for one in zoo.CASES}
    return {
        row[0]: {by_title.get(head, head): _noted(cell, notes) for head, cell in zip(heads, row, strict=True)}
        for row in rows
    }


def _noted(cell: str, notes: Sequence[str]) -> str:
    number = re.fullmatch(r"\((\d+)\)", cell)
    return f"not run: {notes[int(number.group(1)) - 1]}" if number else cell


def write_page(found: Mapping[str, Row]) -> None:
    """Write what was run into the docs' page; the rest stays, as far as the target's version is the same."""
    page = PAGE.read_text(encoding="utf-8")
    rows = earlier(page)
    for name, row in found.items():
        stands = rows.get(name, {})
        same = stands.get("version", "") in {"", row["version"]}
        rows[name] = {**(stands if same else {}), **row}
    known = {title(name) for name in targets()}
    rows = {name: row for name, row in rows.items() if name in known}
    notes: list[str] = []
    text = page.partition("| target |")[0] + table(rows, notes)
    listed = "".join(f"{number}. {one}\n" for number, one in enumerate(notes, start=1))
    PAGE.write_text(text + (f"\nNot run:\n\n{listed}" if listed else ""), encoding="utf-8")


# --- all of it -------------------------------------------------------------------------------


def row_of(name: str, local: Local, folder: Path, wanted: Sequence[str]) -> tuple[Row, list[str]]:
    """Run a target's cases one after the other; gives what came out, and what is wrong, a line each.

    What goes wrong in one does not end the others.
    """
    target, wrong = runner(name), list[str]()
    if target is None:
        return {"version": OFFLINE}, wrong
    offline = hasattr(target, "validate")
    row = {
        "version": OFFLINE if offline else version_of(name),
        "run on": datetime.now(UTC).date().isoformat(),
    }
    for case, why in cases_of(name):
        if wanted and case.name not in wanted:
            continue
        if why:
            row[case.name] = f"not run: {why}"
            continue
        began = time.monotonic()
        try:
            different = compared(name, case, folder / name / case.name, local)
            row[case.name] = "differs" if different else "valid" if offline else "same"
        except Exception:  # noqa: BLE001 - whatever a target does, the others are to be run
            different = [f"failed: {traceback.format_exc(limit=4)}"]
            row[case.name] = "failed"
        wrong += [f"{name}, {case.name}: {one}" for one in different]
        seconds = time.monotonic() - began
        print(f"{name}, {case.name}: {row[case.name]} ({seconds:.0f} s)", file=sys.stderr, flush=True)
        shutil.rmtree(folder / name / case.name, ignore_errors=True)
    return row, wrong


def main(arguments: Sequence[str]) -> int:
    """Run targets, write the rows in which nothing differs in the docs' page, print the table."""
    parser = argparse.ArgumentParser(description="Run the zoo on targets, and compare with local runs.")
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="targets side by side")
    parser.add_argument("--case", action="append", default=[], choices=[*zoo.CASES], help="these cases alone")
    parser.add_argument("--no-page", action="store_true", help="leave docs/reference/parity.md as it is")
    given = parser.parse_args(arguments)
    names = given.names or targets()
    if unknown := {*names} - {*targets()}:
        parser.error(f"no target: {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    found: dict[str, Row] = {}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(given.jobs) as pool:
        local = Local(Path(folder))
        rows = pool.map(lambda name: row_of(name, local, Path(folder), given.case), names)
        for name, (row, different) in zip(names, rows, strict=True):
            found[title(name)] = row
            wrong += different
            if not different and not given.no_page:  # at once: what is broken off keeps the rows that it has
                write_page({title(name): row})
    notes: list[str] = []
    print(
        f"\n{table(found, notes)}", *(f"{at}. {one}" for at, one in enumerate(notes, start=1)), "", sep="\n"
    )
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
