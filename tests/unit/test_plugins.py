"""Implementations of ports by name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from builders import write_files

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError


def test_every_built_in_is_there() -> None:
    for port, table in plugins.BUILT_IN.items():
        for name in table:
            assert plugins.load(port, name).__name__ == table[name]


def test_an_unknown_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingPluginError) as caught:
        plugins.load("validators", "colums")
    assert str(caught.value) == (
        "there is no validator 'colums'.\n"
        "  known validators: columns, great_expectations, pandera\n"
        "  mend: did you mean 'columns'? Else pip install the package that offers it "
        "(entry point group nbpipeline.validators)."
    )
    with pytest.raises(MissingPluginError) as caught:
        plugins.load("trackers", "nowhere")
    assert str(caught.value) == (
        "there is no tracker 'nowhere'.\n"
        "  known trackers: alerts, mlflow, openlineage, opentelemetry, prometheus, tensorboard, wandb\n"
        "  mend: pip install the package that offers it (entry point group nbpipeline.trackers)."
    )


def test_a_name_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_files(
        tmp_path,
        {
            "theirs.py": "class Tracker:\n    pass\n",
            "theirs-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: theirs\nVersion: 1\n",
            "theirs-1.dist-info/entry_points.txt": "[nbpipeline.trackers]\ntheirs = theirs:Tracker\n"
            "broken = theirs_not:Tracker\n",
        },
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert plugins.load("trackers", "theirs").__name__ == "Tracker"
    assert plugins.names("trackers") == (
        "alerts",
        "broken",
        "mlflow",
        "openlineage",
        "opentelemetry",
        "prometheus",
        "tensorboard",
        "theirs",
        "wandb",
    )
    with pytest.raises(MissingPluginError) as caught:
        plugins.load("trackers", "broken")
    assert str(caught.value) == (
        "tracker 'broken' needs the library theirs_not, which is not installed.\n  mend: pip install 'theirs-not'"
    )


def test_a_missing_library_names_its_extra() -> None:
    assert str(plugins.missing_library("pyarrow.parquet", "a check of Parquet files")) == (
        "a check of Parquet files needs the library pyarrow, which is not installed.\n"
        "  mend: pip install 'pyarrow>=18' 'pandas>=2.2', or in a clone of nbpipeline: pip install -e '.[data]'"
    )


def test_what_extras_are_said_to_install_is_what_they_install() -> None:
    """And no message names a package `nbpipeline` of an index, which is another project's."""
    config = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    extras = config["project"]["optional-dependencies"]

    def flat(extra: str) -> list[str]:
        found = []
        for one in extras[extra]:
            inner = (
                one.partition("[")[2].partition("]")[0].split(",") if one.startswith("nbpipeline[") else ()
            )
            found += [package for name in inner for package in flat(name)] or [one]
        return found

    assert set(plugins.PACKAGES) == set(plugins.EXTRAS.values()) | {"convert", "pdf"}
    assert {name: list(packages) for name, packages in plugins.PACKAGES.items()} == {
        name: flat(name) for name in plugins.PACKAGES
    }


def test_an_executor_without_its_library_names_the_line_that_installs_it() -> None:
    script = (
        "import sys; sys.modules['distributed'] = None; from nbpipeline import plugins; "
        "plugins.load('executors', 'dask')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=_paths()
    )
    assert "executor 'dask' needs the library distributed, which is not installed." in done.stderr
    assert "pip install 'distributed>=2025.7'" in done.stderr


def test_a_built_in_scans_no_entry_points() -> None:
    script = (
        "import sys; from nbpipeline import plugins; plugins.load('stores', 'local'); "
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-S", "-c", script], check=False, env=_paths()).returncode == 0


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(one for one in sys.path if one)}
