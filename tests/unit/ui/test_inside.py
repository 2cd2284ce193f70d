"""stage() and %nbpipeline: the same values in the pipeline and by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import code, command, header, write_files, write_notebook

import nbpipeline
from nbpipeline.errors import UsageError
from nbpipeline.ui.inside import Values

pytestmark = pytest.mark.children


LOOK = """
import json, pathlib
import nbpipeline
here = nbpipeline.stage()
seen = {
    "name": here.name,
    "raw": str(here.inputs.raw),
    "is_path": isinstance(here.inputs.raw, pathlib.Path),
    "out": str(here.outputs.out),
    "rate": here.params.rate,
    "region": here.params.region,
}
pathlib.Path(here.outputs.out).parent.mkdir(exist_ok=True)
json.dump(seen, open(here.outputs.out, "w"))
"""


def build(root: Path) -> None:
    write_files(root, {"data/raw.csv": "a\n1\n"})
    write_notebook(
        root / "notebooks" / "look.ipynb",
        header(
            """
            inputs: {raw: ../data/raw.csv}
            outputs: {out: "../out/{region}.json"}
            params: {rate: {default: 0.5, type: float}}
            matrix: {region: [eu, us]}
            """
        ),
        code(LOOK),
    )


def in_kernel(folder: Path, source: str, **environment: str) -> str:
    """Run source in IPython, as a kernel started by JupyterLab in the notebook's folder would."""
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--quick", "-c", source],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_same_by_hand_and_in_the_pipeline(root: Path) -> None:
    build(root)
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    expected = {
        "name": "look[region=eu]",
        "raw": "../data/raw.csv",
        "is_path": True,
        "out": "../out/eu.json",
        "rate": 0.5,
        "region": "eu",
    }
    assert read(root / "out/eu.json") == expected
    assert read(root / "out/us.json")["name"] == "look[region=us]"
    (root / "out/eu.json").unlink()
    text = in_kernel(root / "notebooks", LOOK, JPY_SESSION_NAME="notebooks/look.ipynb")
    assert read(root / "out/eu.json") == expected, text


def test_overrides_reach_the_notebook(root: Path) -> None:
    build(root)
    assert command("run", "look@region=us", "-p", "look.rate=0.25", cwd=root).returncode == 0
    assert read(root / "out/us.json")["rate"] == 0.25


def test_the_magic_defines_what_only_the_header_declares(root: Path) -> None:
    build(root)
    source = "%load_ext nbpipeline\n%nbpipeline\nprint(raw, out, rate, region)"
    text = in_kernel(root / "notebooks", source, JPY_SESSION_NAME="look.ipynb")
    assert (
        text == "nbpipeline: look[region=eu]: region, rate, raw, out\n../data/raw.csv ../out/eu.json 0.5 eu\n"
    )
    chosen = in_kernel(root / "notebooks", source.replace("%nbpipeline\n", "%nbpipeline look region=us\n"))
    assert "nbpipeline: look[region=us]: " in chosen


def test_the_magic_leaves_names_of_cells_alone(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "a.ipynb",
        header("params: {rate: {default: 1}}"),
        code("size = 3", "parameters"),
    )
    source = "%load_ext nbpipeline\nsize = 4\n%nbpipeline\nprint(size, rate)"
    assert in_kernel(root / "notebooks", source, JPY_SESSION_NAME="a.ipynb").endswith("4 1\n")


def test_the_magic_in_the_pipeline(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "a.ipynb",
        header('outputs: {out: "../out.txt"}'),
        code("%load_ext nbpipeline\n%nbpipeline"),
        code("open(out, 'w').write('x')"),
    )
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "out.txt").read_text() == "x"


def test_check_lists_what_needs_the_magic(root: Path) -> None:
    build(root)
    write_notebook(
        root / "notebooks" / "bare.ipynb",
        header('outputs: {target: "../out.txt"}'),
        code("open(target, 'w').write('x')"),
    )
    done = command("check", cwd=root)
    assert "note: bare runs by hand only with %nbpipeline, which defines target" in done.stdout
    assert "note: look" not in done.stdout


def test_a_notebook_that_cannot_be_told(root: Path) -> None:
    build(root)
    text = in_kernel(root / "notebooks", "%load_ext nbpipeline\n%nbpipeline", JPY_SESSION_NAME="")
    assert text == (
        "nbpipeline cannot tell which notebook this is.\n"
        "  stages: look\n"
        "  mend: name the stage: nbpipeline.stage('NAME'), or %nbpipeline NAME\n"
    )


def test_an_unknown_stage_or_axis(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(root)
    monkeypatch.chdir(root)
    monkeypatch.delenv("NBPIPELINE_CONTEXT", raising=False)
    with pytest.raises(UsageError, match="'lok' is no stage") as error:
        nbpipeline.stage("lok")
    assert str(error.value) == (
        "'lok' is no stage of this project.\n  stages: look\n  mend: did you mean 'look'?"
    )
    with pytest.raises(UsageError) as error:
        nbpipeline.stage("look", region="asia")
    assert str(error.value) == (
        "stage 'look' has no such instance.\n"
        "  instances: look[region=eu], look[region=us]\n"
        "  mend: give an axis and one of its values"
    )
    assert nbpipeline.stage("look", region="us").outputs["out"] == Path("out/us.json")


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    values = Values("input", {"features": 1})
    with pytest.raises(
        AttributeError, match="the stage declares no input 'featurs'; did you mean 'features'\\?"
    ):
        _ = values.featurs
    with pytest.raises(AttributeError, match="the stage declares no input 'x'; there are: features"):
        _ = values.x
    assert "features" in dir(values)
    assert repr(values) == "Values(features=1)"
    assert dict(values) == {"features": 1}
