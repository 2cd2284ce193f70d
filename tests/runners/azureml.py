"""Holds an export to Azure Machine Learning to what its own SDK lets pass, too; it is run nowhere."""

from pathlib import Path

from azureml_check import complaints
from parity import Place, exported
from zoo import Case, share

NAME = "azureml"
QUICK = ()
ENVIRONMENT = ""


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del place
    share(project)
    return complaints(exported(project, "azureml", *(["--allow-loss"] if case.hidden else [])))
