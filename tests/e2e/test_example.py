"""The example: plain Jupyter does the same work, ten kills change nothing of what it ends with, MLflow shows it."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from browser import browsing
from builders import command
from mlflow.tracking import MlflowClient
from mlflow_serving import mlflow_serving
from processes import outlasting

REPOSITORY = Path(__file__).parents[2]
STAGES = ("fetch", "clean", "features", "split", "baseline", "train", "evaluate", "report")
SAME = tuple((REPOSITORY / "docs/reference/example-deterministic.txt").read_text().split())
SEED = int(os.environ.get("NBPIPELINE_TEST_SEED", "20131101"))

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]


def clone(target: Path) -> Path:
    """The example's files as they stand in the work tree, without anything that a run leaves."""
    names = ("notebooks", "expectations", "data/source", "pipeline.yaml")
    for name in names:
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source, target / name)
    return target


def bytes_of(root: Path) -> dict[str, bytes | None]:
    return {name: (root / name).read_bytes() if (root / name).exists() else None for name in SAME}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, run once."""
    root = clone(tmp_path_factory.mktemp("undisturbed"))
    done = command("run", cwd=root, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


@pytest.fixture(scope="module")
def expected(undisturbed: Path) -> dict[str, bytes | None]:
    """What one undisturbed run ends with."""
    found = bytes_of(undisturbed)
    assert None not in found.values()
    return found


def borrowed(python: Path) -> None:
    """Let it import what is installed beside nbpipeline here, which is itself on no path that this gives."""
    (site,) = (python.parents[1] / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")


def installed(python: Path) -> None:
    """Install what the README's command does, but for nbpipeline."""
    subprocess.run([python, "-m", "ensurepip"], check=True, capture_output=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", REPOSITORY / "requirements.lock"], check=True)


@pytest.mark.nightly
@pytest.mark.parametrize("equip", [borrowed, pytest.param(installed, marks=pytest.mark.nightly)])
def test_plain_jupyter_does_the_same_work(
    tmp_path: Path, expected: dict[str, bytes | None], equip: Callable[[Path], None]
) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    equip(python)
    without = subprocess.run(
        [python, "-c", "import nbpipeline"], cwd=tmp_path, capture_output=True, check=False
    )
    assert b"ModuleNotFoundError" in without.stderr
    root = clone(tmp_path / "plain")
    sources = {path.name: path.read_bytes() for path in (root / "notebooks").iterdir()}
    subprocess.run(  # `jupyter execute` in one process; each notebook has a kernel of its own
        [
            python,
            "-c",
            "from nbclient.cli import main; main()",
            *(f"notebooks/{one}.ipynb" for one in STAGES),
        ],
        cwd=root,
        env={**os.environ, "PATH": f"{tmp_path / 'venv/bin'}:{os.environ['PATH']}"},
        check=True,
    )
    assert {
        path.name: path.read_bytes() for path in (root / "notebooks").iterdir() if path.is_file()
    } == sources
    found = bytes_of(root)
    # The model's file tells how many threads made it; that it predicts the same is among the files compared.
    compared = [name for name in SAME if name != "models/late.joblib"]
    assert [name for name in compared if found[name] != expected[name]] == []


@pytest.mark.nightly
def test_ten_kills_end_with_the_same_files(tmp_path: Path, expected: dict[str, bytes | None]) -> None:
    chance = random.Random(SEED)
    root = clone(tmp_path)
    for _ in range(10):
        process = subprocess.Popen(
            [sys.executable, "-m", "nbpipeline", "run", "--no-track", "--format", "json"],
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        for _, _line in zip(range(chance.randint(1, 25)), process.stdout, strict=False):
            pass
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.send_signal(signal.SIGKILL)
        process.stdout.close()
        process.wait()
        alive = outlasting(children, 15)
        assert not alive, f"kernels outlive their killed runner: {alive} (seed {SEED})"
        mended = command("doctor", cwd=root)
        assert mended.returncode == 0, mended.stdout + mended.stderr
        half = [name for name, data in bytes_of(root).items() if data not in (None, expected[name])]
        assert half == [], f"half files (seed {SEED})"
    done = command("run", "--no-track", cwd=root, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    found = bytes_of(root)
    assert [name for name in SAME if found[name] != expected[name]] == []
    assert "all fresh" in command("plan", cwd=root).stdout


@pytest.mark.nightly
def test_mlflow_ui_shows_runs_metrics_data_notebooks_and_the_model(undisturbed: Path) -> None:
    synced = command("runs", "--sync", cwd=undisturbed)
    assert "not sent" not in synced.stderr, synced.stderr
    client = MlflowClient(f"sqlite:///{undisturbed}/mlflow.db")
    experiment = client.get_experiment_by_name("flight-delays").experiment_id
    (run,) = client.search_runs([experiment], "tags.`nbpipeline.stage` = 'train'")
    with mlflow_serving("ui", cwd=undisturbed) as address, browsing(width=1500, height=1100) as tab:
        page = tab.page

        def shows(place: str, *texts: str) -> None:
            page.goto(f"{address}/#/{place}")
            for text in texts:
                page.get_by_text(text).first.wait_for(timeout=60_000)

        shows(f"experiments/{experiment}/runs", "flight-delays", run.data.tags["nbpipeline.run"])
        shows(
            f"experiments/{experiment}/runs/{run.info.run_id}",
            "valid_roc_auc",
            str(run.data.metrics["valid_roc_auc"]),
            "learning_rate",
            "data/derived/train.parquet",
            "Finished",
        )
        tab.picture("mlflow-run", whole=False)
        shows(f"experiments/{experiment}/runs/{run.info.run_id}/artifacts", "attempt-1.ipynb", "log")
        page.get_by_text("attempt-1.html").first.click()
        frame = page.frame_locator("iframe").first
        frame.get_by_text("Choose the number of trees").first.wait_for(timeout=60_000)
        tab.picture("mlflow-notebook", whole=False)
        shows("models/flight-delays/versions/1", "candidate", "Inputs (21)")
        tab.picture("mlflow-model", whole=False)
        assert [one for one in tab.requests if not one.startswith((address, "data:", "blob:"))] == []


def test_a_corrupted_flight_fails_the_stage_that_lets_it_in(
    undisturbed: Path, expected: dict[str, bytes | None], tmp_path: Path
) -> None:
    root = tmp_path / "corrupted"
    shutil.copytree(undisturbed, root)
    source, sums = root / "data/source/flights.parquet", root / "data/source/SHA256SUMS"
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    flights = pd.read_parquet(source)
    flights["origin"] = flights["origin"].astype(str)
    flights.loc[4711, "origin"] = "JFX"
    flights.to_parquet(source)
    sums.write_text(sums.read_text().replace(before, hashlib.sha256(source.read_bytes()).hexdigest()))
    done = command("run", "--no-track", cwd=root)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "fetch.ipynb, cell 10" in done.stdout
    assert "output 'raw_flights' fails a check: in_set: 'origin'" in done.stdout
    assert "row 4712 (JFX)" in done.stdout
    statuses = json.loads(command("show", "--format", "json", cwd=root).stdout)["stages"]
    assert {one["stage"]: one["status"] for one in statuses} == {
        "fetch": "check_failed",
        **dict.fromkeys(STAGES[1:], "blocked"),
    }
    assert bytes_of(root) == expected
