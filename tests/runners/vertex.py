"""Has kfp load the file for Vertex AI, which the service does first; it is run nowhere."""

from pathlib import Path

from kubeflow_check import LOADED
from parity import NEVER_RUN, NO_SECRETS, Place, exported
from zoo import Case, share

NAME = "vertex"
QUICK = ()
ENVIRONMENT = "kubeflow"

CANNOT = {**NEVER_RUN, **NO_SECRETS}


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del case
    share(project)
    folder = exported(project, "vertex")
    done = place.run(str(place.bin / "python"), "-c", LOADED, str(folder / "vertex.yaml"), cwd=folder)
    return [] if done.stdout.endswith(" tasks\n") else [done.stdout + done.stderr]
