"""Runs an exported pipeline with DVC."""

from pathlib import Path
from typing import Any

import yaml
from parity import Place, exported
from zoo import Case

NAME = "dvc"
PACKAGE = "dvc"
CANNOT = {"apart": "its stages hand files over in the project's folder; between machines, by its own remotes"}
NOTHING = "Data and pipelines are up to date"
QUICK = ("failing_check", "fresh")  # `fresh` is `dvc repro` twice


def run(project: Path, case: Case, place: Place) -> str:
    place.run("dvc", "init", "--no-scm", "-q", cwd=project)
    exported(project, "dvc")
    if case.params:
        params = project / "params.yaml"
        values = yaml.safe_load(params.read_text(encoding="utf-8"))
        for name, value in case.params.items():
            _set(values, name.split("."), value)
        params.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")
    return again(project, case, place)


def again(project: Path, case: Case, place: Place) -> str:
    done = place.run("dvc", "repro", "--keep-going", cwd=project)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def _set(values: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        values = values[key]
    assert keys[-1] in values
    values[keys[-1]] = value
