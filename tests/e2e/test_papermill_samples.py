"""Papermill's own sample notebooks, as its package ships them, run as stages with no header."""

import json
import shutil
from pathlib import Path

import papermill
import pytest
from builders import command

SAMPLES = Path(papermill.__file__).parent / "tests" / "notebooks"
TAGGED = ("nb_version_4.4", "report_mode_test", "result_no_exec", "simple_execute")


@pytest.fixture
def samples(root: Path) -> Path:
    folder = root / "notebooks"
    folder.mkdir()
    for name in TAGGED:
        shutil.copy(SAMPLES / f"{name}.ipynb", folder)
    return root


def test_samples_run_and_are_then_fresh(samples: Path) -> None:
    before = {path.name: path.read_bytes() for path in (samples / "notebooks").iterdir()}
    done = command("run", "-p", "simple_execute.msg=hello from outside", cwd=samples)
    assert done.returncode == 0, done.stdout + done.stderr
    executed = sorted(samples.glob(".nbpipeline/runs/*/simple_execute/attempt-1.ipynb"))
    cells = json.loads(executed[-1].read_text())["cells"]
    printed = "".join("".join(output.get("text", [])) for cell in cells for output in cell.get("outputs", []))
    assert printed == "hello from outside\n"
    assert {path.name: path.read_bytes() for path in (samples / "notebooks").iterdir()} == before
    again = command("plan", "-p", "simple_execute.msg=hello from outside", "--format", "json", cwd=samples)
    stages = json.loads(again.stdout)["stages"]
    assert {one["stage"]: one["action"] for one in stages} == {
        name.replace(".", "_"): "skip" for name in TAGGED
    }


def test_a_misspelt_parameter_is_refused_where_papermill_ignores_it(samples: Path) -> None:
    done = command("run", "-p", "simple_execute.mgs=hello", cwd=samples)
    assert done.returncode == 2
    assert "did you mean 'msg'" in done.stderr
    assert not list(samples.glob(".nbpipeline/runs/*/simple_execute"))


def test_the_one_sample_that_is_no_python_is_refused_with_its_line(samples: Path) -> None:
    shutil.copy(SAMPLES / "complex_parameters.ipynb", samples / "notebooks")
    done = command("run", cwd=samples)
    assert done.returncode == 2
    assert done.stderr == (
        "notebooks/complex_parameters.ipynb, cell 1, line 14: the cell is no Python: invalid syntax.\n"
        "  mend: mend the cell; it must run in the notebook as well.\n"
    )
