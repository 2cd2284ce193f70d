"""Runs the pipeline itself on a Dask cluster of this machine: `nbpipeline run --executor dask`."""

from pathlib import Path

from builders import command
from parity import Place, texts
from zoo import Case

NAME = "dask"
TITLE = "`nbpipeline run --executor dask`"
PACKAGE = "distributed"
QUICK = ()
APART = "each job has a folder of its own, laid out from the store; the records come back"
NOTHING = "nothing to run"


def run(project: Path, case: Case, place: Place) -> str:
    words = ["run", "--keep-going", "--executor", "dask", "-j", "2", *texts(case)]
    done = command(*words, cwd=project, environment=place.environment, timeout=900)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    return done.stdout + done.stderr


again = run
