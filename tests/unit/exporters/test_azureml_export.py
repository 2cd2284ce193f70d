"""Azure Machine Learning: what is written, and what has to be refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import azureml_check
import pytest
import yaml
import zoo
from builders import code, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st
from tzlocal.windows_tz import tz_win

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import azureml, azureml_component
from nbpipeline.exporters.azureml_zones import NAMES, windows_name
from nbpipeline.model.exported import ExportGiven, Setting, Task, Workflow

SETTINGS = """
name: Flights & more
schedule: {cron: "30 3 * * 1-7", timezone: Europe/Berlin}
store: {path: "s3://bucket/nowhere"}
"""
RICH = """
description: "First ${{parent.inputs.rate}}"
outputs: {one: "../one-{region}.csv"}
retries: 2
retry_delay: 30s
timeout: 10m
resources: {cpus: 2, memory: 1500MB, gpus: 1}
env: [TZ, LANG]
matrix: {region: [eu, us]}
"""
PARAMETERS = """
rate: float = 0.5
Rate: float = 1
many: list = [1]
deep: int | None = None
text: str = ""
odd: str = "${{parent.inputs.rate}}"
after_1: int = 1152921504606846976
kind: str = "a"
"""
OPTIONS = {"compute": "cpus", "gpu_compute": "gpus", "variables": '{"TZ": "UTC", "LANG": null}'}


def written(project: Project, *, allow_loss: bool = False, **options: str) -> Path:
    export = project.exporting.rendered("azureml", options=options, allow_loss=allow_loss)
    project.exporting.written(export)
    return export.folder


@pytest.fixture
def project(root: Path) -> Project:
    write_files(root, {"pipeline.yaml": SETTINGS})
    head = (
        RICH + "params: {kind: {default: a, choices: [a, b]}, n: {default: 3, type: int, min: 1, max: 9}}\n"
    )
    write_notebook(root / "notebooks/one.ipynb", header(head), code(PARAMETERS, "parameters"))
    write_notebook(root / "notebooks/two.ipynb", header("after: [one]"), code("1"))
    return Project(root)


@pytest.fixture
def folder(project: Project) -> Path:
    return written(project, **OPTIONS)


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("case", [*zoo.CASES.values()], ids=list(zoo.CASES))
def test_the_zoo_is_sound(case: zoo.Case, root: Path) -> None:
    case.write(root)
    zoo.share(root)
    assert azureml_check.complaints(written(Project(root), allow_loss=bool(case.hidden))) == []


def test_all_that_a_stage_says_is_said_to_azure(folder: Path) -> None:
    assert azureml_check.complaints(folder) == []
    pipeline = read(folder / "pipeline.yml")
    assert pipeline["settings"] == {
        "default_compute": "azureml:cpus",
        "force_rerun": True,
        "continue_on_step_failure": True,
    }
    eu, _us, two = pipeline["jobs"].values()
    assert eu["compute"] == "azureml:gpus"
    assert eu["limits"] == {"timeout": 3 * 600 + 60 + 600 + 3600}
    assert eu["environment_variables"] == {"TZ": "UTC"}
    assert eu["inputs"]["instance"] == "one@region=eu"
    assert "compute" not in two
    assert [two["inputs"][name] for name in ("after_1", "after_2")] == [
        "${{parent.jobs.one_region_eu.outputs.results}}",
        "${{parent.jobs.one_region_us.outputs.results}}",
    ]
    component = read(folder / "components/one.yml")
    assert component["name"] == "flights_more_one"
    assert component["description"] == "First $ {{parent.inputs.rate}}"
    assert component["is_deterministic"] is False


def test_parameters_have_types_and_what_azure_would_spoil_is_json(folder: Path) -> None:
    values = read(folder / "pipeline.yml")["inputs"]
    types = {name: one["type"] for name, one in read(folder / "components/one.yml")["inputs"].items()}
    (capital,) = {name for name in values if name.startswith("rate_")}
    (taken,) = {name for name in values if name.startswith("after_1_")}
    assert values == {
        "rate": 0.5,
        capital: 1,
        "many": "[1]",
        "deep": "null",
        "text": '""',
        "odd": '"${\\u007bparent.inputs.rate}}"',
        taken: "1152921504606846976",
        "kind": "a",
        "n": 3,
    }
    assert {types[name] for name in ("many", "deep", "text", "odd", taken, "kind", "instance")} == {"string"}
    assert {types[name] for name in ("rate", capital)} == {"number"}
    assert read(folder / "components/two.yml")["inputs"]["n"] == {
        "type": "integer",
        "description": "at least 1; at most 9",
        "min": 1,
        "max": 9,
    }
    assert read(folder / "components/two.yml")["inputs"]["kind"]["enum"] == ["a", "b"]


def test_a_stage_whose_instances_wait_for_different_numbers_has_a_component_for_each() -> None:
    one, two = Task(id="a", stage="a"), Task(id="b[x=1]", stage="b", upstream=("a",))
    three = Task(id="b[x=2]", stage="b", upstream=("a", "b[x=1]"))
    workflow = Workflow(name="uneven", tasks=(one, two, three), store="s3://bucket")
    files = azureml.render(workflow, ExportGiven())
    jobs = yaml.safe_load(files["pipeline.yml"])["jobs"]
    assert [job["component"] for job in jobs.values()] == [
        "./components/a.yml",
        "./components/b_after_1.yml",
        "./components/b_after_2.yml",
    ]
    for job in jobs.values():
        assert yaml.safe_load(files[job["component"][2:]])["inputs"].keys() == job["inputs"].keys()


def test_an_image_is_named_or_built_by_azure(project: Project) -> None:
    files = project.exporting.rendered("azureml", options={**OPTIONS, "nbpipeline": "dist/n.whl"}).files
    assert yaml.safe_load(files["components/one.yml"])["environment"] == "azureml:flights-more@latest"
    assert yaml.safe_load(files["environment.yml"])["build"] == {
        "path": "../..",
        "dockerfile_path": "deploy/azureml/Dockerfile",
    }
    assert "ARG NBPIPELINE=dist/n.whl\n" in files["Dockerfile"]
    assert "-type d -exec chmod a+rwx {} +\nUSER runner\n" in files["Dockerfile"]
    files = project.exporting.rendered("azureml", options={**OPTIONS, "image": "r.example.com/f:1"}).files
    assert yaml.safe_load(files["components/one.yml"])["environment"] == {"image": "r.example.com/f:1"}
    assert "environment.yml" not in files
    assert "docker push r.example.com/f:1" in files["README.md"]


def test_what_hangs_on_options_is_refused_without_them(project: Project) -> None:
    with pytest.raises(LossError) as refused:
        project.exporting.rendered("azureml")
    text = str(refused.value)
    for mend in ("--set gpu_compute=NAME", '--set variables=\'{"TZ": "...", "LANG": "..."}\''):
        assert mend in text
    lost = project.exporting.rendered("azureml", allow_loss=True).losses
    assert [one.feature for one in lost] == ["cpus", "memory", "gpus", "env"]


def test_what_a_stage_asks_of_a_machine_its_own_compute_has_to_have(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: big\nstore: {path: 's3://bucket/nowhere'}\n"})
    write_notebook(root / "notebooks/a.ipynb", header("resources: {cpus: 4, memory: 16GB}"), code("1"))
    write_notebook(root / "notebooks/b.ipynb", header("resources: {gpus: 1}"), code("1"))
    exporting = Project(root).exporting
    lost = exporting.rendered("azureml", allow_loss=True, options={"gpu_compute": "gpus"}).losses
    assert [(one.feature, one.tasks) for one in lost] == [("cpus", ("a",)), ("memory", ("a",))]
    assert all("--set compute=NAME" in one.mend for one in lost)
    files = exporting.rendered("azureml", options={"compute": "cpus", "gpu_compute": "gpus"}).files
    assert "| `a` | 4 | 16 GB | 0 |\n| `b` | 1 | - | 1 |\n" in files["README.md"]


def test_no_secret_becomes_a_variable_that_all_can_read(root: Path) -> None:
    zoo.diamond(root)
    write_notebook(root / "notebooks/more.ipynb", header("secrets: [TOKEN]\nenv: [TOKEN]"), code("1"))
    with pytest.raises(UsageError, match="TOKEN is in no stage's `env`, a secret"):
        Project(root).exporting.rendered(
            "azureml", allow_loss=True, options={"variables": '{"TOKEN": "abcdefgh"}'}
        )


def test_secrets_and_a_lacking_store_are_refused(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: flights\n"})
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}\nsecrets: [TOKEN]"), code("1"))
    with pytest.raises(LossError) as refused:
        Project(root).exporting.rendered("azureml")
    assert "secrets: not to be had there (a)" in str(refused.value)
    assert "name a store at a URL in pipeline.yaml" in str(refused.value)
    files = Project(root).exporting.rendered("azureml", allow_loss=True).files
    assert "**No job is given the secrets `TOKEN`.**" in files.pop("README.md")
    assert "TOKEN" not in "".join(files.values())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "no JSON of names and texts"),
        ('{"TZ": 1}', "no JSON of names and texts"),
        ("[]", "no JSON of names and texts"),
        ('{"TOKEN": "x"}', "TOKEN is in no stage's `env`"),
        ('{"TZ": "${{inputs.rate}}"}', "TZ is in no stage's `env`, a secret, or holds an expression"),
    ],
)
def test_values_of_variables_are_looked_at(project: Project, text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match="--set variables") as refused:
        project.exporting.rendered("azureml", options={**OPTIONS, "variables": text})
    assert complaint in str(refused.value)


# --- schedules -------------------------------------------------------------------------------


def test_the_schedule_has_its_zone_by_the_name_of_windows(folder: Path) -> None:
    schedule = read(folder / "schedule.yml")
    assert schedule["trigger"] == {
        "type": "cron",
        "expression": "30 3 * * 0,1,2,3,4,5,6",
        "time_zone": "W. Europe Standard Time",
    }
    assert schedule["create_job"] == "./pipeline.yml"


@pytest.mark.parametrize(
    ("cron", "zone", "lost"),
    [
        ("0 3 1 * *", "UTC", "schedule '0 3 1 * *': Azure ignores days of the month and months"),
        ("0 3 * jan *", "UTC", "schedule '0 3 * jan *': Azure ignores days of the month and months"),
        ("0 3 * * *", "Asia/Omsk", "Azure has no name for Asia/Omsk"),
    ],
)
def test_schedules_that_azure_would_misread_are_refused(root: Path, cron: str, zone: str, lost: str) -> None:
    zoo.diamond(root)
    with (root / "pipeline.yaml").open("a") as file:
        file.write(f"store: {{path: 's3://bucket/s'}}\nschedule: {{cron: '{cron}', timezone: {zone}}}\n")
    with pytest.raises(LossError) as refused:
        Project(root).exporting.rendered("azureml")
    assert lost in str(refused.value)
    files = Project(root).exporting.rendered("azureml", allow_loss=True).files
    if zone == "UTC":  # it would run every day
        assert "schedule.yml" not in files
        assert "schedule.yml" not in files["README.md"]
    else:
        assert yaml.safe_load(files["schedule.yml"])["trigger"]["time_zone"] == "UTC"


def test_zones_are_those_of_cldr() -> None:
    known = {zone: name if name in NAMES else None for zone, name in tz_win.items() if zone}
    assert {zone: windows_name(zone) for zone in known} == known
    assert windows_name("Mars/Phobos") is None


# --- what Microsoft's own validation lets pass -------------------------------------------------

BROKEN = [
    ("pipeline.yml", "jobs.one_region_eu.outputs", "jobs.nosuch.outputs", "leads nowhere"),
    ("pipeline.yml", "eu.outputs.results", "eu.outputs.nosuch", "leads nowhere"),
    ("pipeline.yml", "${{parent.inputs.rate}}", "${{parent.inputs.nosuch}}", "leads nowhere"),
    ("pipeline.yml", "${{parent.jobs.one_region_eu.outputs.results}}", "one", "leads nowhere"),
    ("pipeline.yml", "jobs.one_region_eu.outputs", "jobs.two.outputs", "a circle"),
    ("pipeline.yml", "  one_region_us:", "  One-us:", "One-us: no name"),
    ("pipeline.yml", "  kind: a\n", '  kind: ""\n', "drop what is empty"),
    ("pipeline.yml", "  kind: a\n", "  kind: ${{name}}\n", "an expression"),
    ("pipeline.yml", "      rate: ", "      rat: ", "other inputs than its component"),
    ("components/two.yml", "${{outputs.results}}", "${{inputs.kind}}", "in the command is code"),
    ("components/two.yml", "name: flights", "name: Flights", "no name"),
    ("components/two.yml", "uri_folder\n", "uri_folder\n    optional: true\n", "orders nothing"),
    ("schedule.yml", ": 30 3 * *", ": 30 3 1 *", "schedule: 30 3 1"),
    ("schedule.yml", ": 30 3 * * 0", ": thirty 3 * * 0", "schedule: thirty"),
    ("schedule.yml", "W. Europe Standard Time", "Europe/Berlin", "no time zone Europe/Berlin"),
]


@pytest.mark.parametrize(("name", "before", "after", "complaint"), BROKEN)
def test_broken_files_are_seen(folder: Path, name: str, before: str, after: str, complaint: str) -> None:
    file = folder / name
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    assert any(complaint in one for one in azureml_check.complaints(folder))


# --- parameters on their way -------------------------------------------------------------------

KINDS = st.sampled_from([("bool",), ("int",), ("float",), ("int", "float"), ("str",), ("int", "None"), ()])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(SCALARS, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=4)


@given(types=KINDS, default=VALUES)
def test_no_default_is_changed_on_its_way(types: tuple[str, ...], default: Any) -> None:
    """Azure makes a text of each value, which the task's program reads."""
    if not fits(default, types):
        return
    setting = Setting(name="p", stages=("a",), types=types, default=default)
    workflow = Workflow(name="w", tasks=(Task(id="a", stage="a"),), settings=(setting,))
    (one,) = azureml_component.parameters(workflow).values()
    text = str(yaml.safe_load(azureml.yaml_text({"value": azureml_component.value(one)}))["value"])
    assert text
    assert "${{" not in text
    found = {"str": lambda: text, "bool": lambda: json.loads(text.lower()), "float": lambda: float(text)}
    assert found.get(one.kind, lambda: json.loads(text))() == default


def fits(value: Any, types: tuple[str, ...]) -> bool:
    return not types or type(value).__name__.replace("NoneType", "None") in types


def test_a_value_that_azure_did_not_give_is_no_default(folder: Path) -> None:
    done = called(folder, AZUREML_PARAMETER_instance="two")
    assert done.returncode == 2
    assert "Azure gave no value for input rate (AZUREML_PARAMETER_rate is not set)" in done.stderr


def test_a_value_of_another_type_is_refused(folder: Path) -> None:
    done = called(folder, AZUREML_PARAMETER_instance="two", AZUREML_PARAMETER_rate="much")
    assert done.returncode == 2
    assert "input rate is 'much', which is no float" in done.stderr


def called(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "component.py"), str(folder / "results")],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
