"""The benchmark's one command, at its smallest: environments installed, everything measured, page and plots written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_nbpipeline_and_the_papermill_loop(tmp_path: Path) -> None:
    options = [
        "--only",
        "nbpipeline,papermill loop,one script",
        "--layers",
        "2",
        "--width",
        "1",
        "--repeat",
        "1",
    ]
    places = [f"--{name}={tmp_path / name}" for name in ("cache", "results", "docs", "scratch")]
    command = [sys.executable, "-m", "benchmarks", "--parts", "peers,killed,report", *options, *places]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    samples = json.loads((tmp_path / "results" / "peers.json").read_text())["samples"]
    ran = {(one["runner"], one["phase"]): len(one["ran"]) for one in samples if one["status"] == "right"}
    assert ran == {
        ("nbpipeline", "cold"): 3,
        ("nbpipeline", "no-op"): 0,
        ("nbpipeline", "change"): 2,
        **{
            (name, phase): 3
            for name in ("papermill loop", "one script")
            for phase in ("cold", "no-op", "change")
        },
    }
    assert all(one["wall"] > 0 and one["cpu"] > 0 and one["pss"] > 0 for one in samples)
    trials = json.loads((tmp_path / "results" / "killed.json").read_text())["trials"]
    ends = {(one["runner"], one["edit"]): (one["killed"], one["status"], one["after"]) for one in trials}
    assert ends == {
        ("nbpipeline", "kept"): ("half", "last good", "new"),
        ("nbpipeline", "taken back"): ("half", "last good", "last good"),
        ("papermill loop", "kept"): ("half", "", "new"),
        ("papermill loop", "taken back"): ("half", "", "last good"),
    }
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "| papermill loop | kept | half |" in page
    for name in ("benchmarks-time.svg", "benchmarks-cost.svg"):
        assert name in page
        assert ">papermill loop<" in (tmp_path / "docs" / name).read_text()


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_what_is_measured_of_nbpipeline_alone(tmp_path: Path) -> None:
    sizes = ["--stages", "5,20", "--run-stages", "3,5", "--cells", "2,3", "--output", "1000"]
    sizes += ["--most-cells", "2", "--files", "20"]
    repeats = [f"--repeat-{part}=1" for part in ("scale", "long", "large", "audit")]
    places = [f"--{name}={tmp_path / name}" for name in ("cache", "results", "docs", "scratch")]
    command = [sys.executable, "-m", "benchmarks", "--parts", "scale,long,large,audit,report"]
    done = subprocess.run(
        [*command, *sizes, *repeats, *places], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    samples = {
        part: json.loads((tmp_path / "results" / f"{part}.json").read_text())["samples"]
        for part in ("scale", "long", "large", "audit")
    }
    assert {part: len(found) for part, found in samples.items()} == {
        "scale": 8,
        "long": 2,
        "large": 3,
        "audit": 28,
    }
    page = (tmp_path / "docs" / "benchmarks.md").read_text()
    for line in ("| `plan` | 20 | ", "| 5 | ", "| 2, 0 MB | papermill | ", "| import a module | "):
        assert f"\n{line}" in page
    assert ">first plan<" in (tmp_path / "docs" / "benchmarks-growth.svg").read_text()
