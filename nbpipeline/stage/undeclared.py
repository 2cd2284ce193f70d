"""What the files mean that a kernel was seen to open: code to follow from now on, or undeclared ones."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import BY_BYTES, Job
from nbpipeline.stage.places import relative

_CODE = (".py", ".ipy", ".pyc", ".so", ".pyd", ".ipynb", ".sh", ".R", ".jl", ".sql")
_INSTALLED = ("site-packages", "dist-packages", "node_modules")
_COMPILED = "__pycache__"
_ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
_OURS = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Seen:
    """Project paths, sorted."""

    undeclared: tuple[str, ...]
    """Read or written without being declared."""
    followed: tuple[str, ...]
    """Code that was loaded and that the code by itself does not name; behind `=`, what cells read as text."""
    written: tuple[str, ...] = ()
    """Of `undeclared`, what was opened for writing."""


def files(job: Job, opened: Mapping[str, str], named: Container[str], started: float) -> Seen:
    """Sort the project's files that were opened and are still there, less what is declared.

    `opened` says of each how: to `load` it as code, to `read` or to `write` it.
    `named` are the modules that the code names. What changed since `started` (Unix time) was written by the
    run, or by somebody meanwhile; it cannot be followed.
    """
    root = Path(job.root)
    declared = {
        path.rstrip("/")
        for artifact in (*job.instance.inputs, *job.instance.outputs)
        for path in artifact.paths
    }
    undeclared, followed, written_to = set(), set(), set()
    for name, how in opened.items():
        file = _source_of(Path(name))
        path = relative(root, file)
        if not file.is_file() or _passed_over(file, root) or _covered(path, declared):
            continue
        written = how == "write" and file == Path(name)
        if written:
            written_to.add(path)
        if not _is_followed(path):
            undeclared.add(path)
        elif written or _changed_since(file, started):
            # A name in `named` is compared anyway; hidden files that a run writes are marks and locks.
            if not _is_hidden(path) and (written or path not in named):
                undeclared.add(path)
        elif how == "read" and not (path in named and path.endswith(".ipynb")):  # `%run` reads it so too
            followed.add(f"{BY_BYTES}{path}")
        elif path not in named:
            followed.add(path)
    return Seen(tuple(sorted(undeclared)), tuple(sorted(followed)), tuple(sorted(undeclared & written_to)))


def _source_of(file: Path) -> Path:
    """Find the module behind `__pycache__/x.cpython-311.pyc`."""
    if file.suffix == ".pyc" and file.parent.name == _COMPILED:
        return file.parent.parent / f"{file.name.partition('.')[0]}.py"
    return file


def _passed_over(file: Path, root: Path) -> bool:
    """Whether it stands in a hidden folder, is installed, or is nbpipeline's own."""
    folders = PurePosixPath(relative(root, file)).parts[:-1]
    if any(one.startswith(".") or one in _INSTALLED or one == _COMPILED for one in folders):
        return True
    if f"{STATE_FOLDER}-" in file.name or file.is_relative_to(_OURS):
        return True
    above = (root.joinpath(*folders[:depth]) for depth in range(1, len(folders) + 1))
    return any((folder / mark).exists() for folder in above for mark in _ENVIRONMENT_MARKS)


def _is_followed(path: str) -> bool:
    """Whether it is code or settings, whose every change makes stale, rather than data to declare."""
    return path.endswith(_CODE) or path == "pipeline.yaml" or _is_hidden(path)


def _is_hidden(path: str) -> bool:
    return path.rpartition("/")[2].startswith(".")


def _changed_since(file: Path, started: float) -> bool:
    found = file.stat()
    return max(found.st_mtime, found.st_ctime) >= started


def _covered(path: str, declared: set[str]) -> bool:
    """Whether the path is declared, or stands in a declared folder."""
    return path in declared or any(str(parent) in declared for parent in PurePosixPath(path).parents)
