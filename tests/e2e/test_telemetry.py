"""Runs told of as events, spans, metrics and alerts: by real servers, that are down at first or all along."""

import json
import os
import signal
import subprocess
import sys

import pytest
from builders import Gate, code, command, header, write_files, write_notebook
from receivers import alert_hook, lineage_collector, span_collector
from tracked import OpenLineage, OpenTelemetry, Prometheus

from nbpipeline import plugins

pytest.importorskip("openlineage.client")
pytest.importorskip("apprise")
pytest.importorskip("prometheus_client")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

pytestmark = pytest.mark.timeout(240)
SECRET = "hunter2-hunter2"
TOKEN = "t0ken-t0ken"
CLEAN = (
    code("limit = 3", "parameters"),
    code("table = '../data/table.csv'", "outputs"),
    code("open(table, 'w').write('id,late\\n' + ''.join(f'{i},{i / 2}\\n' for i in range(limit)))"),
    code("rows = limit", "metrics"),
)
TRAIN = (
    header("expect: {table: [{not_null: late}, {between: {column: late, max: 0.7}}]}"),
    code("table = '../data/table.csv'", "inputs"),
    code("model = '../data/model.txt'", "outputs"),
    code("import opentelemetry, os\nopen(model, 'w').write(os.environ.get('TRACEPARENT', 'none'))"),
)


@pytest.fixture
def root(root):
    write_notebook(root / "notebooks/clean.ipynb", *CLEAN)
    write_notebook(root / "notebooks/train.ipynb", *TRAIN)
    return root


def settled(root):
    """Give what waits for no process any more."""
    return command("runs", "--sync", cwd=root)


def held(root, *words: str) -> list[str]:
    """Name the files that hold a word, but for pipeline.yaml."""
    return [
        f"{path.relative_to(root)}: {word}"
        for path in root.rglob("*")
        for word in words
        if path.is_file() and path.name != "pipeline.yaml" and word.encode() in path.read_bytes()
    ]


@pytest.mark.heavy
def test_a_check_fails_all_are_told_and_then_it_works_again(root):
    with alert_hook() as hook:
        write_files(
            root,
            {
                "pipeline.yaml": f"""
                name: flights
                tracking: {{openlineage: {{}}, opentelemetry: {{}}, prometheus: {{}}}}
                alerts: {{urls: ["json://{hook.address}/hook?key={TOKEN}"]}}
                """
            },
        )
        bad = command("run", cwd=root)
        assert (bad.returncode, "not sent" in bad.stderr) == (4, False), bad.stderr
        settled(root)
        (first,) = hook.taken
        assert (first["title"], first["type"]) == ("flights: train fails a check", "failure")
        assert (
            "input 'table': between: 'late' is not at most 0.7 in 1 of 3 rows: row 3 (1.0)"
            in first["message"]
        )

        lineage, spans, metrics = (
            OpenLineage(root).runs(),
            OpenTelemetry(root).runs(),
            Prometheus(root).runs(),
        )
        for found in (lineage, spans, metrics):
            assert {stage: one["status"] for stage, one in found.items()} == {
                "": "bad",
                "clean": "good",
                "train": "bad",
            }
        assert (lineage["clean"]["params"], lineage["clean"]["metrics"]["rows"]) == ({"limit": "3"}, 3)
        ((path, digest, _),) = lineage["clean"]["data"]
        assert (path, digest, "input") in lineage["train"]["data"]
        assert '"success": false' in lineage["train"]["words"]
        assert [cell for cell, _ in spans["clean"]["cells"]] == [1, 2, 3, 4]

        write_notebook(root / "notebooks/clean.ipynb", code("limit = 2", "parameters"), *CLEAN[1:])
        good = command("run", cwd=root)
        assert good.returncode == 0, good.stderr
        settled(root)
        assert [one["title"] for one in hook.taken][1:] == ["flights: train works again"]
        trace = (root / "data/model.txt").read_text()
        assert trace.split("-")[2] in {
            span.span_id.hex() for span in OpenTelemetry(root).spans() if span.name == "train"
        }
        samples = Prometheus(root).samples()
        assert samples[("nbpipeline_run_status", (("status", "succeeded"),))] == 1

        told = (root / "openlineage.jsonl").read_text()
        assert command("run", cwd=root).returncode == 0  # nothing to do: nobody is told
        assert (root / "openlineage.jsonl").read_text() == told
        assert command("run", "--force", "--no-track", cwd=root).returncode == 0
        settled(root)
        assert ((root / "openlineage.jsonl").read_text(), len(hook.taken)) == (told, 2)
        assert held(root, TOKEN) == []


def test_a_failure_that_was_mended_by_going_back_is_told_as_mended(root):
    (root / "notebooks/train.ipynb").unlink()
    with alert_hook() as hook:
        text = f'name: flights\ntracking: {{prometheus: {{}}}}\nalerts: {{urls: ["json://{hook.address}/hook"]}}\n'
        (root / "pipeline.yaml").write_text(text)
        assert command("run", cwd=root).returncode == 0
        write_notebook(root / "notebooks/clean.ipynb", *CLEAN[:2], code("1 / 0"), *CLEAN[2:])
        assert command("run", cwd=root).returncode == 1
        write_notebook(root / "notebooks/clean.ipynb", *CLEAN)
        back = command("run", cwd=root)
        assert "all fresh: 1 stage, nothing to run" in back.stdout
        settled(root)
        assert [one["title"] for one in hook.taken] == ["flights: clean failed", "flights: clean works again"]
        samples = Prometheus(root).samples()
        assert samples[("nbpipeline_run_status", (("status", "failed"),))] == 0
        assert samples[("nbpipeline_stage_status", (("stage", "clean"), ("status", "fresh")))] == 1
        assert samples[("nbpipeline_stage_status", (("stage", "clean"), ("status", "failed")))] == 0
        before = (root / "nbpipeline.prom").stat().st_mtime_ns
        last = command("run", "--format", "json", cwd=root)
        assert '"stage_finished"' not in last.stdout
        assert (root / "nbpipeline.prom").stat().st_mtime_ns == before


@pytest.mark.nightly
@pytest.mark.heavy
def test_what_is_down_holds_nothing_up_and_is_told_later(root):
    with alert_hook() as hook, lineage_collector() as events, span_collector() as spans:
        write_files(
            root,
            {
                "pipeline.yaml": f"""
                name: flights
                tracking:
                  openlineage: {{url: "http://{events.address}"}}
                  opentelemetry: {{endpoint: "http://{spans.address}"}}
                alerts: {{urls: ["json://{hook.address}/hook?key={TOKEN}"]}}
                """
            },
        )
        hook.status = events.status = spans.status = 503
        done = command("run", cwd=root)
        assert done.returncode == 4
        for name in ("openlineage", "opentelemetry", "alerts"):
            assert f"note: {name}: not sent yet (" in done.stderr
        refused = settled(root)
        assert "not sent to openlineage: RetryError: " in refused.stderr
        assert (events.taken, spans.taken, hook.taken) == ([], [], [])
        hook.status = events.status = spans.status = None
        assert ": sent to openlineage, opentelemetry, alerts\n" in settled(root).stderr
        assert settled(root).stderr == ""
        keys = [(one["job"]["name"], one["eventType"]) for one in events.taken]
        assert sorted(keys) == [
            ("flights", "FAIL"),
            ("flights", "START"),
            ("flights.clean", "COMPLETE"),
            ("flights.clean", "START"),
            ("flights.train", "FAIL"),
            ("flights.train", "START"),
        ]
        assert sorted(
            span.name for request in spans.taken for span in request if "cell" not in span.name
        ) == [
            "clean",
            "flights",
            "train",
        ]
        assert (len(hook.taken), events.refused, spans.refused) == (1, [], [])
        assert held(root, TOKEN) == []


def test_secrets_reach_nobody(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        header("secrets: [TOKEN]"),
        code("import os\nhost = os.environ['TOKEN']", "parameters"),
        code("table = '../data/table.csv'", "outputs"),
        code("raise ValueError(os.environ['TOKEN'])"),
    )
    with alert_hook() as hook:
        write_files(
            root,
            {
                "pipeline.yaml": f"""
                tracking: {{openlineage: {{}}, opentelemetry: {{}}, prometheus: {{}}}}
                alerts: {{urls: "json://{hook.address}/hook"}}
                """
            },
        )
        done = command("run", cwd=root, environment={"TOKEN": SECRET})
        assert done.returncode == 1
        settled(root)
        (alert,) = hook.taken
    assert [*root.glob(".nbpipeline/runs/*/clean/attempt-1.ipynb")]
    assert not [*root.rglob("attempt-*.html")]  # nobody shows pages
    assert "the cell raised ValueError: [masked]" in alert["message"]
    assert SECRET not in json.dumps(alert)
    assert held(root, SECRET) == []


def test_a_killed_run_is_told_of_by_its_sender(root, tmp_path):
    gate = Gate(tmp_path / "gate")
    write_notebook(
        root / "notebooks/clean.ipynb",
        code("table = '../data/table.csv'", "outputs"),
        code(f"print('here', flush=True)\n{gate.wait}\nopen(table, 'w').write('1')"),
    )
    with alert_hook() as hook:
        write_files(
            root, {"pipeline.yaml": f'name: flights\nalerts: {{urls: "json://{hook.address}/hook"}}\n'}
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "nbpipeline", "run", "--format", "json"],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["kind"] == "cell_started" and event["data"]["n"] == 2:
                break
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        gate.open()
        command("doctor", cwd=root)
        settled(root)
        (alert,) = hook.taken
    assert (alert["title"], alert["type"]) == ("flights: the run was killed", "failure")
    assert "in the middle of: clean" in alert["message"]


def test_doctor_tries_whom_alerts_go_to(root):
    assert "note  alerts: nobody is to be told" in command("doctor", "--alerts", cwd=root).stdout
    with alert_hook() as hook:
        write_files(
            root,
            {
                "pipeline.yaml": f'name: flights\nalerts: {{urls: ["json://{hook.address}/hook", "json://${{NOWHERE}}/"]}}\n'
            },
        )
        done = command("doctor", "--alerts", cwd=root)
        assert done.returncode == 1
        assert "ok    alerts, URL 1 of 2: a test alert was sent\n" in done.stdout
        assert "BAD   alerts, URL 2 of 2: NOWHERE is not set in the environment\n" in done.stdout
        assert "alerts, URL" not in command("doctor", cwd=root).stdout
    assert [one["title"] for one in hook.taken] == ["flights: a test alert"]


WITHOUT = "import sys\nfor name in {names!r}: sys.modules[name] = None\n"


@pytest.mark.parametrize(
    ("settings", "library", "extra"),
    [
        ("tracking: {openlineage: {}}", "openlineage", "openlineage"),
        ("tracking: {opentelemetry: {}}", "opentelemetry", "telemetry"),
        ("tracking: {prometheus: {}}", "prometheus_client", "prometheus"),
        ("alerts: {urls: 'json://127.0.0.1:9/x'}", "apprise", "alerts"),
    ],
)
def test_what_is_not_installed_is_named_before_anything_runs(root, tmp_path, settings, library, extra):
    write_files(root, {"pipeline.yaml": settings})
    write_files(tmp_path / "lacking", {"sitecustomize.py": WITHOUT.format(names=[library])})
    done = command("run", cwd=root, environment={"PYTHONPATH": str(tmp_path / "lacking")})
    assert (done.returncode, plugins.install(extra) in done.stderr) == (5, True), done.stderr
    assert not (root / "data").exists()
