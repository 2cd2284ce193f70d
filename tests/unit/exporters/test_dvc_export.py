"""dvc.yaml as DVC reads it."""

from pathlib import Path
from typing import Any

import pytest
import yaml
import zoo
from builders import code, header, write_files, write_notebook
from counting import calls_of

from nbpipeline import Project
from nbpipeline.errors import UsageError
from nbpipeline.exporters import dvc
from nbpipeline.exporters.rendering.source import yaml_text
from nbpipeline.model.exported import ExportGiven, Task, Workflow


def stages_of(root: Path) -> dict[str, dict[str, Any]]:
    files = Project(root).exporting.rendered("dvc").files
    return yaml.safe_load(files["dvc.yaml"])["stages"]


def test_what_lies_outside_the_project_is_not_for_dvcs_cache(root: Path) -> None:
    """DVC refuses a cached output there, and with it the whole pipeline."""
    write_files(root, {"pipeline.yaml": "name: x\n"})
    outside = root.parent / "outside.txt"
    cells = header(f"outputs: {{a: ../a.txt, o: {{path: {outside}, allow_outside: true}}}}"), code("1")
    write_notebook(root / "notebooks/a.ipynb", *cells)
    inner, outer = stages_of(root)["a"]["outs"]
    assert inner == {"a.txt": {"persist": True}}
    assert outer == {str(outside): {"persist": True, "cache": False}}


def test_a_stage_that_reads_a_url_is_asked_every_time(root: Path) -> None:
    """DVC looks at no URL, so it would never see that one changed."""
    write_files(root, {"pipeline.yaml": "name: x\n", "raw.txt": "1\n"})
    for name, path in (("far", "https://127.0.0.1/raw.txt"), ("near", "../raw.txt")):
        cells = header(f"inputs: {{raw: '{path}'}}\noutputs: {{o: ../{name}.txt}}"), code("1")
        write_notebook(root / f"notebooks/{name}.ipynb", *cells)
    stages = stages_of(root)
    assert stages["far"]["always_changed"] is True
    assert "always_changed" not in stages["near"]


@pytest.mark.parametrize(
    "said", ["..", ".", "a/", "../x.yaml", "/x.yaml", "dvc.yaml/x", "a\\b.yaml", "a\tb.yaml"]
)
def test_what_is_no_place_for_parameters_is_a_users_slip(root: Path, said: str) -> None:
    write_files(root, {"pipeline.yaml": "name: x\n"})
    cells = header("outputs: {o: ../o.txt}"), code("x = 1", "parameters"), code("1")
    write_notebook(root / "notebooks/a.ipynb", *cells)
    with pytest.raises(UsageError, match="that is no place for parameters"):
        Project(root).exporting.rendered("dvc", options={"params": said})
    assert (
        "conf/p.yaml" in Project(root).exporting.rendered("dvc", options={"params": "./conf//p.yaml"}).files
    )


@pytest.mark.parametrize(
    ("output", "wdir", "params"),
    [("deploy/dvc", "../..", "deploy/dvc/params.yaml"), ("..", "ml", "../params.yaml")],
)
def test_in_another_folder_stages_work_in_the_project(
    tmp_path: Path, output: str, wdir: str, params: str
) -> None:
    root = tmp_path / "ml"
    zoo.diamond(root)
    files = Project(root).exporting.rendered("dvc", root / output).files
    assert sorted(files) == ["dvc.yaml", "params.yaml"]
    load = yaml.safe_load(files["dvc.yaml"])["stages"]["load"]
    assert load["wdir"] == wdir
    assert load["params"] == [{params: ["factor"]}]
    assert f"--params @{params} " in load["cmd"]
    assert load["deps"] == ["notebooks/load.ipynb", "raw.txt"]
    assert "wdir" not in stages_of(root)["load"]


def test_beside_the_project_is_no_place_for_it(tmp_path: Path) -> None:
    root = tmp_path / "ml"
    zoo.diamond(root)
    with pytest.raises(UsageError, match="neither in the project nor above it"):
        Project(root).exporting.rendered("dvc", tmp_path / "elsewhere")


def _calls(count: int) -> int:
    """Count the calls that a chain of so many stages takes beyond the writing of its YAML."""
    tasks = tuple(
        Task(
            id=f"s{number}",
            stage=f"s{number}",
            notebook=f"notebooks/s{number}.ipynb",
            upstream=(f"s{number - 1}",) if number else (),
            inputs=(f"data/{number - 1}.txt",) if number else (),
            outputs=(f"data/{number}.txt",),
        )
        for number in range(count)
    )
    workflow = Workflow(name="chain", tasks=tasks)
    files = dvc.render(workflow, ExportGiven())
    written = yaml.safe_load(files["dvc.yaml"])
    every = calls_of(lambda: dvc.render(workflow, ExportGiven()))
    return every - calls_of(lambda: yaml_text(written))


def test_ten_times_the_stages_are_ten_times_the_work() -> None:
    few, many = _calls(20), _calls(200)
    assert many < 15 * few
