"""An exported flow as Prefect's own server and worker run it: deployed, triggered, failed, cancelled."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parity
import psutil
import pytest
import yaml
from builders import code, header, write_files, write_notebook
from prefect_server import Served, ended, working
from processes import outlasting

pytestmark = [pytest.mark.nightly, pytest.mark.xdist_group("target-prefect"), pytest.mark.timeout(1500)]

TRY = (
    "with marks.open('a') as file:\n    file.write('x')\nassert len(marks.read_text()) > 1, 'the first try'\n"
)
WAIT = "from pathlib import Path\nimport time\nPath(o).write_text('half')\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = parity.place_for("prefect", tmp_path_factory.mktemp("prefect"))
    with working(place) as found:
        yield found


def project(root: Path, name: str, **notebooks: tuple[str, str, str]) -> Path:
    """Write a project of notebooks, each a header, parameters, and code; gives its root."""
    schedule = 'schedule: {cron: "30 3 * * 1-5", timezone: Europe/Berlin}\n'
    write_files(root, {"pipeline.yaml": f"name: {name}\n{schedule}"})
    for stage, (head, parameters, body) in notebooks.items():
        cells = [header(head), *([code(parameters, "parameters")] if parameters else [])]
        write_notebook(root / f"notebooks/{stage}.ipynb", *cells, *([code(body)] if body else []))
    return root


def deployed(served: Served, root: Path, *options: str) -> Path:
    """Export a project and deploy it; gives the export's folder."""
    folder = parity.exported(root, "prefect", *options)
    served.done("deploy", "--all", cwd=folder)
    return folder


def ran(served: Served, name: str, folder: Path, *params: str) -> dict[str, Any]:
    """Trigger a deployment and wait for its end; gives the flow run."""
    served.prefect(
        "deployment", "run", f"{name}/default", *params, "--watch", "--watch-interval", "1", cwd=folder
    )
    return served.last_run(name)


def test_a_deployment_takes_parameters_at_the_trigger_and_leaves_artifacts(
    served: Served, root: Path
) -> None:
    write_rows = "from pathlib import Path\nPath(rows).write_text('n\\n' + '1\\n' * count)"
    project(
        root,
        "triggered",
        make=(
            "outputs: {rows: ../rows.csv}\nexpect: {rows: [{not_null: n}]}\ntags: [weekly]",
            "count: int = 1  # how many rows\nC: float = 0.5\n",
            f"{write_rows}\nprint('made')",
        ),
        use=(
            "inputs: {rows: {from: make.rows}}\noutputs: {u: ../u.txt}",
            "C: float = 2.0\nmode: str = 'a'\n",
            "from pathlib import Path\nPath(u).write_text(Path(rows).read_text() + f'{C} {mode}')",
        ),
    )
    metrics = json.loads((root / "notebooks/make.ipynb").read_text())
    metrics["cells"].append({**code("share = C / 2\nlines = count", "metrics"), "id": "m"})
    (root / "notebooks/make.ipynb").write_text(json.dumps(metrics))
    folder = deployed(served, root)

    found = served.api("deployments/name/triggered/default")
    schedule = found["schedules"][0]["schedule"]
    assert (schedule["cron"], schedule["timezone"]) == ("30 3 * * 1-5", "Europe/Berlin")
    assert found["parameters"] == {"count": 1, "make_C": 0.5, "use_C": 2.0, "mode": "a"}
    types = {name: one["type"] for name, one in found["parameter_openapi_schema"]["properties"].items()}
    assert types == {"count": "integer", "make_C": "number", "use_C": "number", "mode": "string"}
    described = found["parameter_openapi_schema"]["properties"]
    assert described["count"]["description"] == "how many rows"
    assert described["make_C"]["description"] == "`make.C`"
    assert found["work_pool_name"] == "nbpipeline"
    assert found["global_concurrency_limit"]["limit"] == 1

    nasty = 'it\'s "{{ ds }}" ${A} \\ é'
    params = ("--param", "count=3", "--param", "use_C=7.5", "--param", f"mode={json.dumps(nasty)}")
    run = ran(served, "triggered", folder, *params)
    assert run["state_type"] == "COMPLETED", served.logs(run)
    assert (root / "u.txt").read_text() == f"n\n1\n1\n1\n7.5 {nasty}"
    tasks = served.task_runs(run)
    assert set(tasks) == {"make", "use"}
    assert tasks["make"]["tags"] == ["weekly"]
    assert tasks["use"]["start_time"] > tasks["make"]["end_time"]

    left = served.artifacts(run)
    assert json.loads(left["triggered-make-metrics"]["data"]) == [
        {"metric": "share", "value": 0.25},
        {"metric": "lines", "value": 3},
    ]
    (check,) = json.loads(left["triggered-make-checks"]["data"])
    assert (check["artifact"], check["passed"]) == ("rows", True)
    assert "    count = 3\n" in left["triggered-make-result"]["data"]
    notebooks = list((root / ".nbpipeline/prefect").rglob("triggered-make.ipynb"))
    assert notebooks[0].as_uri() in left["triggered-make-notebook"]["data"]
    assert "made" in notebooks[0].read_text()

    again = ran(served, "triggered", folder, *params)
    assert again["id"] != run["id"]
    assert again["state_type"] == "COMPLETED"
    assert "fresh" in served.artifacts(again)["triggered-make-result"]["data"].splitlines()[0]

    wrong = served.prefect("deployment", "run", "triggered/default", "--param", "count=many", cwd=folder)
    assert wrong.returncode != 0, "a value of another type is refused"
    assert served.last_run("triggered")["id"] == again["id"]


def test_failures_stop_what_follows_alone_and_secrets_come_from_blocks(served: Served, root: Path) -> None:
    save = "from prefect.blocks.system import Secret; Secret(value='s3cr3t-word').save('warehouse-token')"
    done = served.place.run("python", "-c", save, cwd=served.place.scratch, **served.variables)
    assert done.returncode == 0, done.stderr
    write = "from pathlib import Path\n"
    marks = root.parent / "tries"
    project(
        root,
        "failing",
        checked=(
            "outputs: {rows: ../rows.csv}\nexpect: {rows: [{between: {column: n, max: 1}}]}\nretries: 3",
            "",
            f"{write}Path(rows).write_text('n\\n2\\n')",
        ),
        after=("inputs: {rows: ../rows.csv}\noutputs: {a: ../a.txt}", "", f"{write}Path(a).write_text('a')"),
        secret=(
            "outputs: {s: ../s.txt}\nsecrets: [WAREHOUSE_TOKEN]\nresources: {cpus: 2, memory: 100MB}",
            "",
            f"{write}import os\nword = os.environ['WAREHOUSE_TOKEN']\nprint(word)\nPath(s).write_text(str(len(word)))",
        ),
        shaky=(
            "outputs: {k: ../k.txt}\nretries: 2\nretry_delay: 1s\nretry_backoff: 2\ntimeout: 5m",
            "",
            f"{write}marks = Path({str(marks)!r})\n{TRY}Path(k).write_text('k')",
        ),
        devices=(
            "outputs: {d: ../d.txt}\nresources: {gpus: 1}",
            "",
            f"{write}Path(d).write_text('d')",
        ),
    )
    served.done("gcl", "create", "zoo-cores", "--limit", "2", cwd=root)
    served.done("gcl", "create", "zoo-memory-mb", "--limit", "200", cwd=root)
    folder = deployed(served, root, "--set", "limits=zoo")
    run = ran(served, "failing", folder)
    said = served.logs(run)
    assert run["state_type"] == "FAILED", said
    tasks = served.task_runs(run)
    states = {name: one["state_type"] for name, one in tasks.items()}
    assert states["checked"] == "FAILED"
    assert tasks["checked"]["run_count"] == 1, "a failed check is not tried again"
    assert states["after"] == "PENDING"
    assert tasks["after"]["state_name"] == "NotReady"
    assert states["secret"] == states["shaky"] == "COMPLETED", said
    assert tasks["shaky"]["run_count"] == 2
    assert states["devices"] == "FAILED", "a limit that is not there limits nothing, which is said"
    assert "zoo-gpus" in said
    assert (root / "s.txt").read_text() == str(len("s3cr3t-word"))
    assert "s3cr3t-word" not in said + json.dumps(served.artifacts(run))
    assert not (root / "a.txt").exists()
    (check,) = json.loads(served.artifacts(run)["failing-checked-checks"]["data"])
    assert check["passed"] is False


def slow_project(root: Path, name: str, pipe: Path) -> None:
    """Write a project whose first stage says that it runs, and goes on for an hour."""
    os.mkfifo(pipe)
    project(
        root,
        name,
        slow=(
            "outputs: {o: ../o.txt}\nretries: 3",
            "",
            f"{WAIT}Path({str(pipe)!r}).write_text('runs')\ntime.sleep(3600)",
        ),
        then=("inputs: {o: ../o.txt}\noutputs: {t: ../t.txt}", "", ""),
    )
    (root / "o.txt").write_text("as it was")


def ended_well(root: Path, name: str) -> bool:
    """Say whether the command was told to end, and restored what it had changed."""
    (told,) = (root / ".nbpipeline/prefect").rglob(f"{name}-slow.json")
    code = json.loads(told.read_text())["exit_code"]
    return code == 130 and (root / "o.txt").read_text() == "as it was" and not (root / "t.txt").exists()


def test_a_cancelled_flow_run_ends_its_commands_in_good_order(served: Served, root: Path) -> None:
    pipe = root.parent / "pipe"
    slow_project(root, "cancelled", pipe)
    folder = deployed(served, root)
    watching = served.start(
        "deployment", "run", "cancelled/default", "--watch", "--watch-interval", "1", cwd=folder
    )
    try:
        assert pipe.read_text() == "runs"
        commands = [one for one in psutil.process_iter(["cmdline", "cwd"]) if _is_of(one, root)]
        assert commands
        run = served.last_run("cancelled")
        served.done("flow-run", "cancel", run["id"], cwd=folder)
        assert watching.stdout is not None
        watching.stdout.read()
    finally:
        ended(watching)
    assert not outlasting(commands, 120)
    run = served.last_run("cancelled")
    assert run["state_type"] == "CANCELLED", served.logs(run)
    assert ended_well(root, "cancelled")


def test_a_flow_that_is_terminated_ends_after_its_commands(served: Served, root: Path) -> None:
    """As a container is stopped: what still runs when its first process ends is killed."""
    pipe = root.parent / "pipe"
    slow_project(root, "terminated", pipe)
    folder = parity.exported(root, "prefect")
    variables = {**served.place.environment, **served.variables}
    flow = subprocess.Popen([str(served.place.bin / "python"), "flow.py"], cwd=folder, env=variables)
    try:
        assert pipe.read_text() == "runs"
        flow.terminate()
        assert flow.wait(timeout=120) != 0
        assert ended_well(root, "terminated")
    finally:
        ended(flow)
    assert served.last_run("terminated")["state_type"] == "CRASHED"


def _is_of(process: psutil.Process, root: Path) -> bool:
    """Say whether a process is a `run-stage` of a project."""
    return process.info["cwd"] == str(root) and "run-stage" in (process.info["cmdline"] or ())


def test_a_broken_export_is_refused(served: Served, root: Path) -> None:
    """What the other tests rely on: `prefect deploy` reads what it is given."""
    project(root, "broken", one=("outputs: {o: ../o.txt}", "", ""))
    folder = parity.exported(root, "prefect")
    sound = yaml.safe_load((folder / "prefect.yaml").read_text())
    for key, value in (
        ("entrypoint", "flow.py:no_such_flow"),
        ("schedules", [{"cron": "61 3 * * *", "timezone": "UTC"}]),
        ("work_pool", {"name": "no-such-pool"}),
    ):
        wrong = {**sound, "deployments": [{**sound["deployments"][0], key: value}]}
        (folder / "prefect.yaml").write_text(yaml.safe_dump(wrong))
        assert served.prefect("deploy", "--all", cwd=folder).returncode != 0, key
    assert served.api("deployments/filter", {"flows": {"name": {"any_": ["broken"]}}}) == []


LATE = """
import subprocess, sys, threading
from flow import Cores, ended_when_late
asleep = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
with ended_when_late(asleep, 0.1) as late:
    assert asleep.wait() != 0
assert late.is_set()
quick = subprocess.Popen([sys.executable, "-c", ""])
with ended_when_late(quick, 3600.0) as late:
    assert quick.wait() == 0
assert not late.is_set()

cores, seen = Cores(3), []
def taking(wanted):
    with cores.taken(wanted):
        seen.append(cores.free)
with cores.taken(2):
    more = [threading.Thread(target=taking, args=(wanted,)) for wanted in (2, 1, 9)]
    for one in more:
        one.start()
    more[1].join()
    assert seen == [0], "one core is free, for the one that wants no more"
for one in more:
    one.join()
assert cores.free == 3 and sorted(seen) == [0, 0, 1], seen
"""


def test_a_command_that_outlives_its_limit_is_ended_and_cores_are_shared(root: Path) -> None:
    project(root, "late", one=("outputs: {o: ../o.txt}\ntimeout: 1m", "", ""))
    folder = parity.exported(root, "prefect")
    place = parity.place_for("prefect", root.parent / "scratch")
    done = place.run("python", "-c", LATE, cwd=folder, PREFECT_HOME=str(place.scratch / "prefect"))
    assert done.returncode == 0, done.stderr
