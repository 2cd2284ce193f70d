"""The plug-in that CONTRIBUTING.md shows: installed into an environment of its own, and used there."""

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import zoo

import nbpipeline

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests/plugin"
FILES = ("pyproject.toml", "nbpipeline_make/makefile.py", "nbpipeline_make/patient.py")


def shown(name: str) -> str:
    """Give the text of a file as CONTRIBUTING.md has it."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    found = re.search(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert found, name
    return found.group(1)


@pytest.mark.parametrize("name", FILES)
def test_the_page_shows_what_is_tried(name: str) -> None:
    assert shown(name) == (PLUGIN / name).read_text(encoding="utf-8")
    assert (PLUGIN / "nbpipeline_make/__init__.py").read_text() == ""


def wheel(folder: Path) -> Path:
    """Make the wheel that the page's build back end makes, without it: what the page shows, and its entry points."""
    project = tomllib.loads(shown("pyproject.toml"))["project"]
    name = f"{project['name'].replace('-', '_')}-{project['version']}"
    groups = project["entry-points"].items()
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in one.items()) for group, one in groups
    )
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    files = {one: shown(one) for one in FILES[1:]} | {
        "nbpipeline_make/__init__.py": "",
        f"{name}.dist-info/METADATA": metadata,
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}.dist-info/entry_points.txt": points,
    }
    listed = "".join(f"{one},,\n" for one in [*files, f"{name}.dist-info/RECORD"])
    path = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for one, text in {**files, f"{name}.dist-info/RECORD": listed}.items():
            archive.writestr(one, text)
    return path


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment that has the plug-in, and borrows all else from the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv/bin/python"
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    borrowed = [sysconfig.get_path("purelib"), str(Path(nbpipeline.__file__).parents[1])]
    Path(purelib.stdout.strip(), "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    script = folder / "venv/bin/nbpipeline"
    script.write_text(f"#!{python}\nimport sys\nfrom nbpipeline.__main__ import main\nsys.exit(main())\n")
    script.chmod(0o755)
    install = [python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", str(wheel(folder))]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "venv/bin"


def run(programs: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: one for name, one in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    environment = {**kept, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    return subprocess.run(
        words, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def written(folder: Path, case: zoo.Case) -> Path:
    root = folder / case.name / "project"
    root.mkdir(parents=True)
    case.write(root)
    return root


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["diamond", "odd", "failing_check"])
def test_make_runs_the_pipeline(programs: Path, tmp_path: Path, name: str) -> None:
    case = zoo.CASES[name]
    local, there = written(tmp_path / "a", case), written(tmp_path / "b", case)
    assert (run(programs, "nbpipeline", "run", "--keep-going", cwd=local).returncode != 0) == case.fails
    exported = run(programs, "nbpipeline", "export", "makefile", cwd=there)
    assert exported.returncode == 0, exported.stderr
    assert run(programs, "nbpipeline", "export", "makefile", "--check", cwd=there).returncode == 0
    done = run(programs, "make", "-C", "deploy/make", "-k", "-j", "2", cwd=there)
    assert (done.returncode != 0) == case.fails, done.stdout + done.stderr
    differ = zoo.differences(nbpipeline.Project(there).pipeline, zoo.observe(local), zoo.observe(there))
    assert list(differ) == []


@pytest.mark.heavy
def test_the_executor_runs_the_pipeline(programs: Path, tmp_path: Path) -> None:
    case = zoo.CASES["matrix"]
    local, there = written(tmp_path / "a", case), written(tmp_path / "b", case)
    assert run(programs, "nbpipeline", "run", cwd=local).returncode == 0
    done = run(programs, "nbpipeline", "run", "--executor", "patient", cwd=there)
    assert done.returncode == 0, done.stderr
    assert zoo.observe(there).outputs == zoo.observe(local).outputs
    settings = there / "pipeline.yaml"
    settings.write_text(f"{settings.read_text()}executor: {{name: patient, settings: {{patience: 5}}}}\n")
    assert "all fresh" in run(programs, "nbpipeline", "run", cwd=there).stdout


@pytest.mark.heavy
def test_it_is_seen_where_one_looks(programs: Path, tmp_path: Path) -> None:
    root = written(tmp_path, zoo.CASES["diamond"])
    assert (
        "Targets of other packages: makefile"
        in run(programs, "nbpipeline", "export", "--help", cwd=root).stdout
    )
    found = run(programs, "nbpipeline", "doctor", cwd=root).stdout
    assert "exporter 'makefile', of nbpipeline-make 0.1" in found
    assert "executor 'patient', of nbpipeline-make 0.1" in found
    near = run(programs, "nbpipeline", "export", "makefil", cwd=root)
    assert near.returncode == 5
    assert "did you mean 'makefile'?" in near.stderr


@pytest.mark.heavy
@pytest.mark.parametrize(("suite", "name"), [("exporter", "makefile"), ("executor", "patient")])
def test_its_author_can_use_the_contracts(programs: Path, suite: str, name: str) -> None:
    words = [
        programs / "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"tests/contracts/test_{suite}.py",
    ]
    done = run(programs, *map(str, words), "--plugin", name, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    refused = run(programs, *map(str, words), "--plugin", "nowhere", cwd=ROOT)
    assert refused.returncode == 1, "the suite tries the plug-in, and nothing else"
