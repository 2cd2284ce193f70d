"""The exported file as kfp's own loader and the Kubernetes platform's messages read it; what tasks leave behind."""

import json
from pathlib import Path
from typing import Any

import parity
import pytest
import yaml
from builders import code, header, write_files, write_notebook
from kubeflow_check import LOADED

pytestmark = [pytest.mark.heavy, pytest.mark.xdist_group("target-kubeflow"), pytest.mark.timeout(900)]
BROKEN = [
    ("dependentTasks:", "dependsOn:", 'no field named "dependsOn"'),
    ("parameterType: NUMBER_DOUBLE", "parameterType: DOUBLE", "DOUBLE"),
    ("- one-region-eu\n", "- nosuch\n", "AssertionError('nosuch')"),
    ("executorLabel: exec-two", "executorLabel: nosuch", "nosuch"),
    ("secretAsEnv:", "secretAsVariable:", 'no field named "secretAsVariable"'),
]
RICH = """
outputs: {one: "../one-{region}.txt"}
retries: 2
retry_delay: 1s
timeout: 10m
resources: {cpus: 0.5, memory: 1500MB, gpus: 1}
secrets: [TOKEN]
env: [TZ]
matrix: {region: [eu, us]}
"""


@pytest.fixture
def place(tmp_path: Path) -> parity.Place:
    return parity.place_for("kubeflow", tmp_path / "scratch")


@pytest.fixture
def file(root: Path) -> Path:
    write_files(root, {"pipeline.yaml": "name: rich\n"})
    write_notebook(
        root / "notebooks/one.ipynb",
        header(RICH),
        code("rate: float = 0.5\nmany: list = [1, {'a': None}]\ndeep: int | None = None", "parameters"),
    )
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))
    return parity.exported(root, "kubeflow", "--set", "volume=claim") / "kubeflow.yaml"


def test_the_file_is_read_without_a_complaint_and_broken_ones_are_refused(
    file: Path, place: parity.Place
) -> None:
    root = file.parents[2]
    text = file.read_text()
    vertex = parity.exported(root, "vertex", "--allow-loss") / "vertex.yaml"
    files = [file, vertex]
    for number, (before, after, _) in enumerate(BROKEN):
        assert before in text
        files.append(file.with_name(f"broken-{number}.yaml"))
        files[-1].write_text(text.replace(before, after))
    words = ["-W", "ignore", "-c", LOADED, *(str(one) for one in files)]
    done = place.run(str(place.bin / "python"), *words, cwd=file.parent)
    good, as_good, *bad = done.stdout.splitlines()
    assert (good, as_good) == ("3 tasks", "3 tasks"), done.stdout + done.stderr
    assert len(bad) == len(BROKEN)
    for line, (_, _, complaint) in zip(bad, BROKEN, strict=True):
        assert complaint in line


def test_tasks_leave_the_notebook_the_result_and_metrics(root: Path, place: parity.Place) -> None:
    from runners.kubeflow import PROGRAM

    write_files(root, {"pipeline.yaml": "name: left\n"})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}"),
        code("rate: float = 0.5", "parameters"),
        code("open(o, 'w').write(str(rate))"),
        code("score = rate * 2", "metrics"),
    )
    file = parity.exported(root, "kubeflow", "--set", "volume=claim") / "kubeflow.yaml"
    given, artifacts = place.scratch / "given.json", place.scratch / "artifacts"
    given.write_text('{"rate": 3.0}')
    done = place.run(
        str(place.bin / "python"),
        "-W",
        "ignore",
        "-c",
        PROGRAM,
        str(file),
        str(given),
        str(artifacts),
        cwd=root,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "o.txt").read_text() == "3.0"
    assert _left(artifacts, "executed")["cells"]
    assert _left(artifacts, "result")["status"] == "succeeded"
    assert _left(artifacts, "metrics") == {"score": 6.0}
    handed = _left(artifacts, "executor_output.json")["artifacts"]["metrics"]["artifacts"]
    assert handed[0]["metadata"] == {"score": 6.0}


def _left(folder: Path, name: str) -> Any:
    (found,) = folder.rglob(name)
    return json.loads(found.read_text())


def test_parameters_without_a_default_are_the_notebooks_own(file: Path) -> None:
    first = next(iter(yaml.safe_load_all(file.read_text())))
    assert "defaultValue" not in first["root"]["inputDefinitions"]["parameters"]["deep"]
