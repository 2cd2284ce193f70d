"""What every exporter must do, whichever orchestrator it writes for."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
import zoo

sys.path.append(str(Path(__file__).parents[1] / "fuzz"))

import exports
from builders import code, command, header, write_files, write_notebook

from nbpipeline import Project, plugins
from nbpipeline.exporters.rendering.features import FEATURES

TARGETS = sorted(plugins.BUILT_IN["exporters"])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each target, or the plug-in that is asked for."""
    if "target" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--plugin", default=None)
        metafunc.parametrize("target", [asked] if asked else TARGETS)


@pytest.fixture
def exporter(target: str) -> ModuleType:
    return plugins.load("exporters", target)


def everything(root: Path) -> None:
    """A pipeline that asks for all there is."""
    write_files(
        root,
        {
            "pipeline.yaml": """
            name: all of it
            schedule: {cron: "30 3 * * 1-5", timezone: Europe/Berlin}
            tracking: {mlflow: {uri: "sqlite:///mlflow.db"}}
            store: {path: "s3://bucket/nowhere"}
            """
        },
    )
    write_notebook(
        root / "notebooks/one.ipynb",
        header(
            """
            description: The first
            outputs: {one: ../one.csv}
            retries: 2
            retry_delay: 30s
            retry_backoff: 3
            timeout: 10m
            resources: {cpus: 2, memory: 2GB, gpus: 1}
            secrets: [WAREHOUSE_TOKEN]
            env: [TZ]
            matrix: {region: [eu, us]}
            expect: {one: [{not_null: a}]}
            tags: [weekly]
            """.replace("../one.csv", '"../one-{region}.csv"')
        ),
        code("rate: float = 0.5  # how fast\nname: str = 'x'\ndeep: int | None = None", "parameters"),
    )


def share(root: Path) -> None:
    """Name a store, where a pipeline of the zoo has none: some targets give each task a machine of its own."""
    settings = root / "pipeline.yaml"
    text = settings.read_text()
    if "store:" not in text:
        settings.write_text(text + 'store: {path: "s3://bucket/nowhere"}\n')


def rendered(root: Path, target: str, **how: Any) -> dict[str, str]:
    share(root)
    return dict(Project(root).exporting.rendered(target, **how).files)


def test_it_says_what_it_keeps_of_known_features(exporter: ModuleType) -> None:
    assert exporter.TITLE
    assert set(exporter.KEEPS) <= set(FEATURES)
    assert {"order", "checks", "tracking", "fresh"} <= set(exporter.KEEPS)
    assert all(exporter.KEEPS.values())


@pytest.mark.parametrize("case", [*zoo.CASES.values()], ids=list(zoo.CASES))
def test_files_are_sound_texts(target: str, case: zoo.Case, root: Path) -> None:
    case.write(root)
    files = rendered(root, target, allow_loss=True)
    assert files
    for path, text in files.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        if path.endswith(".py"):
            compile(text, path, "exec", dont_inherit=True)
        elif path.endswith((".yaml", ".yml")):
            list(yaml.safe_load_all(text))
        elif path.endswith(".json"):
            json.loads(text)


def test_every_task_calls_run_stage(target: str, root: Path) -> None:
    zoo.matrix(root)
    text = "\n".join(rendered(root, target).values())
    if "run-stage" not in text:  # one job that runs all of it
        assert "nbpipeline run " in text
        return
    for task in Project(root).exporting.workflow().tasks:
        stage, _, axes = task.id.partition("[")
        assert (f"{stage}@{axes.removesuffix(']')}" if axes else stage) in text


def test_what_it_says_it_keeps_it_renders(target: str, exporter: ModuleType, root: Path) -> None:
    everything(root)
    files = rendered(root, target, allow_loss=True)
    text = "\n".join(files.values())
    if "schedule" in exporter.KEEPS:
        assert "30 3 * * " in text
    if "timezone" in exporter.KEEPS:
        assert "Europe/Berlin" in text
    if "parameters" in exporter.KEEPS:
        assert "rate" in text


def test_what_it_does_not_keep_is_refused(target: str, exporter: ModuleType, root: Path) -> None:
    everything(root)
    asked = {
        name for name, one in FEATURES.items() if one.used(Project(root).exporting.workflow()) is not None
    }
    assert asked >= set(FEATURES) - {"order"}
    done = command("export", target, cwd=root)
    lost = asked - set(exporter.KEEPS)
    if lost:
        assert done.returncode == 6
        for name in lost:
            assert FEATURES[name].title in done.stderr
    allowed = Project(root).exporting.rendered(target, allow_loss=True)
    assert lost <= {one.feature for one in allowed.losses}


def test_rendering_is_the_same_in_another_process(target: str, root: Path) -> None:
    zoo.odd(root)
    files = rendered(root, target)
    script = (
        "import json, sys; from nbpipeline import Project; "
        "print(json.dumps(dict(Project(sys.argv[1]).exporting.rendered(sys.argv[2]).files)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), target],
        env={"PYTHONHASHSEED": "7", "PATH": "", "HOME": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == files


def test_names_are_data_and_never_code(target: str, root: Path) -> None:
    """What is written in a notebook stands in Python files inside literals alone."""
    zoo.odd(root)
    for path, text in rendered(root, target).items():
        if path.endswith(".py"):
            literals = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
            names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
            if "class@kind" in text:  # a file beside the one with the tasks knows none of them
                assert any("class@kind={{ b }}" in str(one) for one in literals), path
            assert not {"ds", "b"} & names


UNTOUCHED = """
tag: str = None
count: int = None
weights = {0: 1.0, 1: 5.0}
deep: dict = {'a': {1: [{2: None}]}}
pair = (1, 2)
"""


def test_untouched_defaults_come_back_as_the_notebook_has_them(target: str, root: Path) -> None:
    """What stands in the files, handed over as JSON, is what the stage has by itself: None of a text's type, keys that are numbers."""
    if target not in exports.READ:
        assert target not in plugins.BUILT_IN["exporters"], "read its defaults back, in tests/fuzz/exports.py"
        pytest.skip("a plug-in's: where it writes defaults only its author knows")
    write_files(root, {"pipeline.yaml": "name: x\n"})
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code(UNTOUCHED, "parameters")
    )
    files = rendered(root, target)
    parsed = {path: exports.parse(path, text) for path, text in files.items()}
    defaults, _ = exports.READ[target](Project(root).exporting.workflow(), files, parsed)
    # what no form of GitHub's or GitLab's holds is not handed over unless it is set
    wanted = (
        set() if target in {"github-actions", "gitlab-ci"} else {"tag", "count", "weights", "deep", "pair"}
    )
    assert set(defaults) == wanted
    own = Project(root).pipeline.instances["a"].parameters
    handed = json.loads(json.dumps(dict(defaults)))
    assert repr(Project(root, params=handed).pipeline.instances["a"].parameters) == repr(own)


def test_its_libraries_are_not_loaded_to_render(target: str, root: Path) -> None:
    zoo.diamond(root)
    share(root)
    script = (
        "import sys; from nbpipeline import Project; Project(sys.argv[1]).exporting.rendered(sys.argv[2]);"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(root), target], capture_output=True, text=True, check=True
    )
    heavy = {
        "airflow",
        "prefect",
        "dagster",
        "kfp",
        "snakemake",
        "dvc",
        "pandas",
        "papermill",
        "mlflow",
        "distributed",
    }
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("store", ["file:///srv/store", "local:///srv/store", "memory://store"])
def test_a_folder_of_one_machine_is_no_store_for_containers(target: str, store: str, root: Path) -> None:
    """Each has its own; where tasks may see one folder, it is as good as any."""
    zoo.diamond(root)
    zoo.share(root, store)
    exporting = Project(root).exporting
    lost = {one.feature for one in exporting.rendered(target, allow_loss=True).losses}
    if target in {"argo", "azureml", "kubeflow", "sagemaker", "vertex"}:
        assert lost == {"files"}
    elif target in plugins.BUILT_IN["exporters"] and target != "gitlab-ci":
        assert lost == set()
    zoo.share(root)
    assert {one.feature for one in Project(root).exporting.rendered(target, allow_loss=True).losses} == set()
