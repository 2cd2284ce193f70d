"""What continuous integration does with a pipeline, whoever runs it: install, check, run, tell."""

import posixpath
import shlex
from collections.abc import Mapping
from pathlib import Path

from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.parameters import is_beyond
from nbpipeline.exporters.rendering.source import made_by
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model.exported import ExportGiven, Setting, Workflow

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


def install_lines(lock: str) -> list[str]:
    """Install the lock, and nbpipeline from where the variable NBPIPELINE says."""
    return [
        f"pip install --no-deps -r {shlex.quote(lock)}",
        'pip install --no-deps "${NBPIPELINE:?set the variable NBPIPELINE to a wheel or a URL for pip}"',
    ]


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


def in_form(workflow: Workflow, most: int) -> Mapping[str, Setting]:
    """Choose the settings that a form of one line a value can hold, by the names of their inputs."""
    chosen = [one.name for one in workflow.settings if "None" not in one.types and _fits(one.default)]
    first = frozenset(chosen[:most])
    kept = {one.name: one for one in workflow.settings if one.name in first}
    names = identifiers(kept, snake, taken=("params",))
    return {names[name]: setting for name, setting in kept.items()}


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
