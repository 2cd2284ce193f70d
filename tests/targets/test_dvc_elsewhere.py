"""DVC runs what was exported to another folder than the project's."""

import json
from pathlib import Path

import parity
import pytest
import yaml
import zoo
from builders import command

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]


@pytest.mark.parametrize("output", ["deploy/dvc", ".."])
def test_stages_read_and_write_in_the_project(tmp_path: Path, output: str) -> None:
    place = parity.place_for("dvc", tmp_path / "scratch")
    repository = tmp_path / "repository"
    root = repository / "ml"
    zoo.diamond(root)
    assert command("export", "dvc", "-o", output, cwd=root).returncode == 0
    file = (root / output / "dvc.yaml").resolve()
    assert place.run("dvc", "init", "--no-scm", "-q", cwd=repository).returncode == 0
    params = file.with_name("params.yaml")
    params.write_text(params.read_text().replace("factor: 3", "factor: 7"))
    done = place.run("dvc", "repro", str(file), cwd=file.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((root / "data/number.json").read_text()) == 35
    again = place.run("dvc", "repro", str(file), cwd=file.parent)
    assert "up to date" in again.stdout + again.stderr

    said = yaml.safe_load(file.read_text())
    for stage in said["stages"].values():
        del stage["wdir"]
    file.write_text(yaml.safe_dump(said))
    assert place.run("dvc", "repro", str(file), cwd=file.parent).returncode != 0, "or it would not matter"
