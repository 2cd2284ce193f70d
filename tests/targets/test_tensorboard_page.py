"""TensorBoard itself, fresh from the package index, reads what its tracker writes, and shows it on its page."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import told
from browser import browsing
from serving import serving
from tracked import PICTURE

from nbpipeline.model.told import CellLog
from nbpipeline.trackers import tensorboard

pytest.importorskip("tensorboardX")
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]

READER = """
import json, sys
from pathlib import Path
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
found = {}
root = Path(sys.argv[1])
for folder in sorted({file.parent for file in root.rglob("events.out.tfevents.*")}):
    read = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "scalars": 0})
    read.Reload()
    tags = read.Tags()
    try:
        hparams = read.PluginTagToContent("hparams")
    except KeyError:  # it has none
        hparams = {}
    start = hparams.get(metadata.SESSION_START_INFO_TAG)
    end = hparams.get(metadata.SESSION_END_INFO_TAG)
    found[folder.relative_to(root).as_posix()] = {
        "scalars": {tag: [(one.step, one.value) for one in read.Scalars(tag)] for tag in tags["scalars"]},
        "images": {tag: [(one.width, one.height) for one in read.Images(tag)] for tag in tags["images"]},
        "texts": {
            tag: read.Tensors(tag)[0].tensor_proto.string_val[0].decode()
            for tag in tags["tensors"] if tag.endswith("text_summary")
        },
        "hparams": sorted(metadata.parse_session_start_info_plugin_data(start).hparams) if start else [],
        "ended": metadata.parse_session_end_info_plugin_data(end).status if end else None,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with TensorBoard, whose own libraries need not go with ours."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    inside = folder / "bin/python"
    subprocess.run([inside, "-m", "pip", "install", "-q", "tensorboard>=2.20", "setuptools<81"], check=True)
    return inside


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of three runs, the last of which failed."""
    root = tmp_path_factory.mktemp("project")
    shown = {"output_type": "display_data", "data": {"image/png": PICTURE}}
    (root / "attempt-1.ipynb").write_text(json.dumps({"cells": [{"outputs": [shown]}]}))
    for number, auc in ((1, 0.61), (2, 0.68), (3, 0.72)):
        usual = {
            "metrics": {"auc": auc, "words": "none"},
            "parameters": {"C": 0.5 * number, "kind": "linear"},
            "cells": (
                CellLog(cell=2, finished=1002.0, seconds=0.5),
                CellLog(cell=3, finished=1003.0, seconds=1.5),
            ),
            "files": {"notebook": str(root / "attempt-1.ipynb")},
        }
        train = told.failed(**usual) if number == 3 else told.stage(**usual)
        run = told.run(train, run=f"2026010{number}-000000-abcd", root=str(root), finished=1000.0 * number)
        with tensorboard.open_tracker({}, root, "flights", root / "spool") as tracker:
            tracker.send(run)
    return root / "tensorboard"


def test_its_own_reader_finds_all(python: Path, written: Path) -> None:
    done = subprocess.run(
        [python, "-c", READER, written], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {
        "stages/train",
        *(f"runs/2026010{number}-000000-abcd{more}" for number in (1, 2, 3) for more in ("", "/train")),
    }
    over = found["stages/train"]["scalars"]
    assert over["auc"] == [[1, pytest.approx(0.61)], [2, pytest.approx(0.68)], [3, pytest.approx(0.72)]]
    assert [step for step, _ in over["nbpipeline/seconds"]] == [1, 2, 3]
    one, last = (found[f"runs/2026010{number}-000000-abcd/train"] for number in (1, 3))
    assert one["scalars"]["nbpipeline/cell_seconds"] == [[2, 0.5], [3, 1.5]]
    assert one["images"] == {"plots/cell 0 (1)": [[1, 1]]}
    assert one["hparams"] == ["C", "kind"]
    assert (one["ended"], last["ended"]) == (1, 2), "a success, a failure"
    assert last["texts"]["nbpipeline/failure/text_summary"].startswith("cell: the cell raised ValueError")
    assert found["runs/20260101-000000-abcd"]["texts"]["nbpipeline/commit/text_summary"] == "c0ffee"


def test_its_own_reader_finds_a_damaged_file(python: Path, written: Path, tmp_path: Path) -> None:
    """Control: of a file with a flipped byte it takes nothing from there on."""
    (whole,) = (written / "runs/20260101-000000-abcd/train").iterdir()
    data = bytearray(whole.read_bytes())
    data[len(data) // 3] ^= 1
    (tmp_path / whole.name).write_bytes(data)
    done = subprocess.run(
        [python, "-c", READER, tmp_path], capture_output=True, text=True, check=False, timeout=300
    )
    scalars = json.loads(done.stdout)["."]["scalars"] if done.returncode == 0 else {}
    assert "nbpipeline/cell_seconds" not in scalars


@contextmanager
def board(python: Path, folder: Path) -> Iterator[str]:
    """Run TensorBoard on a free port of this machine alone; gives its address."""
    words = [python, "-m", "tensorboard.main", "--logdir", folder, "--host", "127.0.0.1", "--port", "0"]
    with serving(words, ready=" at http://", variables={"PYTHONUNBUFFERED": "1"}) as said:
        yield said.partition(" at ")[2].split()[0].rstrip("/")


def test_its_page_shows_the_lines_and_the_parameters(python: Path, written: Path) -> None:
    with board(python, written) as address, browsing(width=1500, height=1000) as tab:
        page = tab.page
        page.goto(f"{address}/#timeseries")
        page.get_by_text("stages/train", exact=False).first.wait_for(timeout=120_000)
        page.get_by_text("auc").first.wait_for(timeout=60_000)
        page.locator("scalar-card").first.wait_for(timeout=60_000)
        tab.picture("tensorboard-scalars", whole=False)
        page.goto(f"{address}/#hparams")
        for text in ("Number of matching session groups: 3", "linear", "0.68000"):
            page.get_by_text(text).first.wait_for(timeout=60_000)
        tab.picture("tensorboard-hparams", whole=False)
        assert [one for one in tab.requests if not one.startswith((address, "data:", "blob:"))] == []
