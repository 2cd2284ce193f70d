"""Runs an exported pipeline with Snakemake."""

import json
from pathlib import Path

from parity import Place, exported
from zoo import Case

NAME = "snakemake"
QUICK = ()


def run(project: Path, case: Case, place: Place) -> None:
    folder = exported(project, "snakemake")
    given = place.scratch / "given.json"
    given.write_text(json.dumps({"params": dict(case.params)}))
    place.run("snakemake", "--cores", "2", "--keep-going", "--configfile", str(given), cwd=folder)
