"""Runs an exported pipeline with Airflow: `airflow dags test`, in this process's own folders."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from filelock import FileLock
from parity import Place, exported
from zoo import Case

NAME = "airflow"
PACKAGE = "apache-airflow"
QUICK = ()
NOTHING = "fresh: its result stands"  # why a task is skipped


def settings(home: Path, dags: Path) -> dict[str, str]:
    """Give the variables that make an Airflow of its own of a folder."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def prepared(place: Place, home: Path, dags: Path) -> Mapping[str, str]:
    """Make an Airflow with an empty database; the first one is kept beside the programs, and copied."""
    home.mkdir(parents=True)
    kept = place.bin.parent / "empty.db"
    with FileLock(f"{kept}.lock"):
        if not kept.exists():
            done = place.run("airflow", "db", "migrate", cwd=home, timeout=600, **settings(home, dags))
            assert done.returncode == 0, done.stdout + done.stderr
            shutil.copyfile(home / "airflow.db", f"{kept}.part")
            Path(f"{kept}.part").rename(kept)
    shutil.copyfile(kept, home / "airflow.db")
    return settings(home, dags)


def run(project: Path, case: Case, place: Place) -> str:
    folder = exported(project, "airflow")
    return again(project, case, place, prepared(place, place.scratch / "airflow", folder))


def again(project: Path, case: Case, place: Place, variables: Mapping[str, str] | None = None) -> str:
    folder = project / "deploy/airflow"
    variables = variables or settings(place.scratch / "airflow", folder)
    (file,) = folder.glob("*_dag.py")
    dag_id = file.read_text().partition("dag_id=")[2].partition(",\n")[0].strip('"')
    words = ["airflow", "dags", "test", dag_id, "--conf", json.dumps(dict(case.params))]
    done = place.run(*words, cwd=folder, timeout=600, **variables)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    return done.stdout + done.stderr
