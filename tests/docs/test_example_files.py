"""The example's notebooks are as they should be committed; running them is for the heavy tests and .ci/run."""

import hashlib
import json
from pathlib import Path

import pytest

from nbpipeline import pipeline
from nbpipeline.reading.project import read_project

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ORDER = ["fetch", "clean", "features", "split", "baseline", "train", "evaluate", "report"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_saved_without_outputs(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_need_no_nbpipeline(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = "".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    assert "nbpipeline" not in code


def test_the_example_reads_without_a_complaint() -> None:
    spec, complaints = read_project(ROOT)
    built, more = pipeline.build(spec)
    assert [str(one) for one in (*complaints, *more)] == []
    assert built
    assert sorted(built.instances) == sorted(ORDER)
    for edge in built.edges:
        assert ORDER.index(edge.upstream) < ORDER.index(edge.downstream)


def test_the_data_are_what_their_digests_say_and_small() -> None:
    folder = ROOT / "data" / "source"
    lines = (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    for line in lines:
        digest, name = line.split()
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {line.split()[1] for line in lines} == {path.name for path in folder.glob("*.parquet")}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8_000_000


def test_the_deterministic_files_are_outputs_of_the_example() -> None:
    listed = (ROOT / "docs" / "reference" / "example-deterministic.txt").read_text(encoding="utf-8").split()
    built, _ = pipeline.build(read_project(ROOT)[0])
    assert built
    outputs = {path for one in built for bound in one.outputs for path in bound.paths}
    assert sorted(listed) == sorted(outputs)


def test_the_drawn_pipeline_has_every_stage() -> None:
    drawing = (ROOT / "docs" / "pipeline.svg").read_text(encoding="utf-8")
    assert all(f">{name}<" in drawing for name in ORDER)
    assert "http" not in drawing.replace("http://www.w3.org/2000/svg", "")
