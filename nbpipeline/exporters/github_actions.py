"""GitHub Actions: a workflow that checks, plans, runs what is stale, and tells the pull request.

Written after GitHub's documentation of workflow syntax, contexts and expressions as of 2026 (`schedule` with
`timezone`, typed `workflow_dispatch` inputs). What runs the notebooks may write nothing to the repository:
the comment is put by a job of its own, which runs none of them.
"""

import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters.rendering import ci, container
from nbpipeline.exporters.rendering.names import identifiers
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.exporters.rendering.source import made_by, yaml_text
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Workflow

TITLE = "GitHub Actions"
FOLDER = "."
OPTIONS: Mapping[str, str] = {
    **ci.OPTIONS,
    "branch": "the branch whose pushes are run, in place of `main`",
    "runs-on": "the runner, in place of `ubuntu-latest`",
    "secrets": "further secrets that the run needs, with commas, such as the keys of the store",
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
_LONGEST = 200
_MOST_INPUTS = 24
"""GitHub takes 25; one is `params`."""
_PULL_REQUEST = "github.event_name == 'pull_request'"
_FROM = "github.event.pull_request.head.repo.full_name"
_FORK = f"{_PULL_REQUEST} && {_FROM} != github.repository"
"""Not `head.repo.fork`: no use in a repository that is a fork itself, nor when the fork is gone."""
_ACTIONS = {
    "actions/checkout": ("de0fac2e4500dabe0009e67214ff5f5447ce83dd", "v6.0.2"),
    "actions/setup-python": ("a309ff8b426b58ec0e2a45f0f869d46889d02405", "v6.2.0"),
    "actions/cache": ("27d5ce7f107fe9357f9df03efb73ab90386fccae", "v5.0.5"),
    "actions/upload-artifact": ("043fb46d1a93c77aae656e7c1c64a875d1fc6a0a", "v7.0.1"),
    "actions/download-artifact": ("3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", "v8.0.1"),
}
"""Commits, since a tag can be moved, and the tags that they had."""


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find whether GitHub would see the workflow; what is no input of its own the input `params` sets."""
    del workflow
    yield from ci.unseen("GitHub", "workflows", given)


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give the workflow, what puts its comment, and the lock of what it installs."""
    head, folder = made_by("github-actions", workflow.profile), _folder(workflow, given)
    return {
        f".github/workflows/{_name(workflow, given)}.yml": head
        + _tagged(yaml_text(_workflow(workflow, given))),
        f"{folder}/comment.py": ci.program(ci.COMMENT, "github-actions", workflow),
        f"{folder}/requirements.lock": container.lock("github-actions", workflow, given),
    }


def _name(workflow: Workflow, given: ExportGiven) -> str:
    """Name what is the workflow's alone: a repository may hold several."""
    return "-".join(filter(None, ("nbpipeline", ci.apart(workflow, given))))


def _folder(workflow: Workflow, given: ExportGiven) -> str:
    return posixpath.join(*filter(None, (".github/nbpipeline", ci.apart(workflow, given))))


def _tagged(text: str) -> str:
    """Say beside each commit of an action which version it is."""
    for commit, tag in _ACTIONS.values():
        text = text.replace(f"{commit}\n", f"{commit} # {tag}\n")
    return text


def _workflow(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    place = ci.project(given)
    inside = {"defaults": {"run": {"working-directory": place}}} if place != "." else {}
    inputs = _inputs(workflow)
    return {
        "name": _data(workflow.name),
        "on": _triggers(workflow, given, inputs),
        "permissions": {"contents": "read"},
        "concurrency": {
            "group": f"{_name(workflow, given)}-${{{{ github.ref }}}}",
            "cancel-in-progress": False,
        },
        "jobs": {
            "pipeline": {
                "runs-on": given.options.get("runs-on", "ubuntu-latest"),
                **inside,
                "env": _environment(inputs, given),
                "steps": _steps(workflow, given),
            },
            "comment": _comment(workflow, given),
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
            {"cron": cron_of(workflow.schedule), **({"timezone": zone} if zone != "UTC" else {})}
        ]
    typed = {name: _input(setting) for name, setting in inputs.items()}
    further = {
        "description": ci.FURTHER,
        "type": "string",
        "default": "{}",
    }
    found["workflow_dispatch"] = {"inputs": {**typed, "params": further}}
    return found


def _inputs(workflow: Workflow) -> Mapping[str, Setting]:
    return ci.in_form(workflow, _MOST_INPUTS, texts=True)


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


def _environment(inputs: Mapping[str, Setting], given: ExportGiven) -> dict[str, str]:
    here = given.options.get("nbpipeline", "").replace("'", "''")
    found = {"NBPIPELINE": f"${{{{ vars.NBPIPELINE || '{here}' }}}}" if here else "${{ vars.NBPIPELINE }}"}
    pairs = ", ".join(f'"{setting.name}": {{{number}}}' for number, setting in enumerate(inputs.values()))
    values = "".join(f", toJSON(inputs.{name})" for name in inputs)
    empty = "'{}'"
    if inputs:
        filled = f"format('{{{{{pairs}}}}}'{values})"
        found["NBPIPELINE_INPUTS"] = (
            f"${{{{ github.event_name == 'workflow_dispatch' && {filled} || {empty} }}}}"
        )
    found["NBPIPELINE_PARAMS"] = f"${{{{ inputs.params || {empty} }}}}"
    return found


def _handed(workflow: Workflow, given: ExportGiven) -> Mapping[str, tuple[str, str]]:
    """Name the stages' secrets and variables by what a step has them as: `secrets` or `vars`, and the name.

    Names that differ in case alone GitHub takes for one, in a step's `env` as in what they are read from.
    """
    further = filter(None, (one.strip() for one in given.options.get("secrets", "").split(",")))
    said = given.options.get("secrets", "")
    secrets = dict.fromkeys(ci.variables(workflow.secrets, "`secrets` of a stage"))
    secrets |= dict.fromkeys(ci.variables(further, f"--set secrets={said}"))
    own = dict.fromkeys(ci.variables(workflow.env, "`env` of a stage"))
    found: dict[str, tuple[str, str]] = {}
    for kind, context, names in (("SECRET", "secrets", secrets), ("VARIABLE", "vars", own)):
        apart = identifiers(names, str, longest=_LONGEST, fold=True)
        found |= {f"{ci.OWN}{kind}_{apart[name]}": (context, name) for name in names}
    return found


def _own(workflow: Workflow, given: ExportGiven) -> dict[str, str]:
    """Give the steps that need them the stages' secrets and variables; GitHub makes unset ones empty."""
    handed = _handed(workflow, given)
    return {one: f"${{{{ {context}.{name} }}}}" for one, (context, name) in handed.items()}


def _exported(workflow: Workflow, given: ExportGiven) -> list[str]:
    handed = _handed(workflow, given)
    return [f'[ -z "${one}" ] || export {name}="${one}"' for one, (_, name) in handed.items()]


# --- steps -----------------------------------------------------------------------------------


def _steps(workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    own = _own(workflow, given)
    exported = _exported(workflow, given)
    params = ['--params "$NBPIPELINE_INPUTS"'] if _inputs(workflow) else []
    words = [*ci.run_words(workflow), *params, '--params "$NBPIPELINE_PARAMS"', "$NBPIPELINE_FORK"]
    lock = f"{_folder(workflow, given)}/requirements.lock"
    python = {"python-version": given.python, "cache": "pip", "cache-dependency-path": lock}
    install = ci.install_lines(posixpath.relpath(lock, given.to_root))
    checked = [*exported, *ci.check_lines("github-actions", workflow, given)]
    return [
        _checkout(),
        _uses("actions/setup-python", python),
        {"name": ci.INSTALL, "run": "\n".join(install)},
        *_cache_steps("restore", workflow, given),
        {"name": "Check", "run": "\n".join(checked), **({"env": own} if own else {})},
        {
            "name": "Run what is stale",
            "run": "\n".join([*exported, " ".join(words)]),
            "env": {**own, "NBPIPELINE_FORK": f"${{{{ {_FORK} && '--no-push' || '' }}}}"},
        },
        {
            "name": ci.SUMMARY,
            "if": "always()",
            "run": "\n".join([*ci.summary_lines(), 'cat summary.md >> "$GITHUB_STEP_SUMMARY"']),
        },
        {
            **_uses("actions/upload-artifact"),
            "if": "always()",
            "with": {
                "name": "nbpipeline",
                "path": _paths(("report.html", "summary.md", ".nbpipeline/runs"), given),
                "include-hidden-files": True,
            },
        },
        *_cache_steps("save", workflow, given),
    ]


def _comment(workflow: Workflow, given: ExportGiven) -> dict[str, Any]:
    """Tell the pull request, in a job that alone may: no notebook runs in it, and nothing is installed.

    What the other job hands over lies apart, so that no file of it stands in place of the program.
    """
    folder = _folder(workflow, given)
    program = f"{folder}/comment.py"
    words = ["python3", "-I", program, '"$RUNNER_TEMP/nbpipeline/summary.md"', ci.apart(workflow, given)]
    return {
        "needs": "pipeline",
        "if": f"always() && {_PULL_REQUEST} && {_FROM} == github.repository",
        "runs-on": given.options.get("runs-on", "ubuntu-latest"),
        "permissions": {"contents": "read", "pull-requests": "write"},
        "steps": [
            _checkout({"sparse-checkout": folder}),
            _uses(
                "actions/download-artifact", {"name": "nbpipeline", "path": "${{ runner.temp }}/nbpipeline"}
            ),
            {
                "name": "Comment on the pull request",
                "run": " ".join(filter(None, words)),
                "env": {
                    "GITHUB_TOKEN": "${{ github.token }}",
                    "NUMBER": "${{ github.event.pull_request.number }}",
                },
            },
        ],
    }


def _checkout(more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Check out without leaving the job's token in the folder, where notebooks could read it."""
    return _uses("actions/checkout", {"persist-credentials": False, **(more or {})})


def _uses(action: str, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    owner, name, *_ = action.split("/")
    commit, _ = _ACTIONS[f"{owner}/{name}"]
    return {"uses": f"{action}@{commit}", **({"with": dict(given)} if given else {})}


def _paths(paths: Iterable[str], given: ExportGiven) -> str:
    """Name files of the project as actions see them, which know no working directory but the repository's."""
    return "\n".join(ci.below(one, given) for one in paths)


def _cache_steps(what: str, workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    """Have the store in GitHub's cache: what a fork would save there nobody else could read."""
    if workflow.store:
        return []
    prefix = f"{_name(workflow, given)}-"
    key = prefix + "${{ github.run_id }}-${{ github.run_attempt }}"
    step = _uses(f"actions/cache/{what}")
    if what == "save":
        step["if"] = f"always() && !({_FORK})"
    step["with"] = {"path": _paths(ci.cached(workflow), given), "key": key}
    if what == "restore":
        step["with"]["restore-keys"] = prefix
    return [step]


def _data(text: str) -> str:
    """Keep GitHub from reading `${{ }}` in a text as an expression."""
    return " ".join(text.split()).replace("${{", "$ {{")
