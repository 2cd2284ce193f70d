"""Holds an export to Azure Machine Learning to what its own SDK lets pass, too; it is run nowhere."""

from pathlib import Path

from azureml_check import complaints
from parity import NEVER_RUN, NO_SECRETS, Place, exported
from zoo import Case, share

NAME = "azureml"
QUICK = ()
ENVIRONMENT = ""

CANNOT = {**NEVER_RUN, **NO_SECRETS}


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del case, place
    share(project)
    return complaints(exported(project, "azureml"))
