"""The real command on a small project of four stages: failures, interruptions, company, awkward names, secrets."""

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import Gate, code, command, header, write_files, write_notebook
from processes import outlasting

SIGNAL = "SIGNAL_FILE"


def build(root: Path) -> None:
    """fetch -> clean -> (train, summary); each writes one small file from what it reads."""
    write_files(root, {"pipeline.yaml": "name: small\n", "data/raw.txt": "3\n1\n2\n"})
    notebooks = root / "notebooks"
    write_notebook(
        notebooks / "fetch.ipynb",
        code('raw = "../data/raw.txt"', "inputs"),
        code('fetched = "../data/fetched.txt"', "outputs"),
        code("open(fetched, 'w').write(open(raw).read())"),
    )
    write_notebook(
        notebooks / "clean.ipynb",
        code("reverse: bool = False", "parameters"),
        code('fetched = "../data/fetched.txt"', "inputs"),
        code('cleaned = "../data/cleaned.txt"', "outputs"),
        code("lines = sorted(open(fetched).read().split(), reverse=reverse)"),
        code("open(cleaned, 'w').write('\\n'.join(lines))"),
    )
    write_notebook(
        notebooks / "train.ipynb",
        header("tags: [weekly]"),
        code('cleaned = "../data/cleaned.txt"', "inputs"),
        code('model = "../models/model.json"', "outputs"),
        code("import json\nfirst = int(open(cleaned).read().split()[0])"),
        code("score = first / 2", "metrics"),
        code("json.dump({'first': first}, open(model, 'w'))"),
    )
    write_notebook(
        notebooks / "summary.ipynb",
        code('cleaned = "../data/cleaned.txt"', "inputs"),
        code('summary = "../out/summary.txt"', "outputs"),
        code("open(summary, 'w').write(str(len(open(cleaned).read().split())))"),
    )


def run(root: Path, *arguments: str, code: int = 0, **environment: str) -> str:
    done = command("run", *arguments, cwd=root, environment=environment)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def actions(root: Path, *arguments: str) -> dict[str, str]:
    done = command("plan", "--format", "json", *arguments, cwd=root)
    assert done.returncode == 0, done.stderr
    return {one["stage"]: one["action"] for one in json.loads(done.stdout)["stages"]}


def edit(root: Path, stage: str, old: str, new: str) -> None:
    path = root / "notebooks" / f"{stage}.ipynb"
    notebook = json.loads(path.read_text())
    found = [cell for cell in notebook["cells"] if old in "".join(cell["source"])]
    assert found
    for cell in found:
        cell["source"] = "".join(cell["source"]).replace(old, new)
    path.write_text(json.dumps(notebook))


def start(root: Path, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "--format", "json", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def events(process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def wait_for_line(process: "subprocess.Popen[str]", kind: str, stage: str, **data: Any) -> None:
    """Read events until one is as described; that is the moment the test waits for."""
    for event in events(process):
        if event["kind"] == kind and event["stage"] == stage and data.items() <= event["data"].items():
            return
    raise AssertionError(f"no {kind} of {stage}: {process.stderr and process.stderr.read()}")


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, error = process.communicate(timeout=60)
    return process.returncode, output + error


def slow(root: Path) -> None:
    """Make train write half of its model and then wait until somebody ends it."""
    edit(
        root,
        "train",
        "json.dump({'first': first}, open(model, 'w'))",
        "import threading\nopen(model, 'w').write('half')\nthreading.Event().wait(300)",
    )


@pytest.fixture
def small(root: Path) -> Path:
    build(root)
    return root


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ran") / "project"
    root.mkdir()
    build(root)
    run(root)
    return root


def model(root: Path) -> Any:
    return json.loads((root / "models/model.json").read_text())


# --- the ordinary course --------------------------------------------------------------------------


@pytest.mark.children
def test_run_edit_run_revert(small: Path) -> None:
    assert set(actions(small).values()) == {"run"}
    text = run(small)
    assert "train: score = 0.5" in text
    assert "results: out/summary.txt, models/model.json" in text
    assert "4 ran in " in text
    assert run(small).strip() == "all fresh: 4 stages, nothing to run"

    edit(small, "clean", "reverse: bool = False", "reverse: bool = True")
    assert actions(small) == {"fetch": "skip", "clean": "run", "train": "maybe", "summary": "maybe"}
    told = command("plan", cwd=small).stdout
    assert "parameter reverse: false -> true" in told
    assert "1 to run, 2 to run if what they read changes, 1 fresh" in told
    run(small)
    assert model(small) == {"first": 3}

    edit(small, "clean", "reverse: bool = True", "reverse: bool = False")
    text = run(small)
    assert "ran" not in text.rpartition("results")[2].partition(" in ")[0]
    assert model(small) == {"first": 1}
    assert set(actions(small).values()) == {"skip"}


@pytest.mark.children
def test_selectors(small: Path) -> None:
    done = command("run", "train", cwd=small)
    assert done.returncode == 3
    assert "data/cleaned.txt" in done.stderr
    assert "run it too: `nbpipeline run +train`" in done.stderr
    assert "3 ran" in run(small, "+train")
    assert actions(small, "summary") == {"summary": "run"}
    assert actions(small, "tag:weekly", "--force") == {"train": "run"}
    assert actions(small, "+summary", "--exclude", "fetch") == {"clean": "skip", "summary": "run"}
    assert "1 ran" in run(small, "notebooks/train.ipynb", "--force", "--only")
    assert "1 to run" in run(small, "--dry-run")
    assert not (small / "out/summary.txt").exists()


def test_what_is_stale_before_the_selection_is_said(green: Path) -> None:
    edit(green, "clean", "reverse: bool = False", "reverse: bool = True")
    done = command("plan", "train", cwd=green)
    assert "clean: stale, and not part of this; `+` before a stage takes what it needs along" in done.stderr


def test_parameters_and_profiles(small: Path) -> None:
    write_files(small, {"pipeline.yaml": "name: small\nprofiles: {turned: {params: {reverse: true}}}\n"})
    run(small, "+train", "--profile", "turned")
    assert model(small) == {"first": 3}
    shown = command("show", "clean", "--profile", "turned", cwd=small).stdout
    assert "parameter  value\nreverse    true\n" in shown
    run(small, "+train", "--profile", "turned", "-p", "clean.reverse=false")
    assert model(small) == {"first": 1}
    wrong = command("run", "-p", "clean.revers=true", cwd=small)
    assert wrong.returncode == 2
    assert "did you mean 'reverse'" in wrong.stderr


@pytest.mark.children
def test_the_event_stream_is_whole(small: Path) -> None:
    done = command("run", "--format", "json", "-j", "1", cwd=small)
    assert done.returncode == 0
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["seq"] for one in found] == list(range(1, len(found) + 1))
    assert (found[0]["kind"], found[-1]["kind"]) == ("run_started", "run_finished")
    on_disk = (small / ".nbpipeline/runs" / found[0]["run"] / "events.jsonl").read_text()
    assert on_disk == done.stdout
    first = [one["kind"] for one in found if one["stage"] == "fetch"]
    assert first == [
        "stage_started",
        "attempt_started",
        *["cell_started", "cell_finished"] * 3,
        "stage_finished",
    ]


# --- failures -------------------------------------------------------------------------------------


def test_a_failing_cell(green: Path) -> None:
    edit(green, "clean", "lines = sorted", "open(cleaned, 'w').write('half')\nlines = 1 / 0\nlines = sorted")
    text = run(green, code=1)
    assert "clean failed\nnotebooks/clean.ipynb, cell 4, line 2: " in text
    assert "ZeroDivisionError: division by zero" in text
    assert "nbpipeline debug clean" in text
    assert "1 failed" in text
    executed = text.partition("executed notebook: ")[2].splitlines()[0]
    outputs = [cell.get("outputs") for cell in json.loads((green / executed).read_text())["cells"]]
    assert any(one["output_type"] == "error" for found in outputs if found for one in found)
    assert (green / "data/cleaned.txt").read_text() == "1\n2\n3"
    rejected = list((green / ".nbpipeline/runs").glob("*/clean/rejected-1/data/cleaned.txt"))
    assert [one.read_text() for one in rejected] == ["half"]
    plan = command("plan", cwd=green).stdout
    assert "last attempt failed" in plan


def test_keep_going_runs_what_does_not_depend_on_the_failure(small: Path) -> None:
    edit(small, "train", "import json", "import json\nraise ValueError('no')")
    text = run(small, "--keep-going", "-j", "1", code=1)
    assert "1 failed" in text
    assert (small / "out/summary.txt").read_text() == "3"


def test_a_failed_check_exits_4_and_hides_the_output(small: Path) -> None:
    write_notebook(
        small / "notebooks" / "table.ipynb",
        header("expect: {table: [{rows: {min: 3}}]}"),
        code('table = "../data/table.csv"', "outputs"),
        code("open(table, 'w').write('a\\n1\\n')"),
    )
    text = run(small, "table", code=4)
    assert "failed a check" in text
    assert not (small / "data/table.csv").exists()


def test_an_input_that_nobody_makes(small: Path) -> None:
    (small / "data/raw.txt").unlink()
    checked = command("check", cwd=small)
    assert (checked.returncode, "data/raw.txt" in checked.stderr) == (0, True)
    assert command("check", "--strict", cwd=small).returncode != 0
    done = command("run", cwd=small)
    assert done.returncode == 3
    assert "data/raw.txt" in done.stderr
    assert not list(small.glob(".nbpipeline/runs/*"))


def test_every_complaint_is_told_at_once(small: Path) -> None:
    edit(small, "train", 'model = "../models/model.json"', 'model = "../data/cleaned.txt"')
    write_notebook(small / "notebooks" / "odd.ipynb", header("retires: 2"), code("x = 1", "parameters"))
    (small / "notebooks" / "torn.ipynb").write_text("{")
    done = command("check", "--format", "json", cwd=small)
    found = json.loads(done.stdout)
    assert done.returncode == 2
    places = {one["where"]["path"] for one in found["errors"]}
    assert {"notebooks/odd.ipynb", "notebooks/torn.ipynb"} <= places


# --- interruptions --------------------------------------------------------------------------------


@pytest.mark.children
def test_ctrl_c_restores_and_exits_130(green: Path) -> None:
    slow(green)
    process = start(green)
    wait_for_line(process, "cell_started", "train", cell=6)
    process.send_signal(signal.SIGINT)
    code, text = finish(process)
    assert code == 130, text
    assert model(green) == {"first": 1}
    statuses = [json.loads(line) for line in text.splitlines() if '"run_finished"' in line]
    assert statuses[0]["data"]["status"] == "interrupted"
    assert not list(green.rglob(".*.nbpipeline-*"))


def test_ctrl_c_twice_kills(green: Path) -> None:
    slow(green)
    edit(
        green,
        "train",
        "threading.Event().wait(300)",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nthreading.Event().wait(300)",
    )
    process = start(green)
    wait_for_line(process, "cell_started", "train", cell=6)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, text = finish(process)
    assert code == 130, text
    assert model(green) == {"first": 1}
    alive = outlasting(children, 15)
    assert not alive


def test_sigterm_is_as_ctrl_c(green: Path) -> None:
    slow(green)
    process = start(green)
    wait_for_line(process, "cell_started", "train", cell=6)
    process.terminate()
    assert finish(process)[0] == 130
    assert model(green) == {"first": 1}


def test_killed_and_run_again(green: Path) -> None:
    slow(green)
    process = start(green)
    wait_for_line(process, "cell_started", "train", cell=6)
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    finish(process)
    alive = outlasting(children, 15)
    assert not alive, "no kernel outlives its runner"
    looked = command("doctor", "--no-fix", cwd=green)
    assert (looked.returncode, "dead runs left outputs aside: train" in looked.stdout) == (1, True)
    edit(green, "train", "open(model, 'w').write('half')\nthreading.Event().wait(300)", "")
    edit(green, "train", "import threading", "json.dump({'first': first}, open(model, 'w'))")
    text = run(green)
    assert "previous outputs are back: models/model.json" in text
    assert model(green) == {"first": 1}
    assert command("doctor", cwd=green).returncode == 0


# --- company --------------------------------------------------------------------------------------


@pytest.mark.children
def test_a_second_run_says_who_holds_a_stage_or_waits(green: Path) -> None:
    slow(green)
    gate = Gate(green.parent / "gate")
    edit(
        green,
        "train",
        "threading.Event().wait(300)",
        gate.wait + "\njson.dump({'first': first}, open(model, 'w'))",
    )
    process = start(green)
    wait_for_line(process, "cell_started", "train", cell=6)
    try:
        second = command("run", cwd=green)
        assert second.returncode == 7
        assert f"stage 'train' is held by another run.\n  holder: process {process.pid}" in second.stderr
        assert "give `--wait`" in second.stderr
        assert "1 ran" in run(green, "summary", "--force"), "what it does not hold goes on"
        assert actions(green)["train"] == "run", "plan takes no lock"
        waiting = start(green, "--wait")
        wait_for_line(waiting, "notice", "")
    finally:
        gate.open()
    assert finish(process)[0] == 0
    code, text = finish(waiting)
    assert code == 0, text
    assert '"kind": "stage_started"' not in text, "what the first run made is fresh when the wait is over"


# --- names and secrets ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "Größe übung's",
        *(
            pytest.param(name, marks=pytest.mark.heavy)
            for name in ("two words", 'it is "quoted"', "-leading dash", "per%cent & co", "{brace} #ash")
        ),
    ],
    ids=str,
)
def test_awkward_names(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    path = f"../{name}/{name}.txt"
    write_notebook(
        root / name / f"{name}.ipynb", code(f"out = {path!r}", "outputs"), code("open(out, 'w').write('x')")
    )
    write_notebook(
        root / name / "reader.ipynb",
        code(f"source = {path!r}", "inputs"),
        code("assert open(source).read() == 'x'"),
    )
    write_files(root, {"pipeline.yaml": f"notebooks: [{json.dumps(name + '/*.ipynb')}]\n"})
    run(root)
    assert (root / name / f"{name}.txt").read_text() == "x"
    assert set(actions(root).values()) == {"skip"}
    (root / name / f"{name}.txt").unlink()
    assert "1 restored" in run(root)


SECRET = "s3cr3t/p@ss wörd"


def forms(secret: str) -> Sequence[str]:
    return (
        secret,
        urllib.parse.quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    )


def test_secrets_are_masked_everywhere(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "secretive.ipynb",
        header("secrets: [TOKEN]\nretries: 1"),
        code('out = "../out.txt"', "outputs"),
        code(
            """
            import base64, json, os, sys, urllib.parse
            token = os.environ["TOKEN"]
            print(token, urllib.parse.quote(token, safe=""), json.dumps(token))
            print(base64.b64encode(token.encode()).decode())
            sys.stdout.write(token[:5]); sys.stdout.flush(); sys.stdout.write(token[5:] + "\\n")
            open(out, "w").write("done")
            """
        ),
        code("{'token': token}"),
        code("raise ValueError(token)"),
    )
    done = command("run", "--format", "json", cwd=root, environment={"TOKEN": SECRET})
    assert done.returncode == 1, done.stdout + done.stderr
    told = command("show", "secretive", cwd=root).stdout + command("log", "secretive", cwd=root).stdout
    assert "[masked]" in told
    written = {path: path.read_bytes() for path in (root / ".nbpipeline").rglob("*") if path.is_file()}
    assert len([path for path in written if path.name.startswith("attempt-")]) == 2
    texts = {
        **written,
        Path("stdout"): done.stdout.encode(),
        Path("stderr"): done.stderr.encode(),
        Path("told"): told.encode(),
    }
    leaks = [
        (str(path), form) for path, data in texts.items() for form in forms(SECRET) if form.encode() in data
    ]
    assert leaks == []


def test_a_missing_secret_is_named(root: Path) -> None:
    write_notebook(root / "notebooks" / "s.ipynb", header("secrets: [TOKEN_THAT_IS_NOT_SET]"), code("x = 1"))
    assert "TOKEN_THAT_IS_NOT_SET" in run(root, code=1)
