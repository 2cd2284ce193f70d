"""Holds an export to Argo Workflows to its reference, strictly; it is run nowhere."""

from pathlib import Path

import yaml
from argo_check import complaints
from parity import NEVER_RUN, Place, exported
from zoo import Case

NAME = "argo"
QUICK = ()

CANNOT = NEVER_RUN


def validate(project: Path, case: Case, place: Place) -> list[str]:
    del place
    folder = exported(project, "argo", *(["--allow-loss"] if case.apart else ["--set", "volume=claim"]))
    (file,) = folder.glob("*.yaml")
    return complaints(*yaml.safe_load_all(file.read_text(encoding="utf-8")))
