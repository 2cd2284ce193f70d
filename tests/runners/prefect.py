"""Runs an exported flow with Prefect."""

import json
from pathlib import Path

from parity import Place, exported
from prefect_server import serving
from zoo import Case

NAME = "prefect"
PACKAGE = "prefect"
NOTHING = "nothing to run"
QUICK = ()  # a server starts anew for each case

_CALL = """
import json, sys
import prefect
import flow
run = next(one for one in vars(flow).values() if isinstance(one, prefect.Flow))
run(**json.loads(sys.argv[1]), return_state=True)
"""


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "prefect")
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    folder = project / "deploy/prefect"
    given = {name.replace(".", "_"): value for name, value in case.params.items()}
    words = ("python", "-c", _CALL, json.dumps(given))
    with serving(place) as served:  # the one that a flow starts by itself may outlive it
        done = place.run(*words, cwd=folder, **served.variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
