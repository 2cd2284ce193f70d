"""What doctor says of a store far away: it is asked."""

import socket
from pathlib import Path

import pytest
from builders import code, write_files, write_notebook

from nbpipeline import Project
from nbpipeline.upkeep.finding import Finding


def told(root: Path, store: str) -> list[Finding]:
    write_files(root, {"pipeline.yaml": f"name: one\nstore: {store}\n"})
    write_notebook(root / "notebooks/a.ipynb", code("o = '../o.txt'", "outputs"))
    return [one for one in Project(root).doctor() if one.subject == "store"]


def test_one_that_answers(root: Path, tmp_path: Path) -> None:
    (one,) = told(root, f"{{path: 'file://{tmp_path}/far'}}")
    assert (one.state, one.what) == ("good", f"file://{tmp_path}/far answers")


def test_one_that_nobody_serves(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    (one,) = told(root, f"{{path: 's3://bucket/far', endpoint: 'http://127.0.0.1:{port}'}}")
    assert one.state == "bad"
    assert "s3://bucket/far" in one.what


def test_one_on_this_machine_is_not_asked(root: Path) -> None:
    assert told(root, "{path: kept}") == []
