"""Each extra alone, in an environment of its own, fresh from the package index: it installs, and does its work.

A feature adds the line of its extra to `USES`; until it is there its library is only imported.
"""

import os
import subprocess
from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook
from environments import new_environment

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]
HERE = Path(__file__).resolve().parents[2]

TRACKED = "name: flights\ntracking: {%s}\n"
PARQUET = """
# ---
# nbpipeline:
#   expect: {wide: [{not_null: a}]}
# ---

# %% tags=["outputs"]
wide = "../data/wide.parquet"

# %%
import pandas
pandas.DataFrame({"a": [1, 2]}).to_parquet(wide)
"""
USES: dict[str, tuple[dict[str, str], str, str]] = {
    "console": ({}, "", "from nbpipeline.upkeep import debugging; import jupyter_console"),
    "convert": (
        {},
        "executed: ../out/clean.html",
        "from pathlib import Path; assert '<html' in Path('out/clean.html').read_text()",
    ),
    "dask": ({"pipeline.yaml": "name: flights\nexecutor: {name: dask}\n"}, "", "import distributed"),
    "data": (
        {"pipeline.yaml": "name: flights\nnotebooks: [notebooks/*]\n", "notebooks/wide.py": PARQUET},
        "",
        "import pandas; assert len(pandas.read_parquet('data/wide.parquet')) == 2",
    ),
    "mlflow": (
        {"pipeline.yaml": TRACKED % 'mlflow: {uri: "sqlite:///mlflow.db"}'},
        "",
        (
            "from mlflow.tracking import MlflowClient as C; c = C('sqlite:///mlflow.db');"
            "(e,) = [one for one in c.search_experiments() if one.name == 'flights'];"
            "assert len(c.search_runs([e.experiment_id])) == 2"
        ),
    ),
    "alerts": (
        {"pipeline.yaml": "name: flights\nalerts: {urls: 'json://127.0.0.1:9/x', on: [recovery]}\n"},
        "",
        "from nbpipeline.trackers.alerts import notify, NotSentError; import apprise",
    ),
    "openlineage": (
        {"pipeline.yaml": TRACKED % "openlineage: {}"},
        "",
        "assert len(open('openlineage.jsonl').readlines()) == 4",
    ),
    "prometheus": (
        {"pipeline.yaml": TRACKED % "prometheus: {}"},
        "",
        "assert 'stage=\"clean\",status=\"succeeded\"} 1.0' in open('nbpipeline.prom').read()",
    ),
    "telemetry": (
        {"pipeline.yaml": TRACKED % "opentelemetry: {}"},
        "",
        "assert len(open('opentelemetry.jsonl').readlines()) == 2",
    ),
    "tensorboard": (
        {"pipeline.yaml": TRACKED % "tensorboard: {}"},
        "",
        "from pathlib import Path; assert [*Path('tensorboard/stages/clean').glob('events.out.tfevents.*')]",
    ),
    "wandb": (
        {"pipeline.yaml": TRACKED % "wandb: {}"},
        "",
        "from pathlib import Path; assert [*Path('wandb').glob('offline-run-*/*.wandb')]",
    ),
}
"""Extra -> files of the project, more of a header, Python that holds what the run has left."""

LIBRARIES = {
    "expectations": "great_expectations",
    "pandera": "pandera.pandas",
    "s3": "s3fs",
    "tables": "duckdb, openpyxl",
}
"""Extra -> what it brings, of those whose feature has no line in `USES` yet."""

ALONE = {"mlflow": "wandb", "wandb": "mlflow", "tensorboard": "torch"}
"""Extra -> a library that must not come with it."""


@pytest.fixture
def python(tmp_path):
    """Makes an environment with an extra; gives its Python."""

    def made(extra: str) -> Path:
        return new_environment(tmp_path / "env", f"{HERE}[{extra}]")

    return made


def did(python: Path, *words: str, cwd: Path) -> str:
    outer = {"VIRTUAL_ENV", "PYTHONPATH"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(
        [str(python), *words],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("extra", USES)
def test_an_extra_works_alone(extra, python, tmp_path):
    files, more, look = USES[extra]
    project = tmp_path / "project"
    write_files(project, {"pipeline.yaml": "name: flights\n", **files})
    write_notebook(
        project / "notebooks/clean.ipynb",
        *([header(more)] if more else []),
        code("table = '../data/table.csv'", "outputs"),
        code("open(table, 'w').write('a\\n1\\n')"),
        code("rows = 1", "metrics"),
    )
    inside = python(extra)
    told = did(inside, "-m", "nbpipeline", "run", cwd=project)
    assert "not sent yet" not in told
    did(inside, "-m", "nbpipeline", "runs", "--sync", cwd=project)
    did(inside, "-c", look, cwd=project)
    if extra in ALONE:
        absent = f"import importlib.util as u; assert u.find_spec('{ALONE[extra]}') is None"
        did(inside, "-c", absent, cwd=project)


@pytest.mark.parametrize("extra", LIBRARIES)
def test_an_extra_brings_its_library(extra, python, tmp_path):
    did(python(extra), "-c", f"import nbpipeline.api.project, {LIBRARIES[extra]}", cwd=tmp_path)


def test_every_extra_that_lives_alone_is_tried():
    import tomllib

    extras = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    elsewhere = {"all", "example", "lab", "pdf", "ploomber", "prefect"}
    assert {*USES, *LIBRARIES} == {*extras} - elsewhere
    assert not {*USES} & {*LIBRARIES}
