"""Airflow reads all exported files without a complaint, and tells of a broken one."""

from pathlib import Path

import parity
import pytest
import zoo
from runners.airflow import prepared

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900), pytest.mark.xdist_group("target-airflow")]


def test_files_that_airflow_cannot_read_are_told(tmp_path: Path) -> None:
    place = parity.place_for("airflow", tmp_path / "scratch")
    dags = tmp_path / "dags"
    dags.mkdir()
    for case in zoo.CASES.values():
        case.write(tmp_path / case.name)
        (file,) = parity.exported(tmp_path / case.name, "airflow").glob("*_dag.py")
        (dags / f"{case.name}_dag.py").write_text(file.read_text())
    variables = prepared(place, tmp_path / "home", dags)
    words = ["airflow", "dags", "list-import-errors", "--local"]
    good = place.run(*words, cwd=dags, **variables)
    assert (good.returncode, "No data found" in good.stdout) == (0, True), good.stdout + good.stderr
    text = (dags / "odd_dag.py").read_text()
    (dags / "broken_dag.py").write_text(text.replace('"odd_names"', '"odd names"'))
    bad = place.run(*words, cwd=dags, **variables)
    assert "broken_dag.py" in bad.stdout
    assert "odd_dag.py" not in bad.stdout
