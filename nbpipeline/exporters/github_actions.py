"""GitHub Actions: a workflow that checks, plans, runs what is stale, and tells the pull request.

Written after GitHub's documentation of workflow syntax, contexts and expressions as of 2026 (`schedule` with
`timezone`, typed `workflow_dispatch` inputs).
"""

from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters.rendering import container
from nbpipeline.exporters.rendering.ci import (
    INSTALL,
    SUMMARY,
    check_lines,
    install_line,
    run_words,
)
from nbpipeline.exporters.rendering.names import identifiers, snake
from nbpipeline.exporters.rendering.source import made_by, yaml_text
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Workflow

TITLE = "GitHub Actions"
FOLDER = "."
OPTIONS: Mapping[str, str] = {
    "branch": "the branch whose pushes are run, in place of `main`",
    "runs-on": "the runner, in place of `ubuntu-latest`",
}
_INSIDE = "by `nbpipeline run`"
KEEPS: Mapping[str, str] = {
    "order": "`nbpipeline run` keeps it, in one job",
    "parameters": "typed inputs of `workflow_dispatch`; what no form holds: its input `params`",
    "matrix": _INSIDE,
    "retries": _INSIDE,
    "backoff": _INSIDE,
    "timeout": _INSIDE,
    "cpus": f"{_INSIDE}, within the runner's cores",
    "memory": f"{_INSIDE}, within the runner's memory",
    "schedule": "`on.schedule`",
    "timezone": "`on.schedule[].timezone`",
    "secrets": "the repository's secrets of the same names",
    "env": "the repository's variables of the same names",
    "checks": f"{_INSIDE}; a failed one fails the job, so a required check refuses the merge",
    "tracking": _INSIDE,
    "executed": "in the artifact `nbpipeline`, with the report",
    "fresh": "the store comes from the cache, or is the shared one; forks read it and never write",
    "files": "one job runs all stages",
}
_WORKFLOW = ".github/workflows/nbpipeline.yml"
_FOLDER = ".github/nbpipeline"
_MOST_INPUTS = 24
"""GitHub takes 25; one is `params`."""
_FORK = "github.event.pull_request.head.repo.fork"
_CACHED = (".nbpipeline/store", ".nbpipeline/state.db")


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find nothing: what is no input of its own is set by the input `params`."""
    del workflow, given
    return ()


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give the workflow and the lock of what it installs."""
    head = made_by("github-actions", workflow.profile)
    return {
        _WORKFLOW: head + yaml_text(_workflow(workflow, given)),
        f"{_FOLDER}/requirements.lock": container.lock("github-actions", workflow, given),
    }


def _workflow(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    inputs = _inputs(workflow)
    return {
        "name": _data(workflow.name),
        "on": _triggers(workflow, given, inputs),
        "permissions": {"contents": "read", "pull-requests": "write"},
        "concurrency": {"group": "nbpipeline-${{ github.ref }}", "cancel-in-progress": False},
        "jobs": {
            "pipeline": {
                "runs-on": given.options.get("runs-on", "ubuntu-latest"),
                "env": _environment(inputs),
                "steps": _steps(workflow, given),
            }
        },
    }


# --- triggers and parameters -----------------------------------------------------------------


def _triggers(workflow: Workflow, given: ExportGiven, inputs: Mapping[str, Setting]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "pull_request": {},
        "push": {"branches": [given.options.get("branch", "main")]},
    }
    if workflow.schedule:
        zone = workflow.schedule.timezone
        found["schedule"] = [
            {"cron": workflow.schedule.cron, **({"timezone": zone} if zone != "UTC" else {})}
        ]
    typed = {name: _input(setting) for name, setting in inputs.items()}
    further = {
        "description": 'Further parameters as JSON, such as {"train.C": 0.5}',
        "type": "string",
        "default": "{}",
    }
    found["workflow_dispatch"] = {"inputs": {**typed, "params": further}}
    return found


def _inputs(workflow: Workflow) -> Mapping[str, Setting]:
    """Choose the settings that a form can hold, by the names of their inputs."""
    fit = [one for one in workflow.settings if isinstance(one.default, bool | int | float | str)]
    chosen = {one.name: one for one in fit if "None" not in one.types}
    first = dict(list(chosen.items())[:_MOST_INPUTS])
    names = identifiers(first, snake, taken=("params",))
    return {names[name]: setting for name, setting in first.items()}


def _input(setting: Setting) -> dict[str, Any]:
    text = setting.help or f"Parameter of {', '.join(setting.stages)}"
    found: dict[str, Any] = {"description": _data(text)}
    if setting.choices and all(isinstance(one, str) for one in setting.choices):
        return {**found, "type": "choice", "options": list(setting.choices), "default": setting.default}
    if isinstance(setting.default, bool):
        return {**found, "type": "boolean", "default": setting.default}
    if isinstance(setting.default, int | float):
        return {**found, "type": "number", "default": setting.default}
    return {**found, "type": "string", "default": setting.default}


def _environment(inputs: Mapping[str, Setting]) -> dict[str, str]:
    found = {"NBPIPELINE": "${{ vars.NBPIPELINE }}"}
    pairs = ", ".join(f'"{setting.name}": {{{number}}}' for number, setting in enumerate(inputs.values()))
    values = "".join(f", toJSON(inputs.{name})" for name in inputs)
    empty = "'{}'"
    if inputs:
        given = f"format('{{{{{pairs}}}}}'{values})"
        found["PARAMS"] = f"${{{{ github.event_name == 'workflow_dispatch' && {given} || {empty} }}}}"
    found["MORE_PARAMS"] = f"${{{{ inputs.params || {empty} }}}}"
    return found


def _own(workflow: Workflow) -> dict[str, str]:
    """Give the steps that need them the stages' secrets and variables; GitHub makes unset ones empty."""
    found = {f"SECRET_{name}": f"${{{{ secrets.{name} }}}}" for name in workflow.secrets}
    return found | {f"VARIABLE_{name}": f"${{{{ vars.{name} }}}}" for name in workflow.env}


def _exported(workflow: Workflow) -> str:
    names = [("SECRET", name) for name in workflow.secrets] + [("VARIABLE", name) for name in workflow.env]
    return "".join(f'[ -z "${kind}_{name}" ] || export {name}="${kind}_{name}"\n' for kind, name in names)


# --- steps -----------------------------------------------------------------------------------


def _steps(workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    own = _own(workflow)
    cached = [] if workflow.store else _cache_steps("restore")
    kept = [] if workflow.store else _cache_steps("save")
    params = ['--params "$PARAMS"'] if _inputs(workflow) else []
    words = [*run_words(workflow), *params, '--params "$MORE_PARAMS"', "$FORK"]
    return [
        {"uses": "actions/checkout@v5"},
        {"uses": "actions/setup-python@v6", "with": {"python-version": given.python, "cache": "pip"}},
        {"name": INSTALL, "run": install_line(f"{_FOLDER}/requirements.lock")},
        *cached,
        {
            "name": "Check",
            "run": _exported(workflow) + check_lines("github-actions", workflow),
            **({"env": own} if own else {}),
        },
        {
            "name": "Run what is stale",
            "run": _exported(workflow) + " ".join(words),
            "env": {**own, "FORK": f"${{{{ {_FORK} && '--no-push' || '' }}}}"},
        },
        {
            "name": SUMMARY,
            "if": "always()",
            "run": "nbpipeline report --markdown --output summary.md\n"
            'cat summary.md >> "$GITHUB_STEP_SUMMARY"',
        },
        {
            "uses": "actions/upload-artifact@v4",
            "if": "always()",
            "with": {
                "name": "nbpipeline",
                "path": "report.html\nsummary.md\n.nbpipeline/runs",
                "include-hidden-files": True,
                "if-no-files-found": "ignore",
            },
        },
        {
            "name": "Comment on the pull request",
            "if": f"always() && github.event_name == 'pull_request' && !{_FORK}",
            "run": 'gh pr comment "$NUMBER" --edit-last --create-if-none --body-file summary.md',
            "env": {
                "GH_TOKEN": "${{ github.token }}",
                "NUMBER": "${{ github.event.pull_request.number }}",
            },
        },
        *kept,
    ]


def _cache_steps(what: str) -> list[dict[str, Any]]:
    """Have the store in GitHub's cache: what a fork would save there nobody else could read."""
    key = "nbpipeline-${{ github.run_id }}-${{ github.run_attempt }}"
    step: dict[str, Any] = {"uses": f"actions/cache/{what}@v4"}
    if what == "save":
        step["if"] = f"always() && !{_FORK}"
    step["with"] = {"path": "\n".join(_CACHED), "key": key}
    if what == "restore":
        step["with"]["restore-keys"] = "nbpipeline-"
    return [step]


def _data(text: str) -> str:
    """Keep GitHub from reading `${{ }}` in a text as an expression."""
    return " ".join(text.split()).replace("${{", "$ {{")
