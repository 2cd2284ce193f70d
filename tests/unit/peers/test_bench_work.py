"""The generated DAG, in each runner's own form, is one and the same."""

import json
import re
from pathlib import Path

import nbformat
import pytest
import yaml

from benchmarks import work
from benchmarks.environments import PINS
from benchmarks.runners import dvc, everyone, nbpipeline, ploomber, select
from benchmarks.runners.runner import Runner
from nbpipeline import pipeline
from nbpipeline.reading.project import read_project

DAG = work.generate()
EDGES = {(upstream, stage.name) for stage in DAG for upstream in stage.upstream}


def test_a_source_and_five_layers_of_four() -> None:
    assert len(DAG) == 21
    assert [len(stage.upstream) for stage in DAG] == [0, *[1] * 4, *[2] * 16]
    assert len(work.downstream(DAG, work.middle(DAG))) == 6
    assert [stage.name for stage in work.generate(2, 1)] == ["source", "stage_1_0", "stage_2_0"]


def test_a_change_reaches_every_output_downstream_and_no_other() -> None:
    name = work.middle(DAG)
    before, after = work.expected(DAG), work.expected(work.changed(DAG, name, 1001))
    assert {one for one in before if before[one] != after[one]} == work.downstream(DAG, name)


@pytest.mark.parametrize("runner", everyone(), ids=lambda runner: runner.name)
def test_every_form_has_the_same_work_and_takes_the_change(root: Path, runner: Runner) -> None:
    runner.write(root, DAG)
    for stage in DAG:
        notebook = nbformat.read(root / stage.notebook, as_version=4)
        nbformat.validate(notebook)
        assert [cell.source + "\n" for cell in notebook.cells[-2:]] == [work.IMPORTS, work.body(stage)]
    changed = root / next(stage for stage in DAG if stage.name == work.middle(DAG)).notebook
    before = changed.read_text().splitlines()
    work.edit(root, next(stage for stage in DAG if stage.name == work.middle(DAG)), 1001)
    after = changed.read_text().splitlines()
    differences = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [one.strip() for one in differences] == [r'"step = 1001\n",']


def test_an_edit_of_a_line_that_is_not_there_is_refused(root: Path) -> None:
    nbpipeline.write(root, DAG)
    with pytest.raises(ValueError, match="stands there 0 times"):
        work.edit(root, work.changed(DAG, "source", 6)[0], 7)


def test_nbpipeline_sees_the_dag(root: Path) -> None:
    nbpipeline.write(root, DAG)
    spec, complaints = read_project(root)
    built, more = pipeline.build(spec)
    assert [*complaints, *more] == []
    assert built
    assert {(edge.upstream, edge.downstream) for edge in built.edges} == EDGES


def test_ploomber_sees_the_dag(root: Path) -> None:
    ploomber.write(root, DAG, "serial")
    declared = set()
    for task in yaml.safe_load((root / "pipeline.yaml").read_text())["tasks"]:
        cell = json.loads((root / task["source"]).read_text())["cells"][0]
        names: dict[str, list[str] | None] = {}
        exec("".join(cell["source"]), names)  # noqa: S102  (it is the generator's own cell)
        declared |= {(upstream, task["name"]) for upstream in names["upstream"] or ()}
    assert declared == EDGES


def test_dvc_sees_the_dag(root: Path) -> None:
    dvc.write(root, DAG)
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    maker = {path: name for name, stage in stages.items() for path in stage["outs"]}
    read = {(maker[path], name) for name, stage in stages.items() for path in stage["deps"] if path in maker}
    assert read == EDGES


def test_outputs_are_compared_byte_by_byte(root: Path) -> None:
    dag = work.generate(2, 1)
    total = 0
    (root / "data").mkdir()
    for stage in dag:
        values = [(total * row + stage.step) % work.MODULUS for row in range(1, work.ROWS + 1)]
        total = sum(values)
        (root / stage.output).write_text("\n".join(map(str, ("value", *values))) + "\n")
    assert work.wrong(root, dag) == []
    (root / dag[1].output).write_text("value\n1\n")
    (root / dag[2].output).unlink()
    assert work.wrong(root, dag) == ["stage_1_0", "stage_2_0"]


def test_runners_are_chosen_by_name() -> None:
    assert [one.name for one in select("nbpipeline")] == ["nbpipeline"]
    assert [one.name for one in select("Ploomber, dvc")] == [
        "Ploomber serial",
        "Ploomber parallel -j2",
        "DVC",
    ]
    assert select("", variants=["three=-j3 --keep-going"])[2].command[-2:] == ("-j3", "--keep-going")
    with pytest.raises(ValueError, match="no runner is called 'plumber'"):
        select("plumber")


@pytest.mark.parametrize("name", sorted({runner.environment for runner in everyone()}))
def test_pins_name_no_index_and_no_path(name: str) -> None:
    text = (PINS / f"{name}.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.match(r"[\w.\[\]-]+==[^ /:]+( ; .+)?$", line) for line in lines)
    assert {"pandas", "scikit-learn", "matplotlib", "papermill"} <= {
        line.partition("==")[0] for line in lines
    }


def test_what_the_notebooks_import_has_the_same_version_everywhere() -> None:
    shared = re.compile(
        r"^(?:pandas|numpy|scikit-learn|matplotlib|papermill|ipykernel|nbclient)==.*$", re.MULTILINE
    )
    found = {tuple(shared.findall(path.read_text(encoding="utf-8"))) for path in PINS.glob("*.txt")}
    assert len(found) == 1
