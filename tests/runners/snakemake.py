"""Runs an exported pipeline with Snakemake."""

import json
from pathlib import Path

from parity import Place, exported
from zoo import Case

NAME = "snakemake"
PACKAGE = "snakemake"
QUICK = ("fresh",)
NOTHING = "Nothing to be done"


def run(project: Path, case: Case, place: Place) -> str:
    exported(project, "snakemake")
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    folder = project / "deploy/snakemake"
    given = place.scratch / "given.json"
    given.write_text(json.dumps({"params": dict(case.params)}))
    done = place.run("snakemake", "--cores", "2", "--keep-going", "--configfile", str(given), cwd=folder)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    return done.stdout + done.stderr
