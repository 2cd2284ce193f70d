"""Checks by Great Expectations and pandera in real runs: what fails, what is kept, what is left running."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook
from checking import checking_processes

import nbpipeline

pytestmark = pytest.mark.heavy

GOOD = "flight,origin,distance\n1,EWR,100\n2,JFK,200\n3,LGA,5\n"
BAD = "flight,origin,distance\n1,EWR,100\n2,jfk,200\n3,LGA,5\n"
NEGATIVE = GOOD.replace("3,LGA,5", "3,LGA,-5")
SCHEMA = """
import pandera.pandas as pa

class Flights(pa.DataFrameModel):
    distance: float = pa.Field(ge=0, coerce=True)
"""
SUITE = """
artifact: clean.features
expect:
  - exists
  - mean_between: {column: distance, min: 10, max: 1000}
  - match_regex: {column: origin, regex: "^[A-Z]{3}$"}
  - pandera: flights_schema:Flights
  - not_in_set: {column: origin, values: [LGA], severity: warn}
"""


@pytest.fixture
def flights(root: Path) -> Path:
    write_files(
        root,
        {
            "pipeline.yaml": "name: flights\n",
            "data/raw.csv": GOOD,
            "notebooks/flights_schema.py": SCHEMA,
            "expectations/clean.features.yml": SUITE,
        },
    )
    write_notebook(
        root / "notebooks/clean.ipynb",
        code("raw = '../data/raw.csv'", "inputs"),
        code("features = '../data/features.csv'", "outputs"),
        code("import shutil\nshutil.copy(raw, features)"),
    )
    write_notebook(
        root / "notebooks/report.ipynb",
        code("features = '../data/features.csv'", "inputs"),
        code("report = '../data/report.txt'", "outputs"),
        code("open(report, 'w').write(open(features).read())"),
    )
    return root


@pytest.fixture
def light(flights: Path) -> Path:
    """With checks of pandera alone, which is there sooner."""
    suite = "expect: [{pandera: flights_schema:Flights}]\n"
    write_files(flights, {"expectations/clean.features.yml": suite})
    return flights


def events(root: Path) -> list[dict]:
    last = max((root / ".nbpipeline/runs").iterdir())
    return [json.loads(line) for line in (last / "events.jsonl").read_text().splitlines()]


def test_a_corrupted_row_fails_the_right_stage_with_the_row_shown(flights: Path) -> None:
    done = command("run", cwd=flights)
    assert done.returncode == 0, done.stderr
    assert "does not hold in 1 of 3 rows: row 3 (origin LGA, flight 3, distance 5)" in done.stderr
    good = (flights / "data/features.csv").read_bytes()
    report = (flights / "data/report.txt").read_bytes()

    (flights / "data/raw.csv").write_text(BAD)
    done = command("run", cwd=flights)
    assert done.returncode == 4
    assert (
        "expectations/clean.features.yml, line 5: output 'features' fails a check: match_regex: "
        in done.stdout
    )
    assert "does not hold in 1 of 3 rows: row 2 (origin jfk, flight 2, distance 200)" in done.stdout
    assert (flights / "data/features.csv").read_bytes() == good
    assert (flights / "data/report.txt").read_bytes() == report
    ended = {
        one["stage"]: one["data"]["status"] for one in events(flights) if one["kind"] == "stage_finished"
    }
    assert ended == {"clean": "check_failed", "report": "blocked"}
    (failed,) = [
        one["data"]
        for one in events(flights)
        if one["kind"] == "check_finished" and one["data"]["check"] == "match_regex"
    ]
    assert failed["validator"] == "great_expectations"
    assert failed["details"]["examples"] == [{"row": 2, "origin": "jfk", "flight": 2, "distance": 200}]
    folder = max((flights / ".nbpipeline/runs").iterdir()) / "clean"
    assert (folder / "rejected-1/data/features.csv").read_text() == BAD
    assert "jfk" in (folder / "checks.html").read_text()
    outcomes = json.loads((folder / "checks.json").read_text())["checks"]
    assert [(one["check"], one["passed"], one["severity"]) for one in outcomes] == [
        ("exists", True, "fail"),
        ("mean_between", True, "fail"),
        ("match_regex", False, "fail"),
        ("pandera", True, "fail"),
        ("not_in_set", False, "warn"),
    ]
    assert checking_processes(flights) == set()


def test_record_run_stage_and_test_check_as_a_run_does(light: Path) -> None:
    (light / "data/features.csv").write_text(NEGATIVE)
    done = command("record", "clean", cwd=light)
    assert done.returncode == 4
    assert "row 3 (-5.0)" in done.stderr
    (light / "data/features.csv").unlink()
    (light / "data/raw.csv").write_text(NEGATIVE)
    done = command("run-stage", "clean", cwd=light)
    assert done.returncode == 4, done.stderr
    done = command("test", "clean", cwd=light)
    assert done.returncode == 4, done.stderr
    (light / "data/raw.csv").write_text(GOOD)
    assert command("test", "clean", cwd=light).returncode == 0


def test_ctrl_c_while_checks_run_brings_all_back(light: Path) -> None:
    """The schema waits for ever; what was there before is there again, and nothing is left running."""
    assert command("run", cwd=light).returncode == 0
    good = (light / "data/features.csv").read_bytes()
    waiting = light / "waiting"
    os.mkfifo(waiting)
    write_files(
        light,
        {
            "notebooks/flights_schema.py": f"import signal\nopen({str(waiting)!r}, 'wb').close()\nsignal.pause()\n"
            "class Flights:\n    pass\n",
            "data/raw.csv": GOOD + "4,EWR,50\n",
        },
    )
    run = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run"],
        cwd=light,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    waiting.open("rb").close()  # until the schema's module is being loaded
    os.kill(run.pid, signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert (light / "data/features.csv").read_bytes() == good
    assert checking_processes(light) == set()


def test_the_process_is_started_for_what_is_planned_alone(light: Path) -> None:
    """A run of a stage without such checks, and one with nothing to do, start none."""
    project = nbpipeline.Project(light)
    source = (
        "import sys, subprocess\nseen = []\nmade = subprocess.Popen.__init__\n"
        "def init(self, args, *rest, **named):\n    seen.append(' '.join(map(str, args)))\n    made(self, args, *rest, **named)\n"
        "subprocess.Popen.__init__ = init\nimport nbpipeline\n"
        "nbpipeline.Project('.').run('report', only=True)\nprint(any('nbpipeline.validators' in one for one in seen))"
    )
    (light / "data/features.csv").write_text(GOOD)
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=light, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip().endswith("False"), done.stderr
    done = subprocess.run(
        [sys.executable, "-c", source.replace("run('report', only=True)", "run()")],
        cwd=light,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip().endswith("True"), done.stderr  # a negative control
    assert all(one.fresh for one in project.plan().steps)


def test_a_changed_schema_makes_the_stage_stale(light: Path) -> None:
    assert command("run", cwd=light).returncode == 0
    (light / "notebooks/flights_schema.py").write_text(SCHEMA.replace("ge=0", "ge=1"))
    (step, *_) = nbpipeline.Project(light).plan("clean").steps
    assert [one.subject for one in step.reasons] == ["flights_schema.py"]


def test_an_export_is_loaded_and_run_by_great_expectations(flights: Path) -> None:
    (flights / "data/features.csv").write_text(GOOD)
    done = command("expect", "export", "--to", "exported", cwd=flights)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "clean.features: 3 expectations and a checkpoint",
        "clean.features: exists: left out, Great Expectations has none like it",
        "clean.features: pandera: left out, Great Expectations has none like it",
    ]
    source = (
        "import great_expectations as gx\ncontext = gx.get_context(mode='file', project_root_dir='exported')\n"
        "found = context.checkpoints.get('clean.features').run()\n"
        "print({one.expectation_config.type: one.success for each in found.run_results.values() for one in each.results})"
    )
    ran = subprocess.run(
        [sys.executable, "-c", source], cwd=flights, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.stdout.strip() == str(
        {
            "expect_column_mean_to_be_between": True,
            "expect_column_values_to_match_regex": True,
            "expect_column_values_to_not_be_in_set": False,
        }
    ), ran.stderr
    done = command("expect", "export", "clean.featurs", "--to", "exported", cwd=flights)
    assert done.returncode == 2
    assert "did you mean 'clean.features'?" in done.stderr


def test_an_export_that_the_disk_refuses_is_told(root: Path) -> None:
    write_files(root, {"data/t.csv": "a\n1\n", "taken": "a file"})
    write_notebook(
        root / "notebooks" / "look.ipynb",
        header("inputs: {it: ../data/t.csv}\nexpect: {it: [{not_null: a}]}"),
        code("print(it)"),
    )
    for target in ("taken/gx", "taken/deeper/gx"):
        done = command("expect", "export", "--to", target, cwd=root)
        assert done.returncode == 2, done.stderr
        assert done.stderr.startswith("taken/")
        assert "cannot be written: Not a directory." in done.stderr
    (root / "there").mkdir()
    (root / "there" / "gx").write_text("a file")
    done = command("expect", "export", "--to", "there", cwd=root)
    assert done.returncode == 2, done.stderr
    assert ": cannot be written: " in done.stderr
