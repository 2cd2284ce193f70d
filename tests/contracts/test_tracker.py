"""What every tracker must do, whichever system it tells."""

import json
import math
from dataclasses import replace

import pytest
from builders import code, notebook_json
from mlflow_database import put_database
from receivers import lineage_collector, span_collector
from tracked import (
    PICTURE,
    Mlflow,
    OpenLineage,
    OpenLineageOnline,
    OpenTelemetry,
    OpenTelemetryOnline,
    Prometheus,
    Tensorboard,
    Wandb,
    WandbOnline,
)
from wandb_server import wandb_server

from nbpipeline import plugins
from nbpipeline.model import Fingerprint, StoredOutput
from nbpipeline.model.told import CellLog, Commit, RunLog, StageLog

MADE = {
    "mlflow": Mlflow,
    "tensorboard": Tensorboard,
    "wandb": Wandb,
    "openlineage": OpenLineage,
    "opentelemetry": OpenTelemetry,
    "prometheus": Prometheus,
}
SERVED = {
    "wandb-online": (WandbOnline, wandb_server),
    "openlineage-online": (OpenLineageOnline, lineage_collector),
    "opentelemetry-online": (OpenTelemetryOnline, span_collector),
}
LIBRARIES = {
    "tensorboard": "tensorboardX",
    "openlineage": "openlineage.client",
    "opentelemetry": "opentelemetry.exporter.otlp.proto.http",
    "prometheus": "prometheus_client",
}
ODD = 'train[region=it\'s "x"]'


@pytest.fixture(params=[*MADE, *SERVED])
def system(request, tmp_path, monkeypatch):
    name = request.param.removesuffix("-online")
    pytest.importorskip(LIBRARIES.get(name, name))
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    if name == "mlflow":
        put_database(tmp_path / "mlflow.db")
    if request.param in MADE:
        yield MADE[name](tmp_path)
        return
    made, serve = SERVED[request.param]
    with serve() as server:
        yield made(tmp_path, server)


@pytest.fixture
def opened(system, tmp_path):
    """Opens the tracker anew, as another process would."""

    def opening(settings=None):
        module = plugins.load("trackers", system.name)
        given = system.settings if settings is None else settings
        return module.open_tracker(given, tmp_path, "flights", tmp_path / "spool")

    return opening


def stage(name="train", **given) -> StageLog:
    return StageLog(**{"stage": name, "started": 1001.0, "attempts": 1, **given})


@pytest.fixture
def ended(tmp_path) -> RunLog:
    """A run of three stages, one of which failed."""
    for name in ("log", "plan.json", "data/in.csv", "models/m.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    shown = {**code("plot()"), "outputs": [{"output_type": "display_data", "data": {"image/png": PICTURE}}]}
    (tmp_path / "attempt-1.ipynb").write_text(json.dumps(notebook_json([code("1"), shown])))
    good = stage(
        ODD,
        finished=1010.0,
        status="succeeded",
        seconds=9.0,
        parameters={"C": 0.5, "names": ["a", "b"], "long": "x" * 10_000, "none": None},
        metrics={"auc": 0.75, "loss": math.nan, "label": "good", "curve": [1, 2], "epochs": 3, "ok": True},
        reasons=({"kind": "never_run", "subject": ""},),
        cells=(
            CellLog(cell=2, finished=1002.0, seconds=0.5, peak_memory=10**8),
            CellLog(cell=4, finished=1003.0, seconds=1.5),
        ),
        fingerprint=Fingerprint(code={"cell 2": "ab"}, inputs={"data/in.csv": "f" * 64, "s3://b/x": "etag"}),
        outputs=(StoredOutput(path="models/m.bin", digest="e" * 64, size=5),),
        files={"notebook": str(tmp_path / "attempt-1.ipynb"), "log": str(tmp_path / "log")},
    )
    bad = stage(
        "score",
        finished=1011.0,
        status="failed",
        failure={"kind": "cell", "what": "ZeroDivisionError: no", "mend": "debug"},
    )
    stopped = stage("late", finished=1012.0, status="cancelled")
    return RunLog(
        run="20260101-000000-abcd",
        root=str(tmp_path),
        project="flights",
        started=1000.0,
        finished=1013.0,
        status="failed",
        seconds=13.0,
        command="nbpipeline run",
        fresh=2,
        counts={"succeeded": 1, "failed": 1},
        stages=(good, bad, stopped),
        commit=Commit(id="c0ffee", dirty=False),
        plan=str(tmp_path / "plan.json"),
    )


def assert_arrived(system) -> None:
    """Hold what the system has against `ended`."""
    found = system.runs()
    known = {one if one in found else one_slug: one for one, one_slug in ((ODD, SLUG), ("score", "score"))}
    good, bad = (found[key] for key in known)
    assert len(found) == 3 + ("whole" in system.holds)
    assert (good["status"], bad["status"], found["late"]["status"]) == ("good", "bad", "bad")
    wanted = {"auc": 0.75, "epochs": 3.0, "nbpipeline.peak_memory_mb": 100.0, "nbpipeline.seconds": 9.0}
    assert {key: good["metrics"].get(key) for key in wanted} == wanted
    assert not {"loss", "label", "curve"} & set(good["metrics"])
    if "params" in system.holds:
        known = {key: value for key, value in good["params"].items() if key in {"C", "names", "none"}}
        assert known == {"C": "0.5", "names": "['a', 'b']", "none": "None"}
        assert good["params"].get("long", "").startswith("x" * 6000)
    if "cells" in system.holds:
        assert good["cells"] == [(2, 0.5), (4, 1.5)]
    if "words" in system.holds:
        assert_told_in_words(found.get("", good)["words"], good["words"], bad["words"])
    if "data" in system.holds:
        assert [(path, digest[:36], side) for path, digest, side in good["data"]] == [
            ("data/in.csv", "f" * 36, "input"),
            ("models/m.bin", "e" * 36, "output"),
            ("s3://b/x", "etag", "input"),
        ]
    if "files" in system.holds:
        assert good["files"] == ["attempt-1.ipynb", "log"]
    if "whole" in system.holds:
        assert found[""]["status"] == "bad"


def assert_told_in_words(whole: str, good: str, bad: str) -> None:
    """Hold what is written of the run, of the stage that succeeded, of that which failed."""
    assert 'label\\\\\\": \\\\\\"good' in json.dumps(good)
    assert "never_run" in good
    assert "ZeroDivisionError" in bad
    assert "c0ffee" in whole


SLUG = "train_region=it_s__x__-5512359730"


def test_everything_of_a_run_arrives(system, opened, ended):
    with opened() as tracker:
        tracker.send(ended)
    assert_arrived(system)


def _without(**given):
    return lambda run: replace(run, stages=(replace(run.stages[0], **given), *run.stages[1:]))


LOSSES = {
    "metric": _without(metrics={"epochs": 3, "label": "good", "ok": True}),
    "odd metric": _without(metrics={"auc": 0.75, "epochs": 3}),
    "parameter": _without(parameters={"C": 0.5, "none": None, "long": "x" * 10_000}),
    "reason": _without(reasons=()),
    "cell": _without(cells=()),
    "status": _without(status="failed"),
    "stage": lambda run: replace(run, stages=run.stages[:2]),
    "failure": lambda run: replace(
        run, stages=(run.stages[0], replace(run.stages[1], failure=None), run.stages[2])
    ),
    "commit": lambda run: replace(run, commit=None),
}


def test_the_losses_lose_something(ended):
    assert ended not in [lose(ended) for lose in LOSSES.values()]


NEEDS = {
    "odd metric": "words",
    "parameter": "params",
    "reason": "words",
    "cell": "cells",
    "failure": "words",
    "commit": "words",
}
"""What a system must hold for a loss to be seen in it."""


HELD = [
    (name, lost)
    for name in MADE
    for lost in LOSSES
    if NEEDS.get(lost, "whole") in MADE[name].holds | {"whole"}
]


@pytest.mark.parametrize(("system", "lost"), HELD, indirect=["system"])
def test_control_a_tracker_that_loses_something_is_found_out(system, opened, ended, lost):
    with opened() as tracker:
        tracker.send(LOSSES[lost](ended))
    with pytest.raises(AssertionError):
        assert_arrived(system)


SYSTEMS = {**MADE, **{name: made for name, (made, _) in SERVED.items()}}
SHOWN = [(name, lost) for name, one in SYSTEMS.items() for lost in ("data", "files") if lost in one.holds]


@pytest.mark.parametrize(("system", "lost"), SHOWN, indirect=["system"])
def test_control_a_tracker_that_loses_files_is_found_out(system, opened, ended, lost):
    with opened() as tracker:
        tracker.send(_without(outputs=())(ended) if lost == "data" else _without(files={})(ended))
    with pytest.raises(AssertionError):
        assert_arrived(system)


def test_sent_again_by_the_same_and_by_another_it_is_there_once(system, opened, ended):
    with opened() as tracker:
        tracker.send(ended)
        first = system.runs()
        tracker.send(ended)
    with opened() as tracker:
        tracker.send(ended)
    assert system.runs() == first
    assert_arrived(system)


def test_a_run_that_grows_is_brought_up_to_date(system, opened, ended):
    good, bad, late = ended.stages
    begun = replace(good, cells=good.cells[:1], finished=None, status="", metrics={}, outputs=(), files={})
    with opened() as tracker:
        tracker.send(replace(ended, stages=(begun,), finished=None, status=""))
        tracker.send(replace(ended, stages=(good, bad), finished=None, status=""))
        tracker.send(ended)
    assert_arrived(system)
    assert late.stage in system.runs()


def test_a_stage_of_a_run_that_was_killed_is_no_success(system, opened, ended):
    begun = replace(ended.stages[1], finished=None, status="", failure=None)
    with opened() as tracker:
        tracker.send(replace(ended, stages=(begun,), finished=None, status=""))
        tracker.send(replace(ended, stages=(begun,), status="interrupted"))
    assert system.runs()["score"]["status"] == "bad"


def test_what_a_system_does_not_take_raises_and_is_sent_later(system, opened, ended):
    with opened(system.broken) as tracker, pytest.raises(Exception, match=r"127\.0\.0\.1|/log"):
        tracker.send(ended)
    with opened() as tracker:
        tracker.send(ended)
    assert_arrived(system)


def test_settings_that_it_does_not_know_are_refused(system):
    module = plugins.load("trackers", system.name)
    module.require()
    assert not [*module.complaints(system.settings)]
    assert [*module.complaints(system.wrong)]
    assert [*module.complaints({"nonsense": "x"})]
    for key in module.KEYS:
        assert [*module.complaints({key: 5})]
        ((what, mend),) = module.complaints({key[:-1] + "_": "x"})
        assert (f"unknown key '{key[:-1]}_'" in what, mend) == (True, f"did you mean '{key}'?")


JOINED = [name for name in SYSTEMS if plugins.load("trackers", SYSTEMS[name].name).JOINED_BY]


@pytest.mark.parametrize("system", JOINED, indirect=True)
def test_a_kernel_is_told_something_where_the_system_is_down(system, opened, ended):
    with opened(system.broken) as tracker:
        assert tracker.environment(ended, ODD)
