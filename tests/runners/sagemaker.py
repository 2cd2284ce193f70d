"""Holds a pipeline definition for SageMaker to the model of the service's API, strictly; it is run nowhere."""

import json
from pathlib import Path

from parity import Place, exported
from sagemaker_check import complaints
from zoo import Case, share

NAME = "sagemaker"
QUICK = ()
ENVIRONMENT = ""


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del place
    share(project, "s3://bucket/flights")
    folder = exported(project, "sagemaker", *(["--allow-loss"] if case.hidden else []))
    return complaints(json.loads((folder / "pipeline.json").read_text(encoding="utf-8")))
