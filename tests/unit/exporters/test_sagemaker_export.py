"""SageMaker Pipelines: definitions that a strict reader takes, what it must refuse, and what has no place there."""

import argparse
import ast
import copy
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zoo
from builders import code, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st
from sagemaker_check import complaints, requests

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import sagemaker, sagemaker_machines
from nbpipeline.exporters.rendering.schedule import expanded
from nbpipeline.exporters.sagemaker_programs import expression
from nbpipeline.model import Resources
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Task, Workflow

SETTINGS = """
name: Late flights
schedule: {cron: "*/20 3 * * 5-7", timezone: Europe/Berlin}
store: {path: "s3://bucket/flights"}
"""
RICH = """
outputs: {one: "../one-{region}.csv"}
retries: 2
retry_delay: 1.5s
retry_backoff: 2
timeout: 10m
resources: {cpus: 3, memory: 20GB}
env: [TZ]
matrix: {region: [eu, us]}
params: {kind: {default: x, type: str, choices: [x, "y z"]}}
"""
PARAMETERS = """
rate: float = 0.5
whole: float = 1
count: int = 3
flag: bool = True
empty: str = ''
deep: int | None = None
many: list = [1.0, "a"]
huge: int = 2**40
Role: str = 'mine'
kind: str = 'x'
"""
STORE = "s3://bucket/flights"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("rich")
    write_files(root, {"pipeline.yaml": SETTINGS})
    parameters = PARAMETERS.replace("2**40", str(2**40))
    write_notebook(root / "notebooks/one.ipynb", header(RICH), code(parameters, "parameters"))
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))
    return dict(Project(root).exporting.rendered("sagemaker").files)


@pytest.fixture
def rich(made: dict[str, str]) -> dict[str, Any]:
    return dict(json.loads(made["pipeline.json"]))


def rendered(workflow: Workflow, **options: str) -> dict[str, Any]:
    files = sagemaker.render(workflow, ExportGiven(folder="deploy/sagemaker", options=options))
    return dict(json.loads(files["pipeline.json"]))


def loaded(text: str) -> Any:
    """Load a program without running it."""
    module = types.ModuleType("program")
    module.__file__ = "/project/deploy/sagemaker/step.py"
    exec(compile(text, "step.py", "exec"), module.__dict__)  # noqa: S102 - what is tried
    return module


def handed(files: dict[str, str], **given: str) -> Any:
    """Give the parameters that a step's program makes of an execution's."""
    program = loaded(files["step.py"])
    (request, *_) = requests(json.loads(files["pipeline.json"]), **given).values()
    environment = request.get("Environment", {})
    return {
        setting: program.typed(environment[program.PREFIX + name], kind)
        for name, (setting, kind) in program.PARAMETERS.items()
    }


@pytest.mark.parametrize("case", [*zoo.CASES.values()], ids=list(zoo.CASES))
def test_the_zoo_is_sound(case: zoo.Case, root: Path) -> None:
    case.write(root)
    zoo.share(root, "s3://bucket/flights")
    files = Project(root).exporting.rendered("sagemaker", allow_loss=bool(case.hidden)).files
    assert complaints(json.loads(files["pipeline.json"])) == []


def test_all_that_a_stage_says_is_said_to_sagemaker(rich: dict[str, Any]) -> None:
    assert complaints(rich) == []
    one, _, two = rich["Steps"]
    assert (one["Name"], one["DisplayName"]) == ("one-region-eu", "one[region=eu]")
    assert two["DependsOn"] == ["one-region-eu", "one-region-us"]
    assert one["RetryPolicies"] == [
        {
            "ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "SageMaker.CAPACITY_ERROR"],
            "IntervalSeconds": 2,
            "BackoffRate": 2.0,
            "MaxAttempts": 2,
        }
    ]
    assert "RetryPolicies" not in two
    asked = requests(rich)["one-region-eu"]
    assert asked["ProcessingResources"]["ClusterConfig"]["InstanceType"] == "ml.r5.xlarge"
    assert asked["StoppingCondition"]["MaxRuntimeInSeconds"] == 3 * 600 + 5 + 600 + 3600
    assert asked["AppSpecification"]["ContainerArguments"][:4] == [
        "nbpipeline",
        "run-stage",
        "one@region=eu",
        "--fetch",
    ]
    (output,) = asked["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri"] == "s3://bucket/runs/abcdefghijkl/one-region-eu"
    assert requests(rich)["two"]["StoppingCondition"]["MaxRuntimeInSeconds"] == 432_000


def test_parameters_have_types_and_untouched_ones_come_back_as_they_were(made: dict[str, str]) -> None:
    definition = json.loads(made["pipeline.json"])
    types_ = {one["Name"]: one["Type"] for one in definition["Parameters"]}
    assert [types_[one] for one in ("rate", "whole", "count", "flag")] == [
        "Float",
        "Float",
        "Integer",
        "Boolean",
    ]
    assert {types_[one] for one in ("empty", "deep", "many", "huge", "kind", "env_TZ")} == {"String"}
    kind = next(one for one in definition["Parameters"] if one["Name"] == "kind")
    assert kind["EnumValues"] == ["x", "y z"]
    untouched = handed(made)
    assert untouched == {
        "rate": 0.5,
        "whole": 1,
        "count": 3,
        "flag": True,
        "empty": "",
        "deep": None,
        "many": [1.0, "a"],
        "huge": 2**40,
        "Role": "mine",
        "kind": "x",
    }
    assert type(untouched["whole"]) is int
    assert type(untouched["many"][0]) is float


def test_parameters_that_are_set_have_their_types(made: dict[str, str]) -> None:
    found = handed(made, rate="2", whole="1.5", flag="False", deep="4", kind="y z", empty='"a"')
    assert (found["rate"], found["whole"], found["flag"], found["deep"]) == (2.0, 1.5, False, 4)
    assert type(found["rate"]) is float
    assert (found["kind"], found["empty"]) == ("y z", "a")


def test_choices_are_sent_as_the_definition_has_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(root, {"pipeline.yaml": f"name: x\nstore: {{path: '{STORE}'}}\n"})
    head = 'env: [SEED]\nparams: {kind: {default: "", type: str, choices: ["", "ä", "b\\"c"]}}'
    cells = code("kind: str = ''\nSEED: int = 1", "parameters")
    write_notebook(root / "notebooks/a.ipynb", header(head), cells)
    files = dict(Project(root).exporting.rendered("sagemaker").files)
    definition = json.loads(files["pipeline.json"])
    monkeypatch.setitem(sys.modules, "step", loaded(files["step.py"]))
    submit = loaded(files["submit.py"])
    for choice in ("", "ä", 'b"c'):
        sent = {one["Name"]: one["Value"] for one in submit.as_texts({"kind": choice}, None)}
        assert requests(definition, **sent)
        assert handed(files, **sent)["kind"] == choice
    with pytest.raises(AssertionError, match="kind"):
        requests(definition, kind='"z"')
    sent = {one["Name"]: one["Value"] for one in submit.as_texts({"SEED": 2, "env_SEED": "x"}, None)}
    assert sent == {"SEED": "2", "env_SEED": "x"}, "a parameter, and the variable of its name"
    assert submit.as_texts({"env_SEED": None}, None) == [{"Name": "env_SEED", "Value": "null"}]
    with pytest.raises(SystemExit):
        submit.as_texts({"deep.kind": 1}, argparse.ArgumentParser())


def test_a_parameter_is_sent_once(
    made: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "step", loaded(made["step.py"]))
    submit = loaded(made["submit.py"])
    with pytest.raises(SystemExit):
        submit.as_texts({"TZ": "UTC", "env_TZ": "CET"}, argparse.ArgumentParser())
    assert "--params: env_TZ: env_TZ is given twice" in capsys.readouterr().err


def test_a_parameter_called_as_one_of_the_deployment_has_another_name(rich: dict[str, Any]) -> None:
    names = [one["Name"] for one in rich["Parameters"]]
    assert names[:3] == ["Role", "Image", "Outputs"]
    assert sum(one.startswith("Role_") for one in names) == 1


@given(st.text(min_size=1, max_size=60), st.text())
def test_any_text_comes_out_as_data(name: str, value: str) -> None:
    setting = Setting(name="p", stages=("a",), types=("str",), default=value, help=value)
    task = Task(id=f"a[b={name}]", stage="a", axes={"b": name}, settings=("p",), description=value)
    workflow = Workflow(name=name, tasks=(task,), settings=(setting,), store=STORE)
    given_ = ExportGiven(folder="deploy/sagemaker")
    if f"a{name}".splitlines() != [f"a{name}"] or "\0" in name:
        with pytest.raises(UsageError, match="words of one line"):
            sagemaker.render(workflow, given_)
        return
    files = dict(sagemaker.render(workflow, given_))
    assert complaints(json.loads(files["pipeline.json"])) == []
    (request,) = requests(json.loads(files["pipeline.json"])).values()
    assert request["AppSpecification"]["ContainerArguments"][2] == f"a@b={name}"
    lost = [*sagemaker.losses(workflow, given_)]
    assert handed(files) == ({} if lost else {"p": value})


def test_what_is_too_long_for_an_environment_is_a_loss(root: Path) -> None:
    write_files(root, {"pipeline.yaml": f"name: long\nstore: {{path: '{STORE}'}}\n"})
    rows = [f"text = {'x' * 257!r}", *(f"p{one} = {one}" for one in range(101))]
    write_notebook(root / "notebooks/a.ipynb", header("env: [TZ]"), code("\n".join(rows), "parameters"))
    with pytest.raises(LossError) as refused:
        Project(root).exporting.rendered("sagemaker")
    for name in ("text", "p99", "p100"):
        assert f"parameter {name}: a step takes 100 values of 256 characters" in str(refused.value)
    export = Project(root).exporting.rendered("sagemaker", allow_loss=True)
    definition = json.loads(export.files["pipeline.json"])
    assert complaints(definition) == []
    assert len(requests(definition)["a"]["Environment"]) == 100


def test_what_sagemaker_lacks_is_refused(root: Path) -> None:
    write_files(root, {"pipeline.yaml": 'name: less\nschedule: {cron: "0 3 1 * 1"}\n'})
    head = "outputs: {o: ../o.txt}\nsecrets: [TOKEN]\ntimeout: 200h\nretries: 1"
    write_notebook(root / "notebooks/a.ipynb", header(head), code("1"))
    with pytest.raises(LossError) as refused:
        Project(root).exporting.rendered("sagemaker")
    text = str(refused.value)
    assert "secrets: not to be had there (a)" in text
    assert "time limits: a job is ended after nine days, all tries together (a)" in text
    assert "EventBridge takes days of the month or of the week, not both" in text
    assert "name a store at a URL in pipeline.yaml" in text
    assert "--set volume" not in text
    files = Project(root).exporting.rendered("sagemaker", allow_loss=True).files
    assert complaints(json.loads(files["pipeline.json"])) == []
    assert 'CRON = ""' in files["submit.py"]


@pytest.mark.parametrize(
    ("cron", "written"),
    [
        ("*/20 3 * * 5-7", "cron(0,20,40 3 ? * SUN,FRI,SAT *)"),
        ("0 3 * * *", "cron(0 3 * * ? *)"),
        ("5 0-6/3 1,15 jan-mar *", "cron(5 0,3,6 1,15 1,2,3 ? *)"),
        ("0 3 * * 1", "cron(0 3 ? * MON *)"),
        ("10/25 * * * *", "cron(10,35 * * * ? *)"),
        ("0 3 1 * 1", ""),
        ("0 3 */2 * mon", ""),
    ],
)
def test_schedules_are_written_as_eventbridge_reads_them(cron: str, written: str) -> None:
    assert expression(Schedule(cron=cron)) == written


def test_fields_of_cron_mean_numbers() -> None:
    assert expanded("*/15", 0) == [0, 15, 30, 45]
    assert expanded("fri-7", 4) == [5, 6, 7]
    assert expanded("dec,2-6/2", 3) == [2, 4, 6, 12]


def test_the_scripts_know_the_schedule(made: dict[str, str]) -> None:
    assigned = {
        one.targets[0].id: ast.literal_eval(one.value)
        for one in ast.parse(made["submit.py"]).body
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and one.targets[0].id.isupper()
        and isinstance(one.value, ast.Constant)
    }
    assert assigned == {
        "NAME": "late-flights",
        "CRON": "cron(0,20,40 3 ? * SUN,FRI,SAT *)",
        "TIMEZONE": "Europe/Berlin",
    }


# --- machines --------------------------------------------------------------------------------


def one_task(**resources: Any) -> Workflow:
    return Workflow(name="w", store=STORE, tasks=(Task(id="a", stage="a", resources=Resources(**resources)),))


def machine(workflow: Workflow, **options: str) -> Any:
    (request,) = requests(rendered(workflow, **options)).values()
    return request["ProcessingResources"]["ClusterConfig"]


@pytest.mark.parametrize(
    ("resources", "type_"),
    [
        ({}, "ml.m5.large"),
        ({"memory": 8 * 2**30 + 1}, "ml.r5.large"),
        ({"cpus": 2.5}, "ml.m5.xlarge"),
        ({"cpus": 96, "memory": 700 * 10**9}, "ml.r5.24xlarge"),
        ({"gpus": 1}, "ml.g4dn.xlarge"),
        ({"gpus": 2}, "ml.g4dn.12xlarge"),
        ({"gpus": 8}, "ml.g5.48xlarge"),
    ],
)
def test_the_smallest_machine_that_is_enough_is_taken(resources: dict[str, Any], type_: str) -> None:
    assert machine(one_task(**resources))["InstanceType"] == type_


def test_every_known_machine_is_one_of_the_services() -> None:
    from sagemaker_check import _shape

    clusters = _shape().members["ProcessingResources"].members["ClusterConfig"]
    assert {one.type for one in sagemaker_machines.MACHINES} <= {*clusters.members["InstanceType"].enum}


def test_machines_and_disks_are_named() -> None:
    tasks = tuple(Task(id=one, stage=one, resources=Resources(cpus=200)) for one in ("a", "b"))
    workflow = Workflow(name="w", store=STORE, tasks=tasks)
    found = requests(rendered(workflow, instance="a:ml.p5.4xlarge,ml.m5.xlarge", **{"volume-size": "100"}))
    assert [one["ProcessingResources"]["ClusterConfig"]["InstanceType"] for one in found.values()] == [
        "ml.p5.4xlarge",
        "ml.m5.xlarge",
    ]
    assert found["a"]["ProcessingResources"]["ClusterConfig"]["VolumeSizeInGB"] == 100


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"instance": "m5.large"}, "is no instance type"),
        ({"instance": "nosuch:ml.m5.large"}, "or of no stage"),
        ({"volume-size": "0"}, "no size of a disk"),
        ({"volume-size": "1e3"}, "no size of a disk"),
        ({"image": "a b"}, "nothing is called so"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        rendered(one_task(), **options)


def test_more_than_any_machine_has_is_refused() -> None:
    with pytest.raises(UsageError, match="a asks for more cores") as refused:
        rendered(one_task(cpus=97))
    assert "--set instance=a:TYPE" in str(refused.value)


def test_a_definition_that_is_too_long_is_refused() -> None:
    tasks = tuple(Task(id=f"a[b={one}]", stage="a") for one in range(2000))
    with pytest.raises(UsageError, match="longer than the 1,048,576 characters"):
        rendered(Workflow(name="w", store=STORE, tasks=tasks))


# --- what must be refused --------------------------------------------------------------------


def _arguments(definition: dict[str, Any]) -> dict[str, Any]:
    return dict.__getitem__(definition["Steps"][0], "Arguments")


def _cluster(definition: dict[str, Any]) -> Any:
    return _arguments(definition)["ProcessingResources"]["ClusterConfig"]


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no version": lambda d: d.update(Version="2020-12-02"),
    "Step: no such field": lambda d: d.update(Step=[]),
    "two parameters of one name": lambda d: d["Parameters"].append(d["Parameters"][0]),
    "no name of a parameter": lambda d: d["Parameters"][0].update(Name="train.C"),
    "no type: Number": lambda d: d["Parameters"][3].update(Type="Number"),
    "is no Float": lambda d: d["Parameters"][3].update(DefaultValue="0.5"),
    "is none of": lambda d: d["Parameters"][3].update(EnumValues=[0.5]),
    "two steps of one name": lambda d: d["Steps"].append(d["Steps"][0]),
    "no name of a step": lambda d: d["Steps"][0].update(Name="one_eu"),
    "Retry: no such field": lambda d: d["Steps"][0].update(Retry=1),
    "no step nosuch": lambda d: d["Steps"][2].update(DependsOn=["nosuch"]),
    "a circle": lambda d: d["Steps"][0].update(DependsOn=["two"]),
    "nothing is called Parameters.nosuch": lambda d: _arguments(d).update(
        RoleArn={"Get": "Parameters.nosuch"}
    ),
    "nothing is called Execution.Id": lambda d: _arguments(d).update(RoleArn={"Get": "Execution.Id"}),
    "no output nosuch": lambda d: d["Steps"][0]["PropertyFiles"][0].update(OutputName="nosuch"),
    "no policy": lambda d: d["Steps"][0]["RetryPolicies"][0].update(ExceptionType=["AlgorithmError"]),
    "a text is too long": lambda d: d["Steps"][0].update(DisplayName="x" * 257),
    'Unknown parameter in input: "Enviroment"': lambda d: _arguments(d).update(Enviroment={}),
    'Missing required parameter in input: "AppSpecification"': lambda d: _arguments(d).pop(
        "AppSpecification"
    ),
    "Invalid type for parameter ProcessingResources.ClusterConfig.InstanceCount": lambda d: _cluster(
        d
    ).update(InstanceCount="1"),
    "is none of ProcessingInstanceType": lambda d: _cluster(d).update(InstanceType="ml.m5.huge"),
    "MaxRuntimeInSeconds: 777601 is beyond": lambda d: _arguments(d)["StoppingCondition"].update(
        MaxRuntimeInSeconds=777_601
    ),
    "ContainerArguments.0: longer than 256": lambda d: _arguments(d)["AppSpecification"].update(
        ContainerArguments=["x" * 257]
    ),
    "is no .*": lambda d: _arguments(d)["AppSpecification"].update(ContainerArguments=["a\nb"]),
    "Environment.a b: 'a b' is no": lambda d: _arguments(d)["Environment"].update({"a b": "1"}),
    "Environment.a: longer than 256": lambda d: _arguments(d)["Environment"].update(a="x" * 257),
    "Environment: longer than 100": lambda d: _arguments(d)["Environment"].update(
        {f"a{one}": "" for one in range(100)}
    ),
    "is no (https|s3)://": lambda d: _arguments(d)["ProcessingOutputConfig"]["Outputs"][0]["S3Output"].update(
        S3Uri="bucket/runs"
    ),
}


@pytest.mark.parametrize("complaint", BROKEN)
def test_the_strict_reader_refuses_what_is_broken(complaint: str, rich: dict[str, Any]) -> None:
    definition = copy.deepcopy(rich)
    BROKEN[complaint](definition)
    assert complaint in "\n".join(complaints(definition))


def test_an_execution_with_a_value_of_another_type_is_refused(rich: dict[str, Any]) -> None:
    for name, text in (("count", "1.5"), ("flag", "maybe"), ("kind", "nosuch"), ("empty", "")):
        with pytest.raises((ValueError, KeyError, AssertionError)):
            requests(rich, **{name: text})
