"""Creates the exported pipeline and runs its job in a shell, as GitLab and a runner of it do."""

import json
from pathlib import Path
from typing import Any

from gitlab_shell import Runner, documents, predefined
from parity import Place, exported
from zoo import Case

NAME = "gitlab-ci"
CANNOT = {"apart": "one job runs all stages"}
NOTHING = "nothing to run"
QUICK = ("diamond", "matrix", "failing_check")


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "gitlab-ci")
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    runner = Runner(place.scratch / "caches", place.environment)
    started = predefined(project, "web")
    ran = runner.run(project, started, given(project, dict(case.params)), without=installs(project))
    assert ran is not None
    assert ran.ok is not case.fails, ran.script.stderr + ran.script.stdout
    return str(ran.script.stderr + ran.script.stdout)


def given(project: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Fill in the form as a user would: what it has no field for goes into `params`."""
    header, _ = documents(project / ".gitlab-ci.yml")
    form = header["spec"]["inputs"]
    own = {name: value for name, value in params.items() if name in form}
    further = {name: value for name, value in params.items() if name not in own}
    return {**own, "params": json.dumps(further)}


def installs(project: Path) -> frozenset[str]:
    """The lines that install what is installed here."""
    _, body = documents(project / ".gitlab-ci.yml")
    return frozenset(one for one in body["nbpipeline"]["script"] if one.startswith("pip install"))
