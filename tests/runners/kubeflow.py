"""Runs an exported pipeline with kfp's own local runner: the file itself, each task a process in the project's folder."""

import json
from pathlib import Path

from parity import Place, exported
from zoo import Case

NAME = "kubeflow"
PACKAGE = "kfp"
QUICK = ()
NOTHING = "nothing to run"
_STOPS = "kfp's local runner stops at the first failed task"
CANNOT = {
    "failing": _STOPS,
    "values": "kfp's local runner wants a value for every optional parameter, of those without a default, too",
}
PROGRAM = """
import json, sys
from kfp import components, local

given = json.load(open(sys.argv[2]))
local.init(local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[3], raise_on_error=True)
pipeline = components.load_component_from_file(sys.argv[1])
pipeline(**given)
"""


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "kubeflow", *(["--allow-loss"] if case.apart else ["--set", "volume=project"]))
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    folder = project / "deploy/kubeflow"
    given = place.scratch / "given.json"
    given.write_text(json.dumps({name.replace(".", "_"): value for name, value in case.params.items()}))
    root = place.scratch / "artifacts"
    words = ["-W", "ignore", "-c", PROGRAM, str(folder / "kubeflow.yaml"), str(given), str(root)]
    done = place.run(str(place.bin / "python"), *words, cwd=project)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    return done.stdout + done.stderr
