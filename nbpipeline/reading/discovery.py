"""Which files are a project's notebooks: patterns, exclusions, pairs."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nbpipeline.errors import Complaint, ReadingError
from nbpipeline.location import Location
from nbpipeline.model import Notebook
from nbpipeline.patterns import regex
from nbpipeline.reading.notebook import NOTEBOOK_SUFFIXES, project_name, read_notebook
from nbpipeline.reading.place import Findings, Place
from nbpipeline.reading.remembered import Memory
from nbpipeline.reading.text_notebook import TEXT_SUFFIXES, looks_like_stage, may_declare, twins

DEFAULT_PATTERNS = ("notebooks/*.ipynb",)
_UNTITLED, _COPY = "Untitled", "-Copy"
"""What JupyterLab calls a notebook that nobody has named."""
_ANY_FOLDERS = regex(r"(?<![^/])\*\*/(?:\*\*/|\./|/)+")
_WILD = frozenset("*?[")
_CLOCK = 1.0
"""Seconds by which a pair's notebook must be newer than its text to count, as in jupytext."""


def find_notebooks(
    root: Path, patterns: Sequence[tuple[str, Place | None]], exclude: Iterable[str]
) -> list[Path]:
    """List the files that the patterns match, less the excluded ones, in order of their names."""
    excluded = tuple(exclude)
    found: set[Path] = set()
    for pattern, place in patterns:
        matched = _matched(root, pattern, place)
        if matched == [] and place is not None:
            place.complain(
                f"the pattern {pattern!r} matches no notebook.",
                mend="mend the pattern; it starts from the project's root.",
                warning=bool(_WILD & set(pattern)),
            )
        found.update(matched or ())
    return sorted(path for path in found if _wanted(path, root, excluded))


def _matched(root: Path, pattern: str, place: Place | None) -> list[Path] | None:
    """Match a pattern; None where it is none."""
    if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
        if place:
            place.complain(
                f"the pattern {pattern!r} leaves the project.",
                mend="write it relative to the project's root, without `..`.",
            )
        return None
    try:
        found = (path for path in root.glob(_without_repeats(pattern)) if path.suffix in NOTEBOOK_SUFFIXES)
        # What is no file is complained about when it is read, not passed over. Of text files only a link
        # to nowhere is: a folder or a pipe was never a stage that is lost.
        return [path for path in found if path.suffix == ".ipynb" or path.is_file() or not path.exists()]
    except ValueError as error:
        if place:
            place.complain(
                f"{pattern!r} is no pattern: {error}.", mend="write one such as `notebooks/*.ipynb`."
            )
        return None


def _without_repeats(pattern: str) -> str:
    """Write `**/**/x` as `**/x`, which matches the same: each further one would double what is looked at."""
    return _ANY_FOLDERS.sub("**/", pattern)


def _wanted(path: Path, root: Path, excluded: Sequence[str]) -> bool:
    inside = path.as_posix().removeprefix(f"{root.as_posix().rstrip('/')}/")
    if inside.startswith(".") or "/." in inside or path.name.startswith(_UNTITLED) or _COPY in path.name:
        return False
    if any(_excludes(pattern, PurePosixPath(inside)) for pattern in excluded):
        return False
    return path.suffix not in TEXT_SUFFIXES or may_declare(path)


def overlooked(
    root: Path, patterns: Sequence[tuple[str, Place | None]], exclude: Iterable[str], known: Collection[str]
) -> list[Path]:
    """List the text notebooks that stand where patterns look for `.ipynb`, and that none of them matches.

    `known` are the project paths that were read; a file beside a notebook of its name is half of a pair.
    """
    excluded = tuple(exclude)
    wider = {
        f"{pattern.removesuffix('.ipynb')}{suffix}"
        for pattern, _ in patterns
        if pattern.endswith(".ipynb")
        for suffix in TEXT_SUFFIXES
    }
    found = {
        path for pattern in sorted(wider) for path in _matched(root, pattern, None) or () if path.is_file()
    }
    stems = {name.rpartition(".")[0] for name in known}
    return sorted(
        path
        for path in found
        if path.relative_to(root).as_posix().rpartition(".")[0] not in stems
        and _wanted(path, root, excluded)
        and looks_like_stage(path)
    )


def _excludes(pattern: str, path: PurePosixPath) -> bool:
    """Match as git does: the file, or a folder that it lies in; `**` stands for any folders."""
    pattern = pattern.rstrip("/")
    if "**" in pattern:
        head, _, tail = pattern.partition("**")
        text, tail = path.as_posix(), tail.lstrip("/")
        return text.startswith(head) and (not tail or path.match(tail))
    return any(one.match(pattern) for one in (path, *path.parents) if one.name)


def read_notebooks(
    paths: Iterable[Path], root: Path, findings: Findings, memory: Memory
) -> dict[str, Notebook]:
    """Read each notebook, a pair once; by project path. What cannot be read is complained about."""
    ordered = sorted(paths, key=lambda path: (path.suffix != ".ipynb", path))
    done: set[Path] = set()
    found: dict[str, Notebook] = {}
    for path in ordered:
        if path in done:
            continue
        notebook = read_one(path, root, findings, memory)
        if notebook is None:
            continue
        others = twins(path, notebook.metadata, ordered)
        done.update(others)
        found[notebook.path] = _paired(notebook, path, others, findings, memory)
    return dict(sorted(found.items()))


def read_one(path: Path, root: Path, findings: Findings, memory: Memory) -> Notebook | None:
    """Read a notebook, or add the complaints of why not."""
    known = memory.notebook(path)
    if known is not None:
        return known
    try:
        return memory.keep(path, read_notebook(path, root))
    except ReadingError as error:
        findings.extend(error.complaints)
        return None


def _paired(
    notebook: Notebook, path: Path, others: Sequence[Path], findings: Findings, memory: Memory
) -> Notebook:
    """Take the cells of whichever file of a pair counts: the text, unless the notebook is newer."""
    for other in others:
        twin = read_one(other, memory.root, findings, memory)
        if twin is None or _content(twin) == _content(notebook):
            continue
        text, saved = (path, other) if path.suffix in TEXT_SUFFIXES else (other, path)
        counts = text if text.stat().st_mtime >= saved.stat().st_mtime - _CLOCK else saved
        findings.append(_differ(path, other, counts, memory.root))
        return notebook if counts == path else replace(notebook, cells=tuple(twin.cells))
    return notebook


def _content(notebook: Notebook) -> list[tuple[str, str, frozenset[str]]]:
    return [(cell.kind, cell.source.strip(), cell.tags) for cell in notebook.cells if cell.source.strip()]


def _differ(path: Path, other: Path, counts: Path, root: Path) -> Complaint:
    shown = project_name(path, root)
    return Complaint(
        where=Location(path=shown),
        what=f"the notebook and its pair {project_name(other, root)} differ; {counts.name} is read.",
        mend=f"run `jupytext --sync {shown}`.",
        warning=True,
    )
