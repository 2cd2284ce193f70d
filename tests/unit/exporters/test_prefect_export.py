"""The flow and the deployment that Prefect is given; tests/targets/test_prefect.py has Prefect run them."""

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.exporters import prefect
from nbpipeline.model.exported import ExportGiven, Setting, Task, Workflow


def exported(root: Path, **how: Any) -> Mapping[str, str]:
    return Project(root).exporting.rendered("prefect", **how).files


def submitted(files: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Give what each task is told, by its name in Prefect; what is no literal is its source."""
    found = {}
    for node in ast.walk(ast.parse(files["flow.py"])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "submit":
            options = node.func.value
            assert isinstance(options, ast.Call)
            told = {str(one.arg): _value(one.value) for one in (*options.keywords, *node.keywords)}
            found[told["name"]] = told
    return found


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def signature(files: Mapping[str, str], name: str) -> inspect.Signature:
    """Give the flow's parameters, as Python reads them."""
    tree = ast.parse(files["flow.py"])
    (function,) = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name)
    function.decorator_list = []
    space = {"Any": Any, "Literal": Literal, "Annotated": _Annotated(), "Field": lambda **words: words}
    exec(compile(ast.Module([function], []), "flow.py", "exec"), space)  # noqa: S102 - our own text
    return inspect.signature(space[name])


class _Annotated:
    def __getitem__(self, parts: Any) -> Any:
        return parts


def stage(root: Path, name: str, head: str = "", parameters: str = "") -> None:
    made = "" if head or parameters else f"outputs: {{o: ../{name}.txt}}"
    cells = [header(head or made)] if head or made else []
    write_notebook(
        root / f"notebooks/{name}.ipynb", *cells, *([code(parameters, "parameters")] if parameters else [])
    )


def test_parameters_are_typed_and_named_readably(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: Flight delays 2\n"})
    common = (
        'year: int = 2013  # "quoted" \\ help\nmany: list[int] = [1, 2]\n_x: str | None = None\nclass_ = 1\n'
    )
    stage(root, "train", "", f"{common}C: float = 0.5\nlist = 3\nkind = None\n")
    stage(root, "score", "", f"{common}C: float = 2.0\n")
    files = exported(root)
    found = signature(files, "flight_delays_2").parameters
    assert set(found) == {"year", "many", "x", "class", "train_C", "score_C", "list", "kind"} - {"class"} | {
        one for one in found if one.startswith("class")
    }
    assert found["year"].annotation is int
    assert found["many"].annotation == list[Any]
    assert found["many"].default == [1, 2]
    assert found["x"].annotation == str | None
    assert (found["train_C"].annotation, found["train_C"].default) == (float, 0.5)
    assert found["score_C"].default == 2.0
    assert found["kind"].annotation is Any
    assert '"train.C": train_C,' in files["flow.py"]
    assert '"_x": x,' in files["flow.py"]
    assert '        year: \\"quoted\\" \\\\ help\n' in files["flow.py"]


def test_choices_and_bounds_are_types() -> None:
    def one(**how: Any) -> str:
        setting = Setting(name="a", stages=("s",), **{"default": None, **how})
        return prefect._annotation(setting)

    assert one(types=("str",), choices=("a", 'b"')) == r'Literal["a", "b\""]'
    assert one(types=("float",), choices=(0.5, 1.5)) == "float"
    assert one(types=("float", "None"), default=1) == "int | float | None", "else it would become 1.0"
    assert one(types=("float",), default=1, min=0.0) == "Annotated[int | float, Field(ge=0.0)]"
    assert one(types=("bool", "float"), default=True) == "bool | float"
    assert one(types=("int", "None"), min=1, max=9) == "Annotated[int | None, Field(ge=1, le=9)]"
    assert one(types=("int", "str"), min=1) == "int | str"
    assert one(types=(), min=1) == "Any"
    assert one(types=("float",), max=float("inf")) == "float"


def test_a_task_tries_again_and_waits_as_its_stage_says(root: Path) -> None:
    stage(
        root,
        "a",
        "outputs: {o: ../o.txt}\nretries: 3\nretry_delay: 30s\nretry_backoff: 1.5\ntimeout: 10m\n"
        "description: first\ntags: [x]\nsecrets: [A_B, C]\nresources: {cpus: 1.5}",
    )
    stage(root, "b", "inputs: {o: ../o.txt}\nretries: 60\nretry_delay: 1s")
    stage(root, "c", "inputs: {o: ../o.txt}\nretries: 40\nretry_delay: 1h\nretry_backoff: 10")
    found = submitted(exported(root))
    assert found["a"] == {
        "name": "a",
        "description": "first",
        "tags": ["x"],
        "retries": 3,
        "retry_delay_seconds": [30, 45, 67.5],
        "stage": "a",
        "command": ["nbpipeline", "run-stage", "a", "--fetch", "--no-retries"],
        "settings": "settings",
        "key": f"{root.name.lower().replace('_', '-')}-a",
        "cores": 2,
        "limit": 4800,
        "secrets": {"A_B": "a-b", "C": "c"},
    }
    for name in "bc":  # Prefect cannot wait so often, or so long: the command does
        assert "retries" not in found[name]
        assert found[name]["command"] == ["nbpipeline", "run-stage", name, "--fetch"]
        assert found[name]["wait_for"] == "[a]"


def test_a_command_that_tries_again_by_itself_has_the_time_for_it() -> None:
    task = Task(id="a", stage="a", retries=60, retry_delay=10.0, retry_backoff=1.0, timeout=100.0)
    flow = prefect.render(Workflow(name="w", tasks=(task,)), ExportGiven())["flow.py"]
    assert f"limit={61 * 100 + 60 * 10 + 100 + 3600}," in flow


def test_artifact_keys_are_such_and_differ(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: 'A/b: é'\n"})
    stage(root, "a-b")
    stage(root, "a_b")
    stage(root, "m", "outputs: {o: '../{kind}.txt'}\nmatrix: {kind: ['x y', '{{ b }}', 'é', 'É']}")
    files = exported(root)
    keys = [one["key"] for one in submitted(files).values()]
    assert len(set(keys)) == 6
    assert all(one.replace("-", "").isalnum() and one.isascii() and one.islower() for one in keys)
    assert '@flow(name="A-b: é")' in files["flow.py"]


def test_the_deployment(root: Path) -> None:
    write_files(
        root,
        {
            "pipeline.yaml": """
            name: it
            schedule: {cron: "@daily", timezone: Asia/Tokyo}
            profiles: {prod: {params: {n: 2}}}
            """
        },
    )
    stage(root, "a", "secrets: [TOKEN]", "n: int = 1\nword: str = '{{ ds }}'\n")
    files = exported(root)
    whole = yaml.safe_load(files["prefect.yaml"])
    (deployment,) = whole["deployments"]
    assert "pull" not in whole
    assert deployment["name"] == "default"
    assert deployment["entrypoint"] == "flow.py:it"
    assert deployment["schedules"] == [{"cron": "0 0 * * *", "timezone": "Asia/Tokyo", "active": True}]
    assert deployment["parameters"] == {"n": 1}, "Prefect would fill in what stands in braces"
    assert deployment["work_pool"] == {"name": "nbpipeline", "job_variables": {}}
    assert "the block `token`" in files["README.md"]

    set_ = {"image": "registry/it:1", "work-pool": "pods"}
    files = dict(Project(root, profile="prod").exporting.rendered("prefect", options=set_).files)
    whole = yaml.safe_load(files["prefect.yaml"])
    (deployment,) = whole["deployments"]
    assert whole["pull"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": "/project/deploy/prefect"}}
    ]
    assert (deployment["name"], deployment["parameters"]) == ("prod", {"n": 2})
    assert deployment["work_pool"] == {"name": "pods", "job_variables": {"image": "registry/it:1"}}
    assert "prefect work-pool create --type docker pods" in files["README.md"]
    assert submitted(files)["a"]["command"][-2:] == ["--profile", "prod"]
    assert "def it(\n    n: int = 2,\n" in files["flow.py"]
    docker = files["Dockerfile"]
    assert docker.startswith("# Made by")
    assert "FROM prefecthq/prefect:3." in docker
    assert docker.endswith("USER runner\n")


def test_memory_and_gpus_are_lost_without_limits(root: Path) -> None:
    stage(root, "a", "resources: {memory: 2GB, gpus: 1}")
    done = command("export", "prefect", cwd=root)
    assert done.returncode == 6
    assert "memory a task: nothing holds it without `--set limits=NAME` (a)" in done.stderr
    assert "GPUs a task" in done.stderr
    files = exported(root, options={"limits": "shared"})
    told = submitted(files)["a"]
    assert (told["memory_mb"], told["gpus"]) == (2000, 1)
    assert 'LIMITS = "shared"' in files["flow.py"]
    assert "prefect gcl create shared-memory-mb" in files["README.md"]
    compile(files["flow.py"], "flow.py", "exec")


@pytest.mark.parametrize("name", ["task", "class", "2 go", "run_stage", "é", "Flow"])
def test_the_function_hides_nothing_that_the_flow_needs(name: str) -> None:
    made = prefect.function_name(Workflow(name=name, tasks=()))
    assert made.isidentifier()
    assert made not in {"task", "class", "run_stage", "flow"}


def test_a_name_that_hides_nothing_is_told_of(root: Path) -> None:
    """Every name that the module defines or imports is one that the flow's function is kept from."""
    from nbpipeline.exporters import prefect_task

    stage(root, "a")
    for options in ({}, {"limits": "x"}):
        tree = ast.parse(exported(root, options=options)["flow.py"])
        names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {one.asname or one.name.split(".")[0] for one in node.names}
        own = prefect.function_name(Project(root).exporting.workflow())
        assert {one for one in names if one.islower()} - {own} <= prefect_task.NAMES
