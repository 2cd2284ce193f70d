"""Argo Workflows: manifests that a strict reader takes, and what it must refuse."""

import copy
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
import zoo
from argo_check import complaints
from builders import code, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import argo
from nbpipeline.exporters.rendering.schedule import cron_of
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Task, Workflow

RICH = """
outputs: {one: "../one-{region}.csv"}
retries: 2
retry_delay: 1.5s
retry_backoff: 2
timeout: 10m
resources: {cpus: 0.5, memory: 1500MB, gpus: 1}
secrets: [TOKEN]
env: [TZ]
matrix: {region: [eu, us]}
"""


def exported(root: Path, **options: str) -> list[dict[str, Any]]:
    files = Project(root).exporting.rendered("argo", options={"volume": "claim", **options}).files
    return [yaml.safe_load(text) for path, text in files.items() if path.endswith(".yaml")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    root = tmp_path_factory.mktemp("rich")
    settings = "name: rich\nschedule: {cron: '30 3 * * 5-7', timezone: Europe/Berlin}\n"
    write_files(root, {"pipeline.yaml": settings})
    parameters = "rate: float = 0.5\nkind: str = 'x'\nodd: str = '{{ ds }}'\ndeep: int | None = None"
    write_notebook(root / "notebooks/one.ipynb", header(RICH), code(parameters, "parameters"))
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))
    return exported(root)


@pytest.fixture
def rich(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return copy.deepcopy(made)


@pytest.mark.parametrize("case", [*zoo.CASES.values()], ids=list(zoo.CASES))
def test_the_zoo_is_sound(case: zoo.Case, root: Path) -> None:
    case.write(root)
    assert complaints(*exported(root)) == []


def test_all_that_a_stage_says_is_said_to_argo(rich: list[dict[str, Any]]) -> None:
    template, cron = rich
    assert complaints(template, cron) == []
    dag, one, two = template["spec"]["templates"]
    assert one["activeDeadlineSeconds"] == 600 + 600 + 3600
    assert one["retryStrategy"]["backoff"] == {"duration": "1.5s", "factor": 2}
    assert one["container"]["resources"]["limits"] == {
        "cpu": "500m",
        "memory": "1500M",
        "nvidia.com/gpu": "1",
    }
    instance = "{{inputs.parameters.instance}}"
    assert one["container"]["args"][:4] == ["run-stage", instance, "--fetch", "--no-retries"]
    handed = [task.get("arguments", {}).get("parameters") for task in dag["dag"]["tasks"]]
    regions = [[{"name": "instance", "value": f"one@region={one}"}] for one in ("eu", "us")]
    assert handed == [*regions, None]
    assert two["container"]["args"][1] == "two"
    assert "retryStrategy" not in two
    assert dag["dag"]["tasks"][2]["depends"] == "one-region-eu && one-region-us"
    assert cron["spec"]["schedules"] == ["30 3 * * 0,5,6"]


def test_parameters_become_json_of_their_types(rich: list[dict[str, Any]]) -> None:
    template, _ = rich
    values = {one["name"]: one["value"] for one in template["spec"]["arguments"]["parameters"]}
    args = template["spec"]["templates"][1]["container"]["args"]
    assert _filled(args[args.index("--params") + 1], values) == {
        "rate": 0.5,
        "kind": "x",
        "odd": "{{ ds }}",
        "deep": None,
    }


def _filled(text: str, values: dict[str, str]) -> Any:
    """Put values in as Argo does."""
    for name, value in values.items():
        text = text.replace(f"{{{{=toJson(workflow.parameters.{name})}}}}", json.dumps(value))
        text = text.replace(f"{{{{workflow.parameters.{name}}}}}", value)
    return json.loads(text)


def test_waits_that_argo_cannot_say_are_the_commands_own(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: waits\n"})
    head = "outputs: {o: ../o.txt}\nretries: 2\nretry_delay: 10s\nretry_backoff: 1.5\ntimeout: 1m"
    write_notebook(root / "notebooks/a.ipynb", header(head), code("1"))
    task = exported(root)[0]["spec"]["templates"][1]
    assert "retryStrategy" not in task
    assert "--no-retries" not in task["container"]["args"]
    assert task["activeDeadlineSeconds"] == 3 * 60 + 25 + 60 + 3600


def test_what_looks_like_a_tag_is_joined_by_a_shell(root: Path) -> None:
    zoo.odd(root)
    tasks = exported(root)[0]["spec"]["templates"]
    (odd,) = [one for one in tasks if one.get("container", {}).get("command", [""])[0] == "sh"]
    script = odd["container"]["command"][2]
    assert shlex.split(script)[:4] == ["exec", "nbpipeline", "run-stage", "class@kind={{ b }}"]


def test_without_a_store_and_a_volume_files_are_lost(root: Path) -> None:
    zoo.diamond(root)
    with pytest.raises(LossError, match="which is gone when the task ends") as refused:
        Project(root).exporting.rendered("argo")
    assert "--set volume=CLAIM" in str(refused.value)


def test_a_name_that_no_image_has_is_refused(root: Path) -> None:
    zoo.diamond(root)
    with pytest.raises(UsageError, match="nothing is called so"):
        exported(root, image="{{workflow.name}}")


@given(st.text(min_size=1), st.text())
def test_any_text_comes_out_as_data(name: str, value: str) -> None:
    setting = Setting(name="p", stages=("a",), types=("str",), default=value, help=value)
    task = Task(id=f"a[b={name}]", stage="a", axes={"b": name}, settings=("p",), description=name)
    workflow = Workflow(name=name, tasks=(task,), settings=(setting,), store="s3://a/b")
    text = argo.render(workflow, ExportGiven(folder="deploy/argo"))["workflow-template.yaml"]
    document = yaml.safe_load(text)
    assert complaints(document) == []
    (parameter,) = document["spec"]["arguments"]["parameters"]
    args = document["spec"]["templates"][1]["container"]["args"]
    assert _filled(args[args.index("--params") + 1], {"p": parameter["value"]}) == {"p": value}
    (there,) = document["spec"]["templates"][0]["dag"]["tasks"]
    if "arguments" in there:
        assert there["arguments"]["parameters"] == [{"name": "instance", "value": f"a@b={name}"}]
    else:
        script = document["spec"]["templates"][1]["container"]["command"][2]
        assert shlex.split(script)[3] == f"a@b={name}"


@pytest.mark.parametrize(
    ("written", "read"),
    [("0 3 * * 7", "0 3 * * 0"), ("0 3 * * fri-7", "0 3 * * 0,5,6"), ("0 3 * * 1-7/2", "0 3 * * 0,1,3,5")],
)
def test_sundays_are_zero(written: str, read: str) -> None:
    assert cron_of(Schedule(cron=written)) == read


def _task(document: dict[str, Any]) -> dict[str, Any]:
    return document["spec"]["templates"][1]


BROKEN: dict[str, Callable[[dict[str, Any], dict[str, Any]], Any]] = {
    "depend: no such field": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][2].update(depend="one"),
    "no task nosuch": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][2].update(depends="nosuch"),
    "which comes later": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][0].update(depends="two"),
    "no template nosuch": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][0].update(template="nosuch"),
    "entrypoint: no template": lambda t, _: t["spec"].update(entrypoint="nosuch"),
    "not the arguments of one": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][0].pop("arguments"),
    "one-region-eu: a tag: b": lambda t, _: t["spec"]["templates"][0]["dag"]["tasks"][0]["arguments"][
        "parameters"
    ][0].update(value="one@region={{b}}"),
    "two templates of one name": lambda t, _: t["spec"]["templates"].append(copy.deepcopy(_task(t))),
    "nothing is called workflow.parameters.nosuch": lambda t, _: _task(t)["container"]["args"].append(
        "{{workflow.parameters.nosuch}}"
    ),
    "no name of a parameter": lambda t, _: t["spec"]["arguments"]["parameters"][0].update(name="train.C"),
    "a tag: ds": lambda t, _: t["spec"]["arguments"]["parameters"][0].update(value="{{ds}}"),
    "no quantity of memory": lambda t, _: _task(t)["container"]["resources"]["limits"].update(memory="2GB"),
    "no quantity of nvidia.com/gpu": lambda t, _: _task(t)["container"]["resources"]["limits"].update(
        {"nvidia.com/gpu": "500m"}
    ),
    "no expression": lambda t, _: _task(t)["retryStrategy"].update(expression="lastRetry.code != 4"),
    "no back-off": lambda t, _: _task(t)["retryStrategy"]["backoff"].update(duration="3e+06s"),
    "is no int": lambda t, _: _task(t)["retryStrategy"]["backoff"].update(factor=1.5),
    "no volume elsewhere": lambda t, _: _task(t)["container"]["volumeMounts"][0].update(name="elsewhere"),
    "image: left out": lambda t, _: _task(t)["container"].pop("image"),
    "a deadline of 0 s": lambda t, _: _task(t).update(activeDeadlineSeconds=0),
    "neither a DAG nor a container": lambda t, _: _task(t).pop("container"),
    "no schedule: 30 3 * * 7": lambda _, c: c["spec"].update(schedules=["30 3 * * 7"]),
    "no schedule: 61 3 * * *": lambda _, c: c["spec"].update(schedules=["61 3 * * *"]),
    "schedule: no such field": lambda _, c: c["spec"].update(schedule="30 3 * * *"),
    "no time zone": lambda _, c: c["spec"].update(timezone="Europe/Nowhere"),
    "no WorkflowTemplate nosuch": lambda _, c: c["spec"]["workflowSpec"]["workflowTemplateRef"].update(
        name="nosuch"
    ),
    "CronWorkflow: no name": lambda _, c: c["metadata"].update(name="A_b"),
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_the_strict_reader_refuses_what_is_broken(complaint: str, rich: list[dict[str, Any]]) -> None:
    template, cron = rich
    BROKEN[complaint](template, cron)
    assert complaint in "\n".join(complaints(template, cron))
