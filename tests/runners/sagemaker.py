"""Holds a pipeline definition for SageMaker to the model of the service's API, strictly; it is run nowhere."""

import json
from pathlib import Path

from parity import NEVER_RUN, NO_SECRETS, Place, exported
from sagemaker_check import complaints
from zoo import Case, share

NAME = "sagemaker"
QUICK = ()
ENVIRONMENT = ""

CANNOT = {**NEVER_RUN, **NO_SECRETS}


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del case, place
    share(project, "s3://bucket/flights")
    folder = exported(project, "sagemaker")
    return complaints(json.loads((folder / "pipeline.json").read_text(encoding="utf-8")))
