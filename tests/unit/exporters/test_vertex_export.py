"""Vertex AI Pipelines: the same pipeline without what only Kubernetes knows, and a script that submits it."""

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import code, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.errors import LossError

SETTINGS = """
name: flights
schedule: {cron: "30 3 * * 7", timezone: Europe/Berlin}
store: {path: "s3://bucket/nowhere"}
"""
HEAD = """
outputs: {o: ../o.txt}
timeout: 10m
resources: {cpus: 2, memory: 1500MB, gpus: 2}
"""


@pytest.fixture
def project(root: Path) -> Project:
    write_files(root, {"pipeline.yaml": SETTINGS})
    write_notebook(root / "notebooks/a.ipynb", header(HEAD), code("rate: float = 0.5", "parameters"))
    return Project(root)


def test_the_file_is_the_pipeline_alone(project: Project) -> None:
    files = project.exporting.rendered("vertex", options={"accelerator": "NVIDIA_L4"}).files
    (document,) = yaml.safe_load_all(files["vertex.yaml"])
    (executor,) = document["deploymentSpec"]["executors"].values()
    assert executor["container"]["command"] == ["python3", "deploy/vertex/component.py"]
    assert executor["container"]["resources"] == {
        "cpuLimit": 2.0,
        "memoryLimit": 1.5,
        "accelerator": {"type": "NVIDIA_L4", "count": "2"},
    }


def test_the_script_knows_the_schedule_and_its_zone(project: Project) -> None:
    tree = ast.parse(project.exporting.rendered("vertex").files["submit.py"])
    assert _assigned(tree, "CRON") == "TZ=Europe/Berlin 30 3 * * 0"
    assert _assigned(tree, "NAME") == "flights"


def _assigned(tree: ast.Module, name: str) -> Any:
    (found,) = [
        one.value
        for one in tree.body
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name) and one.targets[0].id == name
    ]
    return ast.literal_eval(found)


def test_secrets_and_a_lacking_store_are_refused(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: flights\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}\nsecrets: [TOKEN]"), code("1"))
    with pytest.raises(LossError) as refused:
        Project(root).exporting.rendered("vertex")
    text = str(refused.value)
    assert "secrets: not to be had there (a)" in text
    assert "name a store at a URL in pipeline.yaml" in text
    assert "--set volume" not in text
