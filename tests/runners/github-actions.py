"""Runs an exported workflow's steps in a shell, as a runner of GitHub does."""

from pathlib import Path
from typing import Any

import yaml
from parity import Place, exported
from workflow_shell import run_job
from zoo import Case

NAME = "github-actions"
CANNOT = {"apart": "one job runs all stages"}
NOTHING = "nothing to run"
QUICK = ("diamond", "matrix", "failing_check")
WORKFLOW = ".github/workflows/nbpipeline.yml"
INSTALL = "Install what the stages import"


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "github-actions")
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    inputs = given(project, dict(case.params))
    contexts = {"github": {"event_name": "workflow_dispatch", "event": {}}, "inputs": inputs}
    contexts |= {"secrets": case.variables, "vars": case.variables}  # the repository's, not the machine's
    machine = {name: one for name, one in place.environment.items() if name not in case.variables}
    done = run_job(project / WORKFLOW, "pipeline", project, contexts, machine, without=frozenset({INSTALL}))
    assert done.ok != case.fails, {name: one.stdout + one.stderr for name, one in done.steps.items()}
    return "".join(one.stdout + one.stderr for one in done.steps.values()) + done.summary


def given(project: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Fill the form: what has an input of its own there, the rest as JSON."""
    import json

    workflow = yaml.safe_load((project / WORKFLOW).read_text(encoding="utf-8"))
    form = workflow["on"]["workflow_dispatch"]["inputs"]
    filled = {name: one["default"] for name, one in form.items()}
    own = {name for name in params if name in form}
    filled.update({name: params[name] for name in own})
    filled["params"] = json.dumps({name: value for name, value in params.items() if name not in own})
    return filled
