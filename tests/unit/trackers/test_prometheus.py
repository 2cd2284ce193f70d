"""Prometheus: one file, of the last run and the last of each stage."""

import math
import os
import stat

import pytest
import told
from tracked import Prometheus

pytest.importorskip("prometheus_client")
from nbpipeline.trackers import prometheus


@pytest.fixture
def send(root):
    """Sends runs as processes of their own would; gives what the file then says."""

    def sending(*runs, project="flights"):
        for one in runs:
            with prometheus.open_tracker({}, root, project, root / "spool") as tracker:
                tracker.send(one)
                tracker.send(one)
        return Prometheus(root).samples()

    return sending


def value(found, name, **labels):
    return found.get((f"nbpipeline_{name}", tuple(sorted(labels.items()))))


def test_a_run_and_its_stages(send):
    one = told.checked(metrics={"auc": 0.5, "label": "x", "loss": math.inf}, attempts=2)
    found = send(told.run(one, counts={"check_failed": 1}))
    assert value(found, "run_started_timestamp_seconds") == 1000.0
    assert value(found, "run_finished_timestamp_seconds") == 1013.0
    assert value(found, "run_duration_seconds") == 13.0
    assert [value(found, "run_status", status=s) for s in ("succeeded", "failed", "interrupted")] == [0, 1, 0]
    assert value(found, "run_stages", status="check_failed") == 1
    assert value(found, "stage_status", stage="train", status="check_failed") == 1
    assert value(found, "stage_duration_seconds", stage="train") == 9.0
    assert value(found, "stage_attempts", stage="train") == 2
    assert value(found, "stage_peak_memory_bytes", stage="train") == 10**8
    assert value(found, "stage_checks", stage="train", result="failed") == 1
    assert value(found, "stage_metric", stage="train", metric="auc") == 0.5
    assert value(found, "stage_metric", stage="train", metric="loss") == math.inf
    assert value(found, "stage_metric", stage="train", metric="label") is None
    assert value(found, "run_last_success_timestamp_seconds") is None


def test_stages_of_earlier_runs_and_the_last_success_stay(send):
    good = told.run(told.stage("a"), told.stage("b", metrics={"auc": 1.0}))
    later = told.run(told.failed("a"), run="20260102-000000-0000", started=2000.0, finished=2005.0)
    found = send(good, later)
    assert value(found, "stage_status", stage="a", status="failed") == 1
    assert value(found, "stage_status", stage="a", status="succeeded") == 0
    assert value(found, "stage_metric", stage="b", metric="auc") == 1.0
    assert value(found, "stage_finished_timestamp_seconds", stage="b") == 1010.0
    assert value(found, "run_last_success_timestamp_seconds") == 1013.0
    assert value(found, "run_finished_timestamp_seconds") == 2005.0


def test_a_run_that_is_told_late_overwrites_no_later_one(send):
    good = told.run(told.stage("a"))
    later = told.run(told.failed("a"), run="20260102-000000-0000", started=2000.0, finished=2005.0)
    assert send(later) == send(later, good)


def test_nothing_is_written_while_a_run_goes_on(root):
    with prometheus.open_tracker({}, root, "flights", root / "spool") as tracker:
        tracker.send(told.run(told.stage(), finished=None, status=""))
    assert not (root / "nbpipeline.prom").exists()


@pytest.mark.parametrize(
    "text", ["{", "nbpipeline_x{a=", "other 5\n", "", 'nbpipeline_run_status{pipeline="z"} 1\n']
)
def test_what_is_damaged_or_anothers_is_written_anew(root, send, text):
    (root / "nbpipeline.prom").write_text(text)
    found = send(told.run(told.stage()))
    assert all(name.startswith("nbpipeline_") for name, _ in found)
    assert value(found, "run_duration_seconds") == 13.0


def test_odd_names_and_a_reader_of_another_user(root, send):
    odd = 'a[x="y\\z"]'
    found = send(told.run(told.stage(odd, metrics={'m "1"\n': 1.0})))
    assert value(found, "stage_metric", stage=odd, metric='m "1"\n') == 1.0
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / "nbpipeline.prom").stat().st_mode) == 0o666 & ~umask
