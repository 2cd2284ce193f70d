"""What the quick commands import: by name, in a process of their own."""

import subprocess
import sys

import pytest
from builders import code, command, write_notebook

HEAVY = (
    "IPython",
    "aiohttp",
    "apprise",
    "asyncio",
    "dateutil",
    "importlib.metadata",
    "ipykernel",
    "jinja2",
    "jsonschema",
    "jupyter_client",
    "jupytext",
    "mlflow",
    "nbclient",
    "nbconvert",
    "nbformat",
    "numpy",
    "openlineage",
    "opentelemetry",
    "pandas",
    "papermill",
    "prometheus_client",
    "psutil",
    "pyarrow",
    "rich",
    "sqlalchemy",
    "tornado",
    "traitlets",
    "zmq",
)
PLANNING_ALONE = ("nbpipeline.report.history", "nbpipeline.report.drawing", "nbpipeline.upkeep.doctor")
IDLE = {
    "concurrent.futures",
    "ctypes",
    "difflib",
    "html",
    "logging",
    "socket",
    "subprocess",
    "mimetypes",
    "tempfile",
    "traceback",
    "yaml",
    "nbpipeline.reading.names",
    "nbpipeline.reading.yaml_parser",
}
EXECUTING = {
    "nbpipeline.kernels.plain",
    "nbpipeline.stage.attempt",
    "nbpipeline.stage.life",
    "nbpipeline.stage.recorder",
    "nbpipeline.validators.columns",
}


def imported(folder, *arguments: str) -> set[str]:
    source = (
        "import sys\nfrom nbpipeline.__main__ import main\n"
        f"code = main({list(arguments)!r})\n"
        "print('\\n'.join(sorted(sys.modules)), file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines())


@pytest.fixture
def fresh(root):
    """A project with nothing to do."""
    write_notebook(
        root / "notebooks/a.ipynb", code("o = '../data/o.txt'", "outputs"), code("open(o, 'w').write('1')")
    )
    (root / "data").mkdir()
    (root / "data/o.txt").write_text("1")
    done = command("record", "a", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("arguments", [["--help"], ["plan"], ["plan", "--format", "json"], ["run"]])
def test_quick_commands_import_nothing_heavy(fresh, arguments):
    found = imported(fresh, *arguments)
    assert "nbpipeline.__main__" in found
    assert not [name for name in HEAVY if name in found]


def test_help_imports_click_and_the_table_alone(fresh):
    found = imported(fresh, "--help")
    assert not {"yaml", "sqlite3", "json", "nbpipeline.model", "nbpipeline.api"} & found


def test_a_plan_imports_neither_reports_nor_upkeep(fresh):
    found = imported(fresh, "plan")
    assert not [name for name in PLANNING_ALONE if name in found]


@pytest.mark.parametrize("command", ["plan", "run"])
def test_where_nothing_has_changed_nothing_is_parsed_and_no_pool_is_made(fresh, command):
    (fresh / "pipeline.yaml").write_text("name: fresh\nnotebooks: [notebooks/*.ipynb]\n")
    imported(fresh, command)  # remembers what it read
    assert sorted(IDLE & imported(fresh, command)) == []


@pytest.mark.parametrize("command", ["plan", "run"])
def test_where_nothing_is_to_do_nothing_that_does_it_is_imported(fresh, command):
    assert not EXECUTING & imported(fresh, command)


def test_the_lists_name_what_there_is(fresh):
    """A negative control: a heavy command does import some of it."""
    found = imported(fresh, "run", "--force")
    assert {"papermill", "nbformat", "jupyter_client", "zmq"} <= found
    assert EXECUTING - {"nbpipeline.validators.columns"} <= found
    (fresh / "pipeline.yaml").write_text("name: other\n")
    found |= imported(fresh, "check")
    assert IDLE - {"difflib", "ctypes"} <= found  # for what is misspelt, and for what is swapped in
    assert "nbpipeline.upkeep.doctor" in imported(fresh, "doctor")
