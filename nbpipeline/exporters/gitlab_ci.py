"""GitLab CI/CD: a job that checks, plans, runs what is stale, and one that tells the merge request.

Written after GitLab's documentation as of version 18 ("CI/CD YAML syntax reference", "CI/CD inputs",
"Caching in GitLab CI/CD", "Merge request pipelines"; scopes of variables by environment). The token that puts
the note reaches a job of its own, which runs no notebook: what a job's shell was started with, all that runs
in the job can read.
"""

import hashlib
import json
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

from nbpipeline.exporters import gitlab_ci_readme
from nbpipeline.exporters.rendering import ci, container, places
from nbpipeline.exporters.rendering.source import made_by, yaml_text
from nbpipeline.model.exported import ExportGiven, Loss, Setting, Workflow

TITLE = "GitLab CI/CD 18"
FOLDER = "."
OPTIONS: Mapping[str, str] = {
    **ci.OPTIONS,
    "file": "where the job stands, in place of `.gitlab-ci.yml`: a file that yours includes",
    "image": "the image of the job, in place of Python's own",
    "stage": "the stage of the job, in place of `test`",
    "tags": "the tags of its runner, with commas",
}
_INSIDE = "by `nbpipeline run`"
KEEPS: Mapping[str, str] = {
    "order": "`nbpipeline run` keeps it, in one job",
    "parameters": "typed inputs of the pipeline; what no form holds: its input `params`",
    "matrix": _INSIDE,
    "retries": _INSIDE,
    "backoff": _INSIDE,
    "timeout": f"{_INSIDE}, within the timeout of the project's jobs",
    "cpus": f"{_INSIDE}, within the runner's cores",
    "memory": f"{_INSIDE}, within the runner's memory",
    "schedule": "no file of GitLab's holds one: a pipeline schedule, made once by the command in README.md",
    "timezone": "`cron_timezone` of that schedule",
    "secrets": "CI/CD variables of the same names",
    "env": "CI/CD variables of the same names",
    "checks": f"{_INSIDE}; a failed one fails the pipeline, so no merge where pipelines must succeed",
    "tracking": _INSIDE,
    "executed": "in the job's artifacts, with the report",
    "fresh": "the store comes from the cache, or is the shared one; forks read it and never write",
    "files": "one job runs all stages",
}
_FILE = ".gitlab-ci.yml"
_FOLDER = ".gitlab/nbpipeline"
_BESIDE = ("params.py", "comment.py", "inputs.json", "README.md", "requirements.lock")
_MOST_INPUTS = 19
"""GitLab takes 20; one is `params`."""
_MOST_OPTIONS = 50
_LONGEST_HELP = 1000
_MERGE_REQUEST = '$CI_PIPELINE_SOURCE == "merge_request_event"'
_FORK = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_MERGE_REQUEST_PROJECT_ID"
_OWN = "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_MERGE_REQUEST_PROJECT_ID"
_COMMENT = "nbpipeline-comment"
"""The job that tells the merge request, and the environment that its token is for."""
_TOKEN_IS_NOT_HERE = (
    'if [ -n "$NBPIPELINE_GITLAB_TOKEN" ]; then\n'
    "  echo 'Notebooks could read the variable NBPIPELINE_GITLAB_TOKEN: "
    f"give it the environment scope {_COMMENT}.' >&2\n"
    "  exit 1\n"
    "fi"
)
_KEPT = ("report.html", "summary.md")
_RUNS = ".nbpipeline/runs"
_STARTED = ("schedule", "web", "api", "trigger", "pipeline")


def losses(workflow: Workflow, given: ExportGiven) -> Iterable[Loss]:
    """Find whether GitLab would see the job, and whether the store is where its cache cannot reach."""
    yield from ci.unseen("GitLab", "the job", given)
    folder = workflow.store_folder
    if not _is_inside(posixpath.join(given.to_root, folder)):
        yield Loss(
            feature="fresh",
            tasks=(),
            what=f"the store '{folder}' is outside the project, and no cache of GitLab's reaches it",
            mend="name a folder in the project, or a URL",
        )


def _is_inside(path: str) -> bool:
    """Say whether a path leads below GitLab's own project: the repository, and the export's folder."""
    normal = posixpath.normpath(path)
    return not normal.startswith("/") and normal.split("/")[0] != ".."


def render(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Give the job, the programs that it calls, and the lock of what it installs."""
    file = _file(given)
    ci.variables(workflow.secrets, "`secrets` of a stage")
    ci.variables(workflow.env, "`env` of a stage")
    inputs = ci.in_form(workflow, _MOST_INPUTS)
    head = made_by("gitlab-ci", workflow.profile)
    header = yaml_text({"spec": {"inputs": _spec(inputs)}})
    listed = {
        _variable(name): {"parameter": one.name, "default": one.default} for name, one in inputs.items()
    }
    comment = ci.program(ci.COMMENT, "gitlab-ci", workflow)
    jobs = {"nbpipeline": _job(workflow, given, inputs), _COMMENT: _comment(given, comment)}
    return {
        file: f"{head}{header}---\n{yaml_text(jobs)}",
        f"{_FOLDER}/params.py": ci.program(ci.PARAMS, "gitlab-ci", workflow),
        f"{_FOLDER}/comment.py": comment,
        f"{_FOLDER}/inputs.json": json.dumps(listed, indent=2, ensure_ascii=False) + "\n",
        f"{_FOLDER}/README.md": gitlab_ci_readme.readme(workflow, file, included=file != _FILE),
        f"{_FOLDER}/requirements.lock": container.lock("gitlab-ci", workflow, given),
    }


def _file(given: ExportGiven) -> str:
    what = "a job of GitLab"
    mend = "name a .yml file in the project, such as .gitlab/nbpipeline.yml"
    others = [f"{_FOLDER}/{one}" for one in _BESIDE]
    file = places.named("file", _FILE, given, what=what, mend=mend, others=others)
    if not file.endswith((".yml", ".yaml")):
        raise places.refused("file", file, what, mend)
    return file


# --- inputs ----------------------------------------------------------------------------------


def _variable(name: str) -> str:
    return f"NBPIPELINE_INPUT_{name}"


def _spec(inputs: Mapping[str, Setting]) -> dict[str, Any]:
    further = {"description": ci.FURTHER, "type": "string", "default": "{}"}
    return {**{name: _input(one) for name, one in inputs.items()}, "params": further}


def _input(setting: Setting) -> dict[str, Any]:
    text = " ".join((setting.help or f"Parameter of {', '.join(setting.stages)}").split())
    found: dict[str, Any] = {"description": text[:_LONGEST_HELP], "type": _type(setting.default)}
    if setting.default in setting.choices and len(setting.choices) <= _MOST_OPTIONS:
        types = {_type(one) for one in setting.choices}
        if types == {found["type"]} and types <= {"string", "number"}:
            found["options"] = list(setting.choices)
    return {**found, "default": setting.default}


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string" if isinstance(value, str) else ""


# --- the job ---------------------------------------------------------------------------------


def _machine(given: ExportGiven) -> dict[str, Any]:
    options = given.options
    tags = [one.strip() for one in options.get("tags", "").split(",") if one.strip()]
    return {
        **({"stage": options["stage"]} if "stage" in options else {}),
        "image": options.get("image", f"python:{given.python}-slim"),
        **({"tags": tags} if tags else {}),
    }


def _job(workflow: Workflow, given: ExportGiven, inputs: Mapping[str, Setting]) -> dict[str, Any]:
    return {
        **_machine(given),
        "rules": _rules(),
        "variables": _variables(inputs, given),
        "resource_group": "nbpipeline-$NBPIPELINE_FROM-$CI_COMMIT_REF_SLUG",
        "cache": _caches(workflow, given),
        "script": _script(workflow, given),
        "after_script": ["\n".join([*_entered(given), *ci.summary_lines()])],
        "artifacts": {
            "name": "nbpipeline",
            "expose_as": "nbpipeline",
            "when": "always",
            "paths": [*(ci.below(one, given) for one in _KEPT), f"{ci.below(_RUNS, given)}/"],
        },
    }


def _comment(given: ExportGiven, program: str) -> dict[str, Any]:
    """Tell the merge request, in the one job that has the token; it takes a text from the other, no program.

    A notebook may upload any file as the other job's artifacts, so the program that is run is looked at, and
    sees no module beside itself (`-I`).
    """
    place = f"{_FOLDER}/comment.py"
    digest = hashlib.sha256(program.encode()).hexdigest()
    return {
        **_machine(given),
        "needs": ["nbpipeline"],
        "rules": [{"if": f"{_MERGE_REQUEST} && {_OWN}", "when": "always"}],
        "variables": {"GIT_STRATEGY": "clone"},
        "environment": {"name": _COMMENT, "action": "access"},
        "resource_group": f"{_COMMENT}-$CI_MERGE_REQUEST_IID",
        "cache": [],
        "script": [
            f"echo '{digest}  {place}' | sha256sum -c",
            f"python -I {place} {ci.quoted(ci.below('summary.md', given))}",
        ],
        "allow_failure": True,
    }


def _rules() -> list[dict[str, Any]]:
    """Run for merge requests, the default branch, and whoever starts it; one from a fork writes nothing.

    A fork's pipeline runs in the fork, or in this project when a member starts it: in both the project that
    its changes come from is another than the one that it asks to merge them.
    """
    return [
        {
            "if": f"{_MERGE_REQUEST} && {_FORK}",
            "variables": {
                "NBPIPELINE_FROM": "fork",
                "NBPIPELINE_FORK": "--no-push",
                "NBPIPELINE_CACHE": "pull",
            },
        },
        {"if": _MERGE_REQUEST, "variables": {"NBPIPELINE_FROM": "merge-request"}},
        {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"},
        {"if": " || ".join(f'$CI_PIPELINE_SOURCE == "{one}"' for one in _STARTED)},
    ]


def _variables(inputs: Mapping[str, Setting], given: ExportGiven) -> dict[str, Any]:
    """Hand inputs over as they are: `expand: false` keeps GitLab from filling in variables in them."""
    typed = {_variable(name): _given(f"={_input_of(name)}") for name in inputs}  # `=` makes each a text
    here = given.options.get("nbpipeline")  # a variable of the project is before one of the file
    return {
        **({"NBPIPELINE": _given(here)} if here else {}),
        "NBPIPELINE_FROM": "branch",
        "NBPIPELINE_FORK": "",
        "NBPIPELINE_CACHE": "pull-push",
        "PIP_CACHE_DIR": "$CI_PROJECT_DIR/.cache/pip",
        **typed,
        "NBPIPELINE_PARAMS": _given(_input_of("params")),
    }


def _given(value: str) -> dict[str, Any]:
    return {"value": value, "expand": False}


def _input_of(name: str) -> str:
    return f"$[[ inputs.{name} ]]"


def _entered(given: ExportGiven) -> list[str]:
    """Go from the repository's root to the project's folder."""
    place = ci.project(given)
    return [f"cd {ci.quoted(f'./{place}')}"] if place != "." else []


def _beside(given: ExportGiven) -> str:
    """Give the way from the project's folder to that of the job's programs."""
    return posixpath.relpath(_FOLDER, ci.project(given))


def _caches(workflow: Workflow, given: ExportGiven) -> list[dict[str, Any]]:
    """Keep caches apart by where a pipeline comes from; GitLab does by protected and other branches."""
    policy = {"policy": "$NBPIPELINE_CACHE"}
    lock = {"files": [f"{_FOLDER}/requirements.lock"], "prefix": "pip-$NBPIPELINE_FROM"}
    pip = {"key": lock, "paths": [".cache/pip/"], **policy}
    cached = [ci.below(one, given) for one in ci.cached(workflow)]
    results = {
        "key": "nbpipeline-$NBPIPELINE_FROM-$CI_COMMIT_REF_SLUG",
        "fallback_keys": ["nbpipeline-branch-$CI_DEFAULT_BRANCH"],
        "paths": [one for one in cached if _is_inside(one)],
        "when": "always",
        **policy,
    }
    return [pip] if workflow.store else [pip, results]


def _script(workflow: Workflow, given: ExportGiven) -> list[str]:
    params = ['--params "$NBPIPELINE_INPUTS"', '--params "$NBPIPELINE_PARAMS"']
    return [
        *_entered(given),
        _TOKEN_IS_NOT_HERE,
        *ci.install_lines(f"{_beside(given)}/requirements.lock"),
        *ci.check_lines("gitlab-ci", workflow, given),
        f"NBPIPELINE_INPUTS=$(python {_beside(given)}/params.py)",
        " ".join([*ci.run_words(workflow), *params, "$NBPIPELINE_FORK"]),
    ]
