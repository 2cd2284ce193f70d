"""Runs an exported pipeline with Dagster, in one process."""

import json
import re
from pathlib import Path

from parity import Place, exported
from zoo import Case

NAME = "dagster"
PACKAGE = "dagster"
QUICK = ()
NOTHING = "nothing to run"


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "dagster")
    (place.scratch / "home").mkdir(exist_ok=True)
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    folder = project / "deploy/dagster"
    own = {"DAGSTER_HOME": str(place.scratch / "home"), "DAGSTER_DISABLE_TELEMETRY": "1"}
    checked = place.run("dagster", "definitions", "validate", "-f", "definitions.py", cwd=folder, **own)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    fields = {re.sub(r"\W", "_", name): value for name, value in case.params.items()}
    config = {"resources": {"parameters": {"config": fields}}} if fields else {}
    words = [
        "asset",
        "materialize",
        "-f",
        "definitions.py",
        "--select",
        "*",
        "--config-json",
        json.dumps(config),
    ]
    done = place.run("dagster", *words, cwd=folder, **own)
    assert (done.returncode != 0) == case.fails, (done.stdout + done.stderr)[-4000:]
    return done.stdout + done.stderr
