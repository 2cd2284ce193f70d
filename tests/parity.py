"""Every target runs the zoo, and is compared with `nbpipeline run`.

    python tests/parity.py                       # all targets; writes their rows in docs/reference/parity.md
    python tests/parity.py snakemake dvc         # these alone

A target is a module in tests/runners with `NAME`, `QUICK` (the cases that .ci/run takes; the others are nightly) and
`run(project, case, place)`, which exports, has the target run all of the pipeline, and returns when it has ended, well or not.
`CASES` may name what it can run of the zoo, with why not the rest. NAME.lock beside it pins the environment that it runs in.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import zoo  # noqa: E402
from builders import command  # noqa: E402
from filelock import FileLock  # noqa: E402

import nbpipeline  # noqa: E402

RUNNERS = HERE / "runners"
PAGE = HERE.parent / "docs/reference/parity.md"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nbpipeline-tests"


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
        self, *words: str, cwd: Path, timeout: float = 300, **variables: str
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
    """Name all runners."""
    return tuple(sorted(one.stem for one in RUNNERS.glob("*.py")))


def runner(name: str) -> Any:
    """Load a runner."""
    return import_module(f"runners.{name}")


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
        [str(folder / "bin/python"), "-m", "pip", "install", "-q", "--no-deps", "-r", str(lock)],
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
    from nbpipeline import plugins

    return project / plugins.load("exporters", target).FOLDER


def compared(name: str, case: zoo.Case, folder: Path) -> list[str]:
    """Run a case here and on the target; gives what differs, a line each."""
    local, there = folder / "local", folder / "there"
    for root in (local, there):
        root.mkdir(parents=True)
        case.write(root)
    texts = [
        f"-p{key}={value if isinstance(value, str) else _json(value)}" for key, value in case.params.items()
    ]
    done = command("run", "--keep-going", *texts, cwd=local)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    runner(name).run(there, case, place_for(name, folder / "scratch"))
    pipeline = nbpipeline.Project(there).pipeline
    return list(zoo.differences(pipeline, zoo.observe(local), zoo.observe(there)))


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def cases_of(name: str) -> Iterator[tuple[zoo.Case, str]]:
    """Give every case with why the target cannot run it here, or an empty text."""
    reasons = getattr(runner(name), "CANNOT", {})
    for case in zoo.CASES.values():
        yield case, reasons.get(case.name, "")


def table(found: Mapping[str, Mapping[str, str]]) -> str:
    """Write what came out as a table of targets and cases."""
    cases = list(zoo.CASES)
    rows = [
        f"| target | {' | '.join(one.replace('_', ' ') for one in cases)} |",
        f"|---|{'---|' * len(cases)}",
    ]
    rows += [
        f"| {name} | {' | '.join(found[name].get(one, '') for one in cases)} |" for name in sorted(found)
    ]
    return "\n".join(rows) + "\n"


def earlier(page: str) -> dict[str, dict[str, str]]:
    """Read the rows of a page that was written before."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    return {row[0]: dict(zip(zoo.CASES, row[1:], strict=True)) for row in rows[1:]}


def main(names: Sequence[str]) -> int:
    """Run targets, print the table, and write their rows in the docs' page where nothing differs."""
    import tempfile

    found: dict[str, dict[str, str]] = {}
    wrong: list[str] = []
    for name in names or targets():
        for case, why in cases_of(name):
            if why:
                found.setdefault(name, {})[case.name] = f"not run: {why}"
                continue
            with tempfile.TemporaryDirectory() as folder:
                different = compared(name, case, Path(folder))
            wrong += [f"{name}, {case.name}: {one}" for one in different]
            found.setdefault(name, {})[case.name] = "differs" if different else "same"
            print(f"{name}, {case.name}: {found[name][case.name]}", flush=True)
    print(f"\n{table(found)}", *wrong, sep="\n")
    if not wrong:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(page.partition("| target |")[0] + table({**earlier(page), **found}), encoding="utf-8")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
