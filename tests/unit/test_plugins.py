"""Implementations of ports by name."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from builders import code, command, header, offer, write_files, write_notebook

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError
from nbpipeline.upkeep import plug_ins


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
            "theirs.py": "class Tracker:\n    open_tracker = require = complaints = files = print\n    JOINED_BY = set()\n",
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
        "tracker 'broken' of theirs 1 cannot be loaded: its own module theirs_not is missing.\n"
        "  mend: pip install --upgrade theirs, or tell its authors"
    )


EXPORTER = """
from nbpipeline.model.exported import Loss
TITLE = "Theirs"
FOLDER = "deploy/theirs"
KEEPS = {"order": "so"}
OPTIONS = {}
def losses(workflow, given):
    return ()
def render(workflow, given):
    return {"a.txt": "a"}
"""
EXECUTOR = "APART = False\ndef open_executor(work, **given):\n    return None\n"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that this process and those that it starts look into."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


def export(installed: Path, root: Path, *options: str, name: str = "theirs") -> tuple[int, str]:
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("x = 1"))
    done = command("export", name, "--allow-loss", *options, cwd=root)
    return done.returncode, done.stderr.replace(f"{installed}/", "")


def test_a_plug_in_exports(installed: Path, root: Path) -> None:
    offer(installed, "theirs", EXPORTER)
    assert export(installed, root)[0] == 0
    assert (root / "deploy/theirs/a.txt").read_text() == "a"
    assert "Targets of other packages: theirs" in command("export", "--help", cwd=root).stdout


HOW = "mend: pip install --upgrade theirs, or tell its authors"
BROKEN = {
    "raises when it is imported": (
        "import os\n1 / 0\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: ZeroDivisionError: division by zero.\n"
            f"  raised in theirs_module.py, line 2\n  {HOW}\n"
        ),
    ),
    "ends the process when it is imported": (
        "raise SystemExit(0)\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: SystemExit: 0.\n"
            f"  raised in theirs_module.py, line 1\n  {HOW}\n"
        ),
    ),
    "is no Python": (
        "x = 1\ndef (:\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: SyntaxError: invalid syntax (theirs_module.py, line 2).\n"
            f"  in theirs_module.py, line 2\n  {HOW}\n"
        ),
    ),
    "needs what is not there": (
        "import nowhere_to_be_found\n",
        (
            "exporter 'theirs' needs the library nowhere_to_be_found, which is not installed.\n"
            "  mend: pip install 'nowhere-to-be-found'\n"
        ),
    ),
    "needs what nbpipeline has not": (
        "from nbpipeline.exporters.rendering.nowhere import argv\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: nbpipeline has no nbpipeline.exporters.rendering.nowhere.\n"
            f"  it was made for another version of nbpipeline\n  {HOW}\n"
        ),
    ),
    "needs a part of its own that is not there": (
        "import theirs_module.part\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: its own module theirs_module.part is missing.\n"
            f"  {HOW}\n"
        ),
    ),
    "misses something without a name": (
        "raise ModuleNotFoundError('none of them')\n",
        (
            "exporter 'theirs' of theirs 1 cannot be loaded: ModuleNotFoundError: none of them.\n"
            f"  raised in theirs_module.py, line 1\n  {HOW}\n"
        ),
    ),
    "lacks attributes": (
        EXPORTER.replace("FOLDER", "PLACE").replace("KEEPS =", "KEEPT ="),
        (
            "exporter 'theirs' of theirs 1 is none: it has no FOLDER; it has no KEEPS.\n"
            f"  it needs: TITLE, FOLDER, KEEPS, OPTIONS, losses, render\n  {HOW}\n"
        ),
    ),
    "has others than are meant": (
        EXPORTER.replace('{"order": "so"}', '["order"]'),
        (
            "exporter 'theirs' of theirs 1 is none: its KEEPS is not a mapping.\n"
            f"  it needs: TITLE, FOLDER, KEEPS, OPTIONS, losses, render\n  {HOW}\n"
        ),
    ),
    "stands outside": (
        EXPORTER.replace("deploy/theirs", "../theirs"),
        f"exporter 'theirs' of theirs 1 has a FOLDER outside the project: '../theirs'.\n  {HOW}\n",
    ),
    "raises when it is asked": (
        EXPORTER.replace('return {"a.txt": "a"}', "return workflow.nothing"),
        (
            "exporter 'theirs' of theirs 1 failed: AttributeError: 'Workflow' object has no attribute 'nothing'.\n"
            f"  raised in theirs_module.py, line 10\n  {HOW}\n"
        ),
    ),
    "loses what is no loss": (
        EXPORTER.replace("return ()", "return ['all']"),
        f"exporter 'theirs' of theirs 1 gives losses that are none.\n  each is a nbpipeline Loss\n  {HOW}\n",
    ),
    "gives no files": (
        EXPORTER.replace('{"a.txt": "a"}', '["a.txt"]'),
        f"exporter 'theirs' of theirs 1 gives a list.\n  `render` gives {{path: text}}\n  {HOW}\n",
    ),
    "gives bytes": (
        EXPORTER.replace('"a"}', 'b"a"}'),
        f"exporter 'theirs' of theirs 1 gives a bytes for 'a.txt'.\n  `render` gives texts\n  {HOW}\n",
    ),
    "gives half a character": (
        EXPORTER.replace('"a"}', '"\\ud800"}'),
        (
            "exporter 'theirs' of theirs 1 gives a text for 'a.txt' that no file can hold.\n"
            f"  it has half of a surrogate pair\n  {HOW}\n"
        ),
    ),
    "writes a file and into it": (
        EXPORTER.replace('"a"}', '"a", "a.txt/b": "b"}'),
        (
            "exporter 'theirs' of theirs 1 wants to write 'a.txt', and files in a folder of that name.\n"
            f"  {HOW}\n"
        ),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_plug_in_that(installed: Path, root: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, said = BROKEN[case]
    offer(installed, "theirs", source)
    assert export(installed, root) == (5, said)
    assert not (root / "deploy").exists()
    monkeypatch.delitem(sys.modules, "theirs_module", raising=False)
    (found,) = plug_ins.findings()
    monkeypatch.delitem(sys.modules, "theirs_module", raising=False)
    loads = not any(word in said for word in ("loaded", "is none", "needs the library"))
    assert (found.state, found.what == "exporter 'theirs', of theirs 1") == (
        "good" if loads else "bad",
        loads,
    )


@pytest.mark.parametrize(
    "path", ["../x", "/absolute/x", "a/../../x", "a/./b", "", "a//b", "a/", "a\\\\b", "a\\nb", "a\\0b"]
)
def test_a_path_that_leaves_the_folder(installed: Path, root: Path, path: str) -> None:
    offer(installed, "theirs", EXPORTER.replace("a.txt", path))
    code_, said = export(installed, root)
    assert code_ == 5
    assert said.startswith("exporter 'theirs' of theirs 1 wants to write ")
    assert "which is no path in its folder.\n  paths are within the export's folder" in said
    assert [one.name for one in root.iterdir() if one.name != ".nbpipeline"] == ["notebooks"]


def test_a_plug_in_of_a_built_in_name(installed: Path, root: Path) -> None:
    offer(installed, "dvc", EXPORTER)
    said = (
        "exporter 'dvc' is built in, and theirs 1 offers another of that name.\n"
        "  mend: pip uninstall theirs, or have its authors take another name\n"
    )
    assert export(installed, root, name="dvc") == (5, said)
    assert "theirs 1 offers another of that name" in command("doctor", cwd=root).stdout
    assert "other packages" not in command("export", "--help", cwd=root).stdout


def test_two_plug_ins_of_one_name(installed: Path, root: Path) -> None:
    offer(installed, "theirs", EXPORTER)
    offer(installed, "theirs", EXPORTER, package="a-third")
    said = "there are several exporters 'theirs': of a-third 1 and theirs 1.\n  mend: uninstall all but one of them\n"
    assert export(installed, root) == (5, said)


def test_a_name_that_is_a_path(installed: Path, root: Path) -> None:
    offer(installed, "../theirs", EXPORTER)
    assert "cannot be called so" in export(installed, root, name="../theirs")[1]


def test_executors_that_are_none(installed: Path, root: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("open(o, 'w').write('x')")
    )
    for number, (source, said) in enumerate(
        (
            (EXECUTOR.replace("APART", "A_PART"), "is none: it has no APART."),
            (EXECUTOR, "opens a NoneType, which is no executor."),
            (EXECUTOR.replace("return None", "raise OSError('no machine')"), "failed: OSError: no machine."),
        )
    ):
        offer(installed, f"one{number}", source, "executors", f"theirs{number}")
        done = command("run", "--executor", f"one{number}", cwd=root)
        assert done.returncode == 5, done.stderr
        assert f"executor 'one{number}' of theirs{number} 1 {said}" in done.stderr
        assert not (root / "o.txt").exists()
    offer(installed, "dask", EXECUTOR, "executors", "fourth")
    refused = command("run", "--executor", "dask", cwd=root)
    assert (refused.returncode, "fourth 1 offers another" in refused.stderr) == (5, True)
    assert command("run", cwd=root).returncode == 0


DISTANT = """
APART = True
class Far:
    def submit(self, job, emit):
        raise NotImplementedError
    def cancel(self, level):
        pass
    def ask(self, question):
        return {}
    def __enter__(self):
        return self
    def __exit__(self, *_):
        open("left", "a").close()
def open_executor(work, **given):
    return Far()
"""


@pytest.mark.parametrize(
    ("before", "after", "said", "left"),
    [
        ("def ask", "def asked", "opens a Far, which is no executor of other machines.", False),
        ("return self", "raise OSError('no machine')", "failed: OSError: no machine.", False),
        ("return self", "return None", "enters a NoneType, which is no executor of other machines.", True),
        ("return {}", "return 1 / 0", "failed: ZeroDivisionError: division by zero.", True),
        ("return {}", "return None", "answers with a NoneType.", True),
    ],
)
def test_executors_of_other_machines_that_are_none(
    installed: Path, root: Path, before: str, after: str, said: str, *, left: bool
) -> None:
    write_notebook(root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("x = 1"))
    offer(installed, "far", DISTANT.replace(before, after), "executors")
    done = command("run", "--executor", "far", cwd=root)
    assert (done.returncode, f"executor 'far' of theirs 1 {said}" in done.stderr) == (5, True), done.stderr
    assert "tell its authors" in done.stderr
    assert ("see nbpipeline.ports.DistantExecutor" in done.stderr) == ("which is no executor" in said)
    assert (root / "left").exists() == left


def test_a_plan_and_a_run_scan_no_entry_points(root: Path) -> None:
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {o: ../o.txt}"), code("open(o, 'w').write('x')")
    )
    assert command("run", cwd=root).returncode == 0
    script = (
        "import importlib.metadata as m, sys; m.entry_points = None\n"
        "from nbpipeline.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    for words in (("plan",), ("run",), ("--help",), ("run", "--help"), ("run", "--executor", "local")):
        done = subprocess.run(
            [sys.executable, "-c", script, *words], cwd=root, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    asked = [sys.executable, "-c", script, "export", "--help"]
    assert subprocess.run(asked, cwd=root, capture_output=True, check=False).returncode == 70, "it does look"


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


def test_a_part_of_ours_that_is_missing_is_no_library_to_install() -> None:
    script = (
        "import sys; sys.modules['nbpipeline.exporters.rendering.command'] = None; "
        "from nbpipeline import plugins; plugins.load('exporters', 'dvc')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True, env=_paths()
    )
    assert "exporter 'dvc' cannot be loaded: nbpipeline has no nbpipeline.exporters.rend" in done.stderr
    assert "it is not installed whole\n  mend: install nbpipeline again" in done.stderr
    assert "pip install" not in done.stderr


def test_a_built_in_scans_no_entry_points() -> None:
    script = (
        "import sys; from nbpipeline import plugins; plugins.load('stores', 'local'); "
        "sys.exit('importlib.metadata' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-S", "-c", script], check=False, env=_paths()).returncode == 0


def _paths() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(one for one in sys.path if one)}
