"""Kubeflow Pipelines: what the file says, and what the program of its tasks makes of values."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders import code, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import kubeflow
from nbpipeline.exporters.kubeflow_parameters import definition
from nbpipeline.exporters.kubeflow_parameters import given as parameters_of
from nbpipeline.model.exported import ExportGiven, Setting, Task, Workflow

TYPES = [
    (("bool",), True, "BOOLEAN", True),
    (("int",), 3, "NUMBER_INTEGER", 3),
    (("int",), 2**60, "STRING", str(2**60)),
    (("int", "None"), None, "NUMBER_INTEGER", None),
    (("float",), 0.5, "NUMBER_DOUBLE", 0.5),
    (("float",), float("inf"), "STRING", "Infinity"),
    (("int", "float"), 3, "NUMBER_DOUBLE", 3),
    (("str",), "x {{ ds }}", "STRING", "x {{ ds }}"),
    (("str",), "x {{$}}", "STRING", '"x {\\u007b$}}"'),
    (("list",), [1, None], "LIST", [1, None]),
    (("dict",), {"a": 1}, "STRUCT", {"a": 1}),
    (("list",), [0.5, 1.0], "STRING", "[0.5, 1.0]"),
    (("dict",), {"a": [2**60]}, "STRING", f'{{"a": [{2**60}]}}'),
    (("int", "str"), "a", "STRING", '"a"'),
    ((), None, "STRING", "null"),
]
NBPIPELINE = """#!{python}
import json, os, sys
words = sys.argv[1:]
open(os.environ["TOLD"], "w").write(json.dumps(words))
result = words[words.index("--result") + 1]
json.dump({{"metrics": {{"acc": 0.5, "n": 3, "note": "x", "flag": True}}}}, open(result, "w"))
sys.exit(4)
"""
WAITING = """#!{python}
import os, signal, sys

def end(*_):
    os.write(1, b"restored\\n")  # the signal may come while the line below is still being printed
    sys.exit(130)

signal.signal(signal.SIGTERM, end)
print("waits", flush=True)
while True:
    signal.pause()
"""


@pytest.mark.parametrize(("types", "default", "type_", "written"), TYPES)
def test_defaults_have_types_that_hold_them(
    types: tuple[str, ...], default: Any, type_: str, written: Any
) -> None:
    setting = Setting(name="p", stages=("a",), types=types, default=default)
    (one,) = parameters_of(Workflow(name="w", tasks=(), settings=(setting,))).values()
    found = definition(one)
    assert found["parameterType"] == type_
    assert found.get("defaultValue") == written
    if one.kind == "JSON":
        assert json.loads(found["defaultValue"]) == default


def test_limits_and_choices_are_told() -> None:
    setting = Setting(
        name="p", stages=("a",), types=("int",), default=1, choices=(1, 2), min=1, max=9, help="How"
    )
    (one,) = parameters_of(Workflow(name="w", tasks=(), settings=(setting,))).values()
    assert definition(one)["description"] == "How; one of 1, 2; at least 1; at most 9"


@given(st.text(min_size=1), st.text())
def test_any_text_comes_out_as_data(name: str, value: str) -> None:
    setting = Setting(name="p", stages=("a",), types=("str",), default=value, help=value)
    task = Task(id=f"a[b={name}]", stage="a", axes={"b": name}, settings=("p",))
    workflow = Workflow(name=name, tasks=(task,), settings=(setting,), store="s3://a/b")
    document = yaml.safe_load(
        kubeflow.render(workflow, ExportGiven(folder="deploy/kubeflow"))["kubeflow.yaml"]
    )
    (there,) = document["root"]["dag"]["tasks"].values()
    constant = there["inputs"]["parameters"]["instance"]["runtimeValue"]["constant"]
    assert "{{$" not in constant
    assert (json.loads(constant) if constant.startswith('"') else constant) == f"a@b={name}"
    default = document["root"]["inputDefinitions"]["parameters"]["p"]["defaultValue"]
    assert "{{$" not in default
    assert default == value or json.loads(default) == value


def test_every_task_is_told_all_parameters() -> None:
    """What a task fetches of another one hangs on that one's parameters, too."""
    setting = Setting(name="p", stages=("a",), types=("int",), default=1)
    tasks = (Task(id="a", stage="a", settings=("p",)), Task(id="b", stage="b", upstream=("a",)))
    workflow = Workflow(name="w", tasks=tasks, settings=(setting,), store="s3://a/b")
    document = yaml.safe_load(
        kubeflow.render(workflow, ExportGiven(folder="deploy/kubeflow"))["kubeflow.yaml"]
    )
    told = document["root"]["dag"]["tasks"]["b"]["inputs"]["parameters"]
    assert told["p"] == {"componentInputParameter": "p"}
    assert "p" in document["components"]["comp-b"]["inputDefinitions"]["parameters"]


@pytest.fixture
def component(root: Path) -> Path:
    write_files(root, {"pipeline.yaml": "name: p\nstore: {path: 's3://bucket/nowhere'}\n"})
    cell = "rate: float = 0.5\nn: int = 2\nmany: list = [1]\nodd: int | str = 'x'\ntext: str = '1'\ndeep: int | None = None"
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code(cell, "parameters"))
    text = Project(root).exporting.rendered("kubeflow").files["component.py"]
    (root / "component.py").write_text(text)
    (root / "nbpipeline").write_text(NBPIPELINE.format(python=sys.executable))
    (root / "nbpipeline").chmod(0o755)
    return root / "component.py"


def words_for(component: Path, values: dict[str, Any]) -> list[str]:
    root = component.parent
    left = root / "left/executor_output.json"
    artifact = {"name": "metrics", "uri": "s3://bucket/metrics", "type": {"schemaTitle": "system.Metrics"}}
    asked = {
        "inputs": {"parameterValues": {"instance": "a", **values}},
        "outputs": {"outputFile": str(left), "artifacts": {"metrics": {"artifacts": [artifact]}}},
    }
    left_there = [f"--{one}={root / one}" for one in ("executed", "result", "metrics")]
    how = ["--like", "kfp.dsl.executor_main", "--executor_input", json.dumps(asked)]
    return [sys.executable, str(component), *how, *left_there]


def run(component: Path, values: dict[str, Any]) -> tuple[int, list[str], dict[str, Any]]:
    root = component.parent
    environment = {"PATH": str(root), "TOLD": str(root / "told")}
    done = subprocess.run(words_for(component, values), env=environment, check=False)
    left = (root / "left/executor_output.json").read_text()
    return done.returncode, json.loads((root / "told").read_text()), json.loads(left)


def test_the_end_that_kubernetes_asks_for_reaches_the_command(component: Path) -> None:
    program = component.with_name("nbpipeline")
    program.write_text(WAITING.format(python=sys.executable))
    words = words_for(component, {})
    with subprocess.Popen(
        words, env={"PATH": str(program.parent)}, stdout=subprocess.PIPE, text=True
    ) as task:
        assert task.stdout is not None
        assert task.stdout.readline() == "waits\n"
        task.terminate()
        assert task.stdout.read() == "restored\n"
        assert task.wait(timeout=60) == 130


def test_values_come_back_to_their_types(component: Path) -> None:
    given = {"rate": 2, "n": 3.0, "many": [1.0, {"a": 2.0}], "odd": "5", "text": "2"}
    code_, words, left = run(component, given)
    assert code_ == 4
    assert words[:3] == ["run-stage", "--fetch", "a"]
    values = json.loads(words[words.index("--params") + 1])
    assert values == {"rate": 2.0, "n": 3, "many": [1, {"a": 2}], "odd": 5, "text": "2"}
    assert [type(one) for one in (values["rate"], values["n"], values["many"][0])] == [float, int, int]
    (metrics,) = left["artifacts"]["metrics"]["artifacts"]
    assert metrics["metadata"] == {"acc": 0.5, "n": 3}
    assert metrics["uri"] == "s3://bucket/metrics"


def test_clients_that_send_texts_are_understood(component: Path) -> None:
    _, words, _ = run(component, {"rate": "0.25", "n": "4", "many": "[3]", "deep": None})
    assert json.loads(words[words.index("--params") + 1]) == {"rate": 0.25, "n": 4, "many": [3]}


def test_without_a_store_and_a_volume_files_are_lost(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: p\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("1"))
    with pytest.raises(LossError, match="or say --set volume=CLAIM"):
        Project(root).exporting.rendered("kubeflow")
    text = Project(root).exporting.rendered("kubeflow", options={"volume": "claim"}).files["kubeflow.yaml"]
    _, platform = yaml.safe_load_all(text)
    (executor,) = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
    assert executor["pvcMount"][0]["constant"] == "claim"


def test_a_folder_outside_the_project_is_refused(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: p\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("1"))
    with pytest.raises(UsageError, match="the image holds the project alone"):
        Project(root).exporting.rendered("kubeflow", tmp_path / "elsewhere", options={"volume": "claim"})
