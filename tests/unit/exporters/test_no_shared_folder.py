"""Tasks that share no folder: what no store keeps, and what nothing makes there."""

from pathlib import Path

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.errors import LossError

STORE = "name: x\nstore: {path: 's3://bucket/x'}\n"


@pytest.mark.parametrize("target", ["argo", "kubeflow", "vertex"])
def test_what_no_store_keeps_reaches_no_other_task(root: Path, target: str) -> None:
    write_files(root, {"pipeline.yaml": STORE})
    big = header("outputs: {big: {path: ../big.bin, store: false}, small: ../small.txt}")
    write_notebook(root / "notebooks/make.ipynb", big, code("1"))
    exporting = Project(root).exporting
    assert exporting.rendered(target).losses == (), "nobody reads it"
    write_notebook(root / "notebooks/use.ipynb", header("inputs: {big: {from: make.big}}"), code("1"))
    with pytest.raises(LossError, match=r"no store keeps \(`store: false`\): big\.bin \(make\)\.") as refused:
        Project(root).exporting.rendered(target)
    assert "take `store: false` out" in str(refused.value)
    (loss,) = Project(root).exporting.rendered(target, allow_loss=True).losses
    assert loss.tasks == ("make",)
    if target != "vertex":
        assert Project(root).exporting.rendered(target, options={"volume": "claim"}).losses == ()


def test_what_a_frozen_stage_once_made_is_in_the_image(root: Path) -> None:
    write_files(root, {"pipeline.yaml": STORE, "old.txt": "x"})
    write_notebook(root / "notebooks/old.ipynb", header("outputs: {o: ../old.txt}\nfrozen: true"), code("1"))
    read = header("inputs: {o: {from: old.o}}\noutputs: {n: ../new.txt}")
    write_notebook(root / "notebooks/new.ipynb", read, code("1"))
    ignored = Project(root).exporting.rendered("argo").files["Dockerfile.dockerignore"].split("\n")
    assert "new.txt" in ignored
    assert "old.txt" not in ignored


def test_what_stages_go_on_in_begins_as_the_project_has_it(root: Path) -> None:
    """A first run in a container would else begin with none, and one in the project with what is committed."""
    write_files(root, {"pipeline.yaml": STORE, "x.db": "rows"})
    grow = header("outputs: {db: {path: ../x.db, mode: update}, log: ../log.txt}")
    write_notebook(root / "notebooks/grow.ipynb", grow, code("1"))
    ignored = Project(root).exporting.rendered("argo").files["Dockerfile.dockerignore"].split("\n")
    assert "log.txt" in ignored
    assert "x.db" not in ignored
