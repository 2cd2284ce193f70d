"""OpenLineage: what events hold, and what becomes of those that a collector refuses."""

import copy
import json
import subprocess
from dataclasses import replace
from uuid import UUID

import pytest
import told
from receivers import checked_event, lineage_collector

from nbpipeline.model import StoredOutput
from nbpipeline.trackers.repository import Repository

pytest.importorskip("openlineage.client")
from nbpipeline.trackers import openlineage
from nbpipeline.trackers.openlineage_events import run_id


@pytest.fixture
def collector():
    with lineage_collector() as receiver:
        yield receiver


def tracker(root, **settings):
    return openlineage.open_tracker(settings, root, "flights", root / "spool")


@pytest.fixture
def events(root):
    """Sends a run to a file; gives the events by job and type."""

    def sent(run, **settings):
        with tracker(root, **settings) as opened:
            opened.send(run)
        text = (root / settings.get("file", "openlineage.jsonl")).read_text()
        found = [checked_event(json.loads(line)) for line in text.splitlines()]
        return {(one["job"]["name"], one["eventType"]): one for one in found}

    return sent


def test_a_stage_with_its_data(root, events):
    (root / "data").mkdir()
    (root / "data/table.csv").write_text("id,late\n1,0.5\n")
    run = told.run(told.stage(started=2e9, finished=3e9, checks=(told.check(passed=True),)))
    found = events(run)[("flights.train", "COMPLETE")]
    (read,), (written,) = found["inputs"], found["outputs"]
    assert (read["namespace"], read["name"]) == ("file", str(root / "data/table.csv"))
    assert [(one["name"], one["type"]) for one in read["facets"]["schema"]["fields"]] == [
        ("id", "integer"),
        ("late", "number"),
    ]
    assert read["facets"]["version"]["datasetVersion"] == "f" * 64
    assert read["facets"]["dataSource"]["uri"] == (root / "data/table.csv").as_uri()
    assert read["facets"]["storage"]["fileFormat"] == "csv"
    (held,) = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (held["assertion"], held["success"], held["column"]) == ("between", True, "late")
    assert written["facets"]["version"]["datasetVersion"] == "e" * 64
    assert written["outputFacets"]["outputStatistics"]["size"] == 5
    assert (found["eventTime"], found["job"]["facets"]["jobType"]["jobType"]) == (
        "2065-01-24T05:20:00+00:00",
        "STAGE",
    )
    source = found["job"]["facets"]["sourceCodeLocation"]
    assert (source["type"], source["version"], source["path"]) == ("git", "c0ffee", "notebooks/train.ipynb")


def test_a_stage_is_a_child_of_its_run(events):
    found = events(told.run(told.stage()))
    whole = found[("flights", "COMPLETE")]["run"]
    parent = found[("flights.train", "COMPLETE")]["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (whole["runId"], "flights")
    assert parent["root"]["run"]["runId"] == whole["runId"]
    assert UUID(whole["runId"]).version == 7
    assert (
        found[("flights.train", "START")]["run"]["runId"]
        == found[("flights.train", "COMPLETE")]["run"]["runId"]
    )


def test_ids_follow_from_the_run_alone():
    one = told.run(told.stage())
    assert run_id(one, "train") == run_id(replace(one, started=5.0, root="/elsewhere"), "train")
    others = [run_id(one, ""), run_id(replace(one, run="20260101-000000-abce"), "train")]
    others += [run_id(replace(one, project="other"), "train"), run_id(replace(one, run="odd"), "train")]
    assert len({run_id(one, "train"), *others}) == 5


def test_a_failure_says_what_and_where(events):
    found = events(told.run(told.failed()))
    facets = found[("flights.train", "FAIL")]["run"]["facets"]
    assert facets["errorMessage"]["message"] == (
        "notebooks/train.ipynb, cell 3, line 2: the cell raised ValueError: no"
    )
    assert found[("flights", "FAIL")]["run"]["facets"]["errorMessage"]["message"].startswith(
        "train: notebooks/"
    )
    assert "errorMessage" not in found[("flights.train", "START")]["run"]["facets"]


def test_a_check_on_an_output_that_was_not_left_stands_with_it(events):
    failed = told.check(side="output", artifact="model", check="exists", arguments=None, severity="warn")
    found = events(told.run(told.checked(checks=(failed,))))[("flights.train", "FAIL")]
    (written,) = found["outputs"]
    assert written["name"].endswith("/models/m.bin")
    (said,) = written["facets"]["dataQualityAssertions"]["assertions"]
    assert (said["success"], said["severity"], said["actual"]) == (False, "warn", failed.message)
    assert "version" not in written["facets"]


@pytest.mark.parametrize(
    ("given", "kinds"),
    [
        ({"status": "succeeded"}, {"START", "COMPLETE"}),
        ({"status": "restored"}, {"START", "COMPLETE"}),
        ({"status": "cancelled"}, {"START", "ABORT"}),
        ({"status": "blocked"}, {"ABORT"}),
        ({"status": "fresh"}, set()),
        ({"status": "", "finished": None}, {"START", "ABORT"}),
    ],
)
def test_what_becomes_of_a_stage(events, given, kinds):
    found = events(told.run(told.stage(**given), status="interrupted"))
    assert {kind for job, kind in found if job == "flights.train"} == kinds
    assert ("flights", "ABORT") in found


def test_names_of_files_and_urls(events):
    one = told.stage(
        reads={"a": ("s3://bucket/x/y.parquet",), "b": ("https://anna:pw@host.org/d.csv",)},
        fingerprint=None,
        outputs=(StoredOutput(path="data/o.csv", digest="1"),),
    )
    found = events(told.run(one), datasets="warehouse", namespace="team")[("flights.train", "COMPLETE")]
    assert [(data["namespace"], data["name"]) for data in (*found["inputs"], *found["outputs"])] == [
        ("s3://bucket", "x/y.parquet"),
        ("https://host.org", "d.csv"),
        ("warehouse", "data/o.csv"),
    ]
    assert found["job"]["namespace"] == "team"
    assert "pw" not in json.dumps(found).replace("nbpipeline", "")


def test_what_a_collector_refuses_holds_up_nothing_else(root, collector):
    whole = collector._take
    collector._take = lambda body: refuse_one(whole(body))
    run = told.run(told.stage("a"), told.stage("b"))
    settings = {"url": f"http://{collector.address}"}
    with (
        tracker(root, **settings) as opened,
        pytest.raises(RuntimeError, match=r"^1 events were refused.*422"),
    ):
        opened.send(run)
    assert len(collector.taken) == 5
    collector._take = whole
    with tracker(root, **settings) as opened:
        opened.send(run)
        opened.send(run)
    assert len(collector.taken) == 6


def refuse_one(event):
    if (event["job"]["name"], event["eventType"]) == ("flights.a", "START"):
        raise ValueError("not this one")
    return event


def test_a_collector_in_trouble_is_asked_no_further(root, collector):
    collector.status = 500
    settings = {"url": f"http://{collector.address}"}
    with tracker(root, **settings) as opened, pytest.raises(Exception, match="500"):
        opened.send(told.run(told.stage()))
    assert (collector.taken, collector.refused) == ([], [])


def test_a_key_comes_from_the_environment(root, collector, monkeypatch):
    collector.key = "k3y-k3y-k3y"
    run = told.run(told.stage())
    settings = {"url": f"http://{collector.address}", "api_key_env": "MY_KEY"}
    with tracker(root, **settings) as opened, pytest.raises(Exception, match="401"):
        opened.send(run)
    monkeypatch.setenv("MY_KEY", collector.key)
    with tracker(root, **settings) as opened:
        opened.send(run)
    assert len(collector.taken) == 4


def test_to_both(root, collector, events):
    found = events(told.run(told.stage()), url=f"http://{collector.address}", file="deep/lineage.jsonl")
    assert len(found) == len(collector.taken) == 4


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "ftp://a"}, "url: it is no HTTP address."),
        ({"url": "http://"}, "url: it is no HTTP address."),
        ({"url": "http://[::1"}, "url: it is no HTTP address."),
        ({"url": "http://anna:pw@host"}, "url: it holds a name or a password."),
        ({"namespace": " "}, "namespace: ' ' is no text."),
    ],
)
def test_settings_that_are_wrong(settings, said):
    ((what, mend),) = openlineage.complaints(settings)
    assert (what, bool(mend)) == (said, True)


DAMAGE = {
    "run id": lambda one: one["run"].update(runId="no uuid"),
    "time": lambda one: one.update(eventTime="2026-01-01"),
    "type": lambda one: one.update(eventType="DONE"),
    "job": lambda one: one["job"].pop("name"),
    "key": lambda one: one["run"].update(runID="x"),
    "facet key": lambda one: one["run"]["facets"]["processing_engine"].update(nme="x"),
    "facet type": lambda one: one["outputs"][0]["outputFacets"]["outputStatistics"].update(size="5"),
    "facet schema": lambda one: one["run"]["facets"]["parent"].update(
        _schemaURL="https://x/y.json#/$defs/RunFacet2"
    ),
    "facet producer": lambda one: one["run"]["facets"]["parent"].pop("_producer"),
    "schema": lambda one: one.update(schemaURL="https://openlineage.io/spec/9-9-9/OpenLineage.json"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_control_the_collector_refuses_what_is_no_event(events, collector, damage):
    good = events(told.run(told.stage()))[("flights.train", "COMPLETE")]
    bad = copy.deepcopy(good)
    DAMAGE[damage](bad)
    assert collector.answer("/api/v1/lineage", {}, json.dumps(good).encode()) == 201
    assert collector.answer("/api/v1/lineage", {}, json.dumps(bad).encode()) == 422, damage


@pytest.mark.parametrize(
    ("remote", "shown", "url"),
    [
        (
            "https://tok3n@git.example/a/b.git",
            "https://git.example/a/b.git",
            "https://git.example/a/b/blob/c/sub/n%20b.ipynb",
        ),
        (
            "git@git.example:a/b.git",
            "git@git.example:a/b.git",
            "https://git.example/a/b/blob/c/sub/n%20b.ipynb",
        ),
        (
            "https://u:p@git.example/a/b",
            "https://git.example/a/b",
            "https://git.example/a/b/blob/c/sub/n%20b.ipynb",
        ),
        ("/srv/b.git", "/srv/b.git", None),
        ("", "", None),
    ],
)
def test_where_the_code_is(root, remote, shown, url):
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    if remote:
        subprocess.run(["git", "-C", str(root), "remote", "add", "origin", remote], check=True)
    (root / "sub").mkdir()
    found = Repository.of(root / "sub")
    assert (found.remote, found.path_of("n b.ipynb")) == (shown, "sub/n b.ipynb")
    assert found.url_of("n b.ipynb", "c") == (url or (root / "sub/n b.ipynb").as_uri())
    assert Repository.of(root / "nowhere").remote == ""
