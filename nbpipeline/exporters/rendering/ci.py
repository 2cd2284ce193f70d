"""What continuous integration does with a pipeline, whoever runs it: install, check, run, tell."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from nbpipeline.errors import UsageError
from nbpipeline.exporters.rendering.names import identifiers, labels, snake
from nbpipeline.exporters.rendering.parameters import is_beyond
from nbpipeline.exporters.rendering.source import made_by
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Workflow

INSTALL = "Install what the stages import"
SUMMARY = "Summary"
OPTIONS: Mapping[str, str] = {
    "nbpipeline": "where pip finds nbpipeline, where the variable NBPIPELINE does not say it, as for forks",
}
COMMENT = "ci_comment.py"
PARAMS = "ci_params.py"
FURTHER = 'Further parameters as JSON, such as {"train.C": 0.5}'
_LONGEST_DEFAULT = 1000
"""Bytes; GitLab takes less than 1 KB."""
OWN = "NBPIPELINE_"
"""What the workflow's own variables begin with, so that those of stages are others."""
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PATTERN = frozenset("$*?[]{}!\\\n")
"""What services read otherwise than as itself, in the paths that they keep."""


def unseen(service: str, reads: str, given: ExportGiven) -> Iterator[Loss]:
    """Find that the service would not see what is written, or would not find the project from there."""
    if given.repository != "." or given.to_root.startswith(".."):
        there = f": {given.repository} as seen from here" if given.repository != "." else ""
        yield Loss(
            feature="order",
            tasks=(),
            what=f"all of it: {service} reads {reads} at the root of a repository alone, not in a folder",
            mend=f"say -o with that root{there}",
        )


def project(given: ExportGiven) -> str:
    """Give the project's folder as the repository's root sees it. Raises UsageError where it is not below."""
    if not given.folder and given.to_root.startswith(".."):
        raise UsageError.of(
            "The folder to export to is beside the project; a repository's root has the project below it.",
            mend="say -o with that root",
        )
    if _PATTERN & {*given.to_root}:
        raise UsageError.of(
            f"The project's folder is called '{given.to_root}', which the service takes for a pattern.",
            mend="give it a name without $ * ? [ ] { } ! and \\",
        )
    return given.to_root


def below(path: str, given: ExportGiven) -> str:
    """Name a file of the project as seen from the repository's root, where paths of services begin."""
    return posixpath.normpath(posixpath.join(project(given), path))


def variables(words: Iterable[str], said: str) -> tuple[str, ...]:
    """Check names of variables that the workflow hands on; `said` is where they stand.

    Raises UsageError for what no variable is called, and for what the workflow calls its own.
    """
    found = tuple(dict.fromkeys(words))
    for name in found:
        if not _VARIABLE.fullmatch(name):
            raise UsageError.of(
                f"{said}: no variable is called '{name}'.",
                mend="write names of letters, digits and _, with commas",
            )
        if f"{name}_".upper().startswith(OWN):
            raise UsageError.of(
                f"{said}: variables of the workflow itself begin so, {name} may not be one of yours.",
                mend="give the variable another name",
            )
    return found


def install_lines(lock: str) -> list[str]:
    """Install the lock, and nbpipeline from where the variable NBPIPELINE says."""
    return [
        f"pip install --no-deps -r {shlex.quote(lock)}",
        'pip install --no-deps "${NBPIPELINE:?set the variable NBPIPELINE to a wheel or a URL for pip}"',
    ]


def apart(workflow: Workflow, given: ExportGiven) -> str:
    """Name the pipeline where it stands in a folder of its repository, which may hold others; else empty."""
    return "" if given.to_root == "." else labels([workflow.name], longest=50)[workflow.name]


def check_lines(target: str, workflow: Workflow, given: ExportGiven) -> list[str]:
    """Refuse faulty notebooks, and a workflow that is not what would be exported; then plan.

    What is lost was allowed when it was exported, so it is no reason to refuse it here.
    """
    profile = _profile(workflow)
    options = "".join(f" --set {quoted(f'{name}={one}')}" for name, one in given.options.items())
    if given.folder or given.to_root != ".":
        options += f" -o {quoted(given.folder or posixpath.relpath('.', given.to_root))}"
    return [
        f"nbpipeline check{profile}",
        f"nbpipeline export {target} --check --allow-loss{options}{profile}",
        f"nbpipeline plan{profile}",
    ]


def run_words(workflow: Workflow) -> list[str]:
    """Run what is stale, with a report."""
    return [f"nbpipeline run --keep-going --report report.html{_profile(workflow)}"]


def summary_lines() -> list[str]:
    """Write summary.md, of this job's run alone: the history may come from the cache."""
    return [
        "if [ -f report.html ]; then",
        "  nbpipeline report --markdown --output summary.md",
        "else",
        "  echo 'nbpipeline ran nothing: the log of the job says why.' > summary.md",
        "fi",
    ]


def cached(workflow: Workflow) -> list[str]:
    """Name what the next job wants of a store that only this one sees: results, and what is on record."""
    return [workflow.store_folder or f"{STATE_FOLDER}/store", f"{STATE_FOLDER}/state.db"]


def in_form(workflow: Workflow, most: int, *, texts: bool = False) -> Mapping[str, Setting]:
    """Choose the settings that a form of one line a value can hold, by the names of their inputs.

    `texts`: the form gives texts, whatever the input's type, which are read as what is declared.
    """
    chosen = [
        one.name
        for one in workflow.settings
        if "None" not in one.types and _fits(one.default) and not (texts and _is_torn(one))
    ]
    first = frozenset(chosen[:most])
    kept = {one.name: one for one in workflow.settings if one.name in first}
    names = identifiers(kept, snake, taken=("params",), fold=True)
    return {names[name]: setting for name, setting in kept.items()}


def _is_torn(setting: Setting) -> bool:
    """Say whether a text for it could mean more than one value: `"1"` of `int | str`, of what has no type."""
    return len(setting.types) != 1 and {*setting.types} != {"int", "float"}


def _fits(default: object) -> bool:
    if isinstance(default, str):
        return len(default.encode(errors="surrogatepass")) < _LONGEST_DEFAULT
    return isinstance(default, int | float) and not is_beyond(default)


def program(name: str, target: str, workflow: Workflow) -> str:
    """Give a program that stands beside the workflow: a module of this folder, as it is."""
    return made_by(target, workflow.profile) + Path(__file__).with_name(name).read_text(encoding="utf-8")


def quoted(text: str) -> str:
    """Quote for a shell, so that no service reads an expression of its own in it."""
    return shlex.quote(text).replace("${{", "$''{{").replace("$[[", "$''[[")


def _profile(workflow: Workflow) -> str:
    return f" --profile {quoted(workflow.profile)}" if workflow.profile else ""
