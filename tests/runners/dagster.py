"""Runs an exported pipeline with Dagster, in one process."""

import json
import re
from pathlib import Path

from parity import Place, exported
from zoo import Case

NAME = "dagster"
QUICK = ()


def run(project: Path, case: Case, place: Place) -> None:
    folder = exported(project, "dagster")
    (place.scratch / "home").mkdir(exist_ok=True)
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
