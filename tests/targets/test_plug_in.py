"""The plug-in that CONTRIBUTING.md shows: installed into an environment of its own, and used there."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import zoo
from builders import code, header, write_notebook

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


def laid_out(folder: Path) -> Path:
    """Write what the page shows, as its reader would."""
    for one in FILES:
        path = folder / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(shown(one), encoding="utf-8")
    (folder / "nbpipeline_make/__init__.py").touch()
    return folder


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
    subprocess.run(
        [python, "-m", "pip", "install", "-q", "."], cwd=laid_out(folder / "make"), check=True, timeout=240
    )
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
    assert "all fresh" in run(programs, "nbpipeline", "run", "--executor", "patient", cwd=there).stdout


@pytest.mark.heavy
def test_its_settings_reach_the_executor(programs: Path, root: Path) -> None:
    """A stage that asks for more memory than there is waits for as long as they say; else for ten minutes."""
    write_notebook(
        root / "notebooks/a.ipynb",
        header("outputs: {o: ../o.txt}\nresources: {memory: 900TB}"),
        code("open(o, 'w').write('x')"),
    )
    settings = "executor: {{name: patient, settings: {{patience: {}}}}}\n"
    (root / "pipeline.yaml").write_text(settings.format(1))
    assert run(programs, "nbpipeline", "run", cwd=root).returncode == 0
    (root / "pipeline.yaml").write_text(settings.format("soon"))
    refused = run(programs, "nbpipeline", "run", "--force", cwd=root)
    assert (refused.returncode != 0, "'soon'" in refused.stdout + refused.stderr) == (True, True)


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


@pytest.mark.nightly
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
