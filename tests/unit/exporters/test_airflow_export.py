"""The DAG file for Airflow, without Airflow."""

import ast
from pathlib import Path
from typing import Any

import pytest
import zoo
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.errors import LossError, UsageError
from nbpipeline.exporters import airflow, airflow_dag, airflow_operator
from nbpipeline.model.exported import ExportGiven, Task, Workflow

WHOLE = """
description: The first
inputs: {raw: ../raw.csv, other: ../other.csv}
outputs: {one: '../one-{region}.csv'}
retries: 2
retry_delay: 30s
timeout: 10m
resources: {cpus: 1.5}
secrets: [WAREHOUSE_TOKEN]
matrix: {region: [eu, us]}
expect: {one: [{not_null: a}]}
tags: [weekly]
"""


def whole(root: Path, more: str = "") -> None:
    files = {"raw.csv": "a\n", "other.csv": "a\n", "pipeline.yaml": "name: flights\n" + more}
    write_files(root, files)
    cells = "rate: float = 0.5  # how fast\ndepth: int | None = None\nmany: list[int] = [1]\nwords: list[str] = ['a']"
    write_notebook(root / "notebooks/train.ipynb", header(WHOLE), code(cells, "parameters"))


def exported(root: Path, **options: str) -> str:
    files = Project(root).exporting.rendered("airflow", options=options).files
    (name,) = (one for one in files if one.endswith(".py"))
    compile(files[name], name, "exec", dont_inherit=True)
    return files[name]


def calls(text: str, name: str) -> list[dict[str, Any]]:
    """Give the keywords of all calls of a name, as source."""
    return [
        {one.arg: ast.unparse(one.value) for one in node.keywords}
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def test_a_task_says_all_that_its_stage_does(root: Path) -> None:
    whole(root)
    first, second = calls(exported(root), "RunStage")
    assert ast.literal_eval(first["arguments"]) == ["run-stage", "train@region=eu", "--fetch", "--no-retries"]
    assert (first["task_id"], first["task_display_name"]) == ("'train_region_eu'", "'train[region=eu]'")
    assert (first["inlets"], second["outlets"]) == ("assets('raw.csv', 'other.csv')", "assets('one-us.csv')")
    assert (first["retries"], first["retry_delay"]) == ("2", "timedelta(seconds=30.0)")
    assert (first["execution_timeout"], first["pool_slots"]) == ("timedelta(seconds=4800.0)", "2")
    assert "The first" in first["doc_md"]
    assert "Check on `one`: not_null" in first["doc_md"]


def test_parameters_have_their_types(root: Path) -> None:
    whole(root)
    params = dict(zip(("rate", "depth", "many", "words"), calls(exported(root), "Param"), strict=True))
    assert params["rate"] == {"type": "'number'", "description": "'how fast'"}
    assert params["depth"]["type"] == "['integer', 'null']"
    assert params["many"]["type"] == "'array'"
    assert "number" in params["many"]["items"]
    assert params["words"] == {"type": "'array'"}


def test_choices_and_bounds_are_of_the_schema(root: Path) -> None:
    bounds = (
        "\n    params: {kind: {choices: [a, b]}, share: {min: 0, max: 1}}\noutputs: {x: ../x.txt}"
    ).replace("\n    ", "\n")
    write_notebook(
        root / "notebooks/a.ipynb",
        header(bounds),
        code("kind: str = 'a'\nshare: float = 0.5\nlong: str = 'one\\ntwo'", "parameters"),
    )
    kind, share, long = calls(exported(root), "Param")
    assert ast.literal_eval(kind["enum"]) == ["a", "b"]
    assert (share["minimum"], share["maximum"]) == ("0", "1")
    assert long["format"] == "'multiline'"


def task(**how: Any) -> Task:
    return Task(id="a", stage="a", **how)


def one_task(**how: Any) -> dict[str, Any]:
    workflow = Workflow(name="w", tasks=(task(**how),))
    text = airflow.render(workflow, ExportGiven())["w_dag.py"]
    return {"text": text, **calls(text, "RunStage")[0]}


@pytest.mark.parametrize(
    ("how", "airflows"),
    [
        ({"retries": 2, "retry_delay": 5.0}, True),
        ({"retries": 1, "retry_delay": 5.0, "retry_backoff": 3.0}, True),
        ({"retries": 3, "retry_backoff": 3.0}, True),
        ({"retries": 2, "retry_delay": 5.0, "retry_backoff": 2.0}, False),
        ({}, False),
    ],
)
def test_airflow_retries_where_it_waits_as_long_as_asked(how: dict[str, Any], airflows: bool) -> None:
    found = one_task(**how)
    assert ("retries" in found) == airflows
    assert ("--no-retries" in found["arguments"]) == airflows
    assert '"retries": 0' in found["text"]
    assert ("import timedelta" in found["text"]) == airflows


def test_its_time_limit_stands_behind_all_tries_that_the_command_makes() -> None:
    how = {"retries": 2, "retry_delay": 5.0, "retry_backoff": 2.0, "timeout": 100.0}
    assert one_task(**how)["execution_timeout"] == "timedelta(seconds=4015.0)"
    assert one_task(timeout=100.0)["execution_timeout"] == "timedelta(seconds=3800.0)"


@pytest.mark.parametrize(
    ("options", "more", "schedule"),
    [
        ({}, "", "None"),
        ({"assets": "raw.csv"}, "", "assets('raw.csv')"),
        ({"assets": "all"}, "", "assets('raw.csv', 'other.csv')"),
        (
            {},
            "schedule: {cron: '30 3 * * 1-5', timezone: Europe/Berlin}\n",
            "CronTriggerTimetable('30 3 * * 1-5', timezone='Europe/Berlin')",
        ),
        (
            {"assets": "other.csv"},
            "schedule: {cron: '@daily'}\n",
            "AssetOrTimeSchedule(timetable=CronTriggerTimetable('0 0 * * *', timezone='UTC'), assets=assets('other.csv'))",
        ),
    ],
)
def test_it_starts_by_the_clock_by_others_assets_or_both(
    root: Path, options: dict[str, str], more: str, schedule: str
) -> None:
    whole(root, more)
    text = exported(root, **options)
    (dag,) = calls(text, "DAG")
    assert dag["schedule"] == schedule
    assert (dag["max_active_runs"], dag["catchup"]) == ("1", "False")
    imported = {
        one.name for node in ast.parse(text).body if isinstance(node, ast.ImportFrom) for one in node.names
    }
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert imported <= used


@pytest.mark.parametrize("kind", ["environment", "variables", "connections"])
def test_secrets_are_taken_when_a_task_runs(root: Path, kind: str) -> None:
    whole(root)
    text = exported(root, secrets=kind)
    assert ("mask_secret(secret)" in text) == (kind != "environment")
    assert ("Variable.get(name)" in text) == (kind == "variables")
    assert ("Connection.get(name).password" in text) == (kind == "connections")
    assert ("secrets" in calls(text, "RunStage")[0]) == (kind != "environment")


def test_options_say_where_things_are_on_the_workers(root: Path) -> None:
    whole(root)
    text = exported(
        root,
        project="/srv/flights",
        command="/opt/a b/nbpipeline".replace(" ", "\\ "),
        executed="/x",
        pool="heavy",
    )
    assert 'PROJECT = Path("/srv/flights")' in text
    assert 'COMMAND = ["/opt/a b/nbpipeline"]' in text
    assert 'EXECUTED = PROJECT / "/x"' in text
    assert ast.literal_eval(calls(text, "DAG")[0]["default_args"])["pool"] == "heavy"


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("secrets", "vault", "known: environment, variables, connections"),
        ("executor", "kubernets", "did you mean 'kubernetes'?"),
        ("assets", "rwa.csv", "did you mean 'raw.csv'?"),
        ("assets", "one-eu.csv", "is no input that others make"),
        ("dag_id", "a b", "write a_b"),
        ("pool", " ", "names nothing"),
        ("project", "a\nb", "names nothing"),
        ("command", "'a", "write it as a shell reads it"),
    ],
)
def test_options_that_make_no_sense_are_refused(root: Path, option: str, value: str, told: str) -> None:
    whole(root)
    done = command("export", "airflow", "--set", f"{option}={value}", cwd=root)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (root / "deploy").exists()


def test_assets_of_a_pipeline_that_reads_nothing_are_refused(root: Path) -> None:
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {x: ../x.txt}"), code("1"))
    with pytest.raises(UsageError, match="stages read nothing that others make"):
        exported(root, assets="all")


@pytest.mark.parametrize(
    ("name", "profile", "dag_id"),
    [
        ("flights", None, "flights"),
        ("flights", "prod", "flights-prod"),
        ("odd: {{ names }} é", None, "odd_names"),
        ("中", None, "pipeline"),
        ("a-b.c_d", None, "a-b.c_d"),
    ],
)
def test_a_dag_is_called_as_the_pipeline_as_far_as_airflow_allows(
    name: str, profile: str | None, dag_id: str
) -> None:
    files = airflow.render(Workflow(name=name, profile=profile, tasks=(task(),)), ExportGiven())
    (text,) = (text for path, text in files.items() if path.endswith("_dag.py"))
    assert f'dag_id="{dag_id}"' in text
    assert ("dag_display_name" in text) == (name != dag_id)


def test_names_of_tasks_hide_none_that_the_file_uses() -> None:
    taken = ["class", "filter", "assets", "json", "RunStage", "PARAMS", "a-b", "a_b"]
    workflow = Workflow(name="w", tasks=tuple(Task(id=one, stage=one) for one in taken))
    text = airflow.render(workflow, ExportGiven())["w_dag.py"]
    bound = [
        node.targets[0].id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign)
        and getattr(node.value, "func", None)
        and ast.unparse(node.value.func) == "RunStage"
    ]
    assert bound[:6] == ["class_", "filter_", "assets_", "json_", "RunStage_", "PARAMS_"]
    assert len(set(bound)) == len(taken)


def test_what_the_operator_uses_is_reserved() -> None:
    for secrets in ("", "variables", "connections"):
        text = "\n".join(
            [
                *airflow_operator.head(
                    timetable=True, both=True, groups=True, durations=True, pods=True, secrets=secrets
                ),
                *airflow_operator.body(secrets=secrets, pods=True),
            ]
        )
        tree = ast.parse(text)
        names = {
            one.asname or one.name
            for node in tree.body
            if isinstance(node, ast.ImportFrom | ast.Import)
            for one in node.names
        }
        names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assert names <= airflow_operator.NAMES


def test_instances_of_a_matrix_are_a_group(root: Path) -> None:
    whole(root)
    write_notebook(root / "notebooks/b-c.ipynb", header("matrix: {k: [1, 2]}"), code("1"))
    write_notebook(root / "notebooks/train_group.ipynb", code("1"))
    text = exported(root)
    assert 'b_c_group = TaskGroup("b_c", group_display_name="b-c", prefix_group_id=False)' in text
    assert [one.get("task_group", "") for one in calls(text, "RunStage")].count("b_c_group") == 2
    bound = [
        node.targets[0].id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    ]
    assert len(bound) == len(set(bound))
    names = [
        ast.unparse(node.args[0])
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TaskGroup"
    ]
    assert not {ast.literal_eval(one) for one in names} & {
        ast.literal_eval(one["task_id"]) for one in calls(text, "RunStage")
    }


def test_a_default_that_no_param_can_have_is_a_loss(root: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {x: ../x.txt}"),
        code("far: float = 1e999\nnear: float = 1.5", "parameters"),
    )
    project = Project(root)
    with pytest.raises(LossError, match="so these keep theirs: far"):
        project.exporting.rendered("airflow")
    found = project.exporting.rendered("airflow", allow_loss=True)
    text = next(text for path, text in found.files.items() if path.endswith(".py"))
    assert ("near" in text, "far" in text) == (True, False)


def test_memory_and_gpus_are_for_pods_alone(root: Path) -> None:
    asked = "resources: {cpus: 0.5, memory: 2GB, gpus: 1}"
    write_notebook(root / "notebooks/a.ipynb", header(asked), code("1"))
    done = command("export", "airflow", cwd=root)
    assert done.returncode == 6
    assert "memory a task, which only pods can" in done.stderr
    assert "GPUs a task, which only pods can" in done.stderr
    text = exported(root, executor="kubernetes")
    assert "from kubernetes.client import models as k8s" in text
    assert calls(text, "RunStage")[0]["executor_config"] == "pod(cpu='500m', memory='2000000000', gpus=1)"


def test_a_docs_text_is_no_name_of_a_file() -> None:
    workflow = Workflow(name="w", tasks=(task(description="see readme.md"),))
    assert airflow_dag.key("..") == ".."
    (dag,) = calls(airflow.render(workflow, ExportGiven())["w_dag.py"], "DAG")
    assert ast.literal_eval(dag["doc_md"]).endswith("\n")


def test_the_images_file_is_of_airflow(root: Path) -> None:
    zoo.diamond(root)
    files = Project(root).exporting.rendered("airflow").files
    assert set(files) == {
        "diamond_dag.py",
        "README.md",
        "Dockerfile",
        "Dockerfile.dockerignore",
        "requirements.lock",
    }
    assert "FROM apache/airflow:" in files["Dockerfile"]
    assert "COPY deploy/airflow/requirements.lock" in files["Dockerfile"]
    assert files["README.md"].startswith("<!-- Made by")
