"""What is special of Airflow: its scheduler with the LocalExecutor, Assets, Params, how files are parsed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import parity
import pytest
from airflow_serving import Api, airflow_serving, left_of, until
from builders import Gate, code, command, header, write_files, write_notebook
from runners.airflow import prepared

from nbpipeline.exporters import airflow
from nbpipeline.model import Resources
from nbpipeline.model.exported import ExportGiven, Schedule, Setting, Task, Workflow

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3000), pytest.mark.xdist_group("target-airflow")]

MANY = 1000
PARSED = """
import json, sys
from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, Param
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.dag_processing.dagbag import DagBag
sys.path.insert(0, sys.argv[1])
from counting import calls_of
found = []
for folder in sys.argv[2:]:
    bags = []
    calls = calls_of(lambda: bags.append(DagBag(folder)))
    (bag,) = bags
    found.append([calls, sum(len(dag.tasks) for dag in bag.dags.values()), [*bag.import_errors]])
print(json.dumps(found))
"""

READ = """
import json, sys
import pendulum
from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
from kubernetes.client import ApiClient
bag = DagBag(sys.argv[1])
assert not bag.import_errors, bag.import_errors
pod = bag.dags["w"].tasks[0].executor_config["pod_override"]
read = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["w"]))
begin, found = pendulum.datetime(2026, 3, 27), []
for _ in range(2):
    limits = TimeRestriction(earliest=begin, latest=None, catchup=True)
    after = read.timetable.next_dagrun_info(last_automated_data_interval=None, restriction=limits).run_after
    found.append(after.in_timezone("UTC").isoformat())
    begin = after.add(minutes=1)
assets = [asset.uri for _, asset in read.timetable.asset_condition.iter_assets()]
print(json.dumps([found, assets, ApiClient().sanitize_for_serialization(pod)]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> parity.Place:
    return parity.place_for("airflow", tmp_path_factory.mktemp("scratch"))


def big(size: int) -> Workflow:
    tasks = []
    for number in range(size):
        before = tuple(f"stage{one}" for one in range(max(0, number - 3), number))
        tasks.append(
            Task(
                id=f"stage{number}",
                stage=f"stage{number}",
                description="What it does",
                notebook=f"notebooks/stage{number}.ipynb",
                upstream=before,
                inputs=tuple(f"data/{one}.csv" for one in before),
                outputs=(f"data/stage{number}.csv",),
                retries=1,
                retry_delay=30.0,
                timeout=600.0,
            )
        )
    rate = Setting(name="rate", stages=("stage1",), types=("float",), default=0.5)
    return Workflow(name="big", tasks=tuple(tasks), settings=(rate,))


def test_a_file_of_a_thousand_stages_is_parsed_at_a_cost_that_follows_them(
    place: parity.Place, tmp_path: Path
) -> None:
    """Counted: how long it takes is said by `python -m benchmarks.exports`."""
    sizes = (2, 200, 600, MANY)  # the first loads what is loaded once
    folders = [tmp_path / f"dags{size}" for size in sizes]
    for size, folder in zip(sizes, folders, strict=True):
        write_files(folder, {"big_dag.py": airflow.render(big(size), ExportGiven())["big_dag.py"]})
    variables = prepared(place, tmp_path / "home", folders[0])
    here = str(Path(__file__).parents[1])
    done = place.run("python", "-c", PARSED, here, *map(str, folders), cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [(tasks, errors) for _, tasks, errors in found] == [(size, []) for size in sizes]
    _, first, second, third = (calls for calls, _, _ in found)
    assert third - second < 1.2 * (second - first)


def test_airflow_reads_the_clock_the_assets_and_the_pods(place: parity.Place, tmp_path: Path) -> None:
    resources = Resources(cpus=2, memory=4_000_000_000, gpus=1)
    task = Task(id="a", stage="a", inputs=("raw.csv",), resources=resources)
    clock = Schedule(cron="30 3 * * 1-5", timezone="Europe/Berlin")
    workflow = Workflow(name="w", tasks=(task,), schedule=clock)
    given = ExportGiven(options={"executor": "kubernetes", "assets": "all", "project": "/srv/w"})
    write_files(tmp_path / "dags", {"w_dag.py": airflow.render(workflow, given)["w_dag.py"]})
    variables = prepared(place, tmp_path / "home", tmp_path / "dags")
    done = place.run("python", "-c", READ, str(tmp_path / "dags"), cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    following, assets, pod = json.loads(done.stdout.splitlines()[-1])
    assert following == [
        "2026-03-27T02:30:00+00:00",
        "2026-03-30T01:30:00+00:00",
    ]  # the clocks changed between
    assert assets == ["file:///srv/w/raw.csv"]
    (container,) = pod["spec"]["containers"]
    limits = {"memory": "4000000000", "nvidia.com/gpu": "1"}
    assert container["resources"] == {"limits": limits, "requests": {"cpu": "2000m", **limits}}


def test_its_own_time_limit_ends_the_command_and_what_that_has_started(
    place: parity.Place, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "gate")
    project = tmp_path / "project"
    write_files(project, {"pipeline.yaml": "name: endless\n", "s.txt": "old"})
    write_notebook(
        project / "notebooks/slow.ipynb",
        header("outputs: {s: ../s.txt}\ntimeout: 1h"),
        code(f"from pathlib import Path\nPath(s).write_text('half')\n{gate.wait}"),
    )
    folder = parity.exported(project, "airflow")
    file = folder / "endless_dag.py"
    text = file.read_text()
    assert "timedelta(seconds=10800.0)" in text
    file.write_text(text.replace("timedelta(seconds=10800.0)", "timedelta(seconds=40)"))
    variables = prepared(place, tmp_path / "home", folder)
    done = place.run("airflow", "dags", "test", "endless", cwd=folder, **variables)
    assert done.returncode != 0
    assert "AirflowTaskTimeout" in done.stdout + done.stderr
    assert (project / "s.txt").read_text() == "old"
    assert left_of(tmp_path / "home") == []


# --- a scheduler -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Company:
    """Three pipelines on one Airflow."""

    root: Path
    api: Api
    gate: Gate


def clean_and_report(root: Path) -> None:
    write_files(root, {"flights/pipeline.yaml": "name: flights\n", "report/pipeline.yaml": "name: report\n"})
    write_notebook(
        root / "flights/notebooks/clean.ipynb",
        header(
            "outputs: {rows: ../data/rows.csv}\nexpect: {rows: [{not_null: n}]}\nsecrets: [WAREHOUSE_TOKEN]\n"
            "retries: 1\ntimeout: 10m"
        ),
        code("year: int = 2013", "parameters"),
        code(
            "import os\nfrom pathlib import Path\n"
            "Path(rows).write_text(f'n\\n{year}\\n{len(os.environ[\"WAREHOUSE_TOKEN\"])}\\n')"
        ),
        code("count = 2", "metrics"),
    )
    write_notebook(
        root / "report/notebooks/sum.ipynb",
        header(
            f"inputs: {{rows: {root}/flights/data/rows.csv}}\noutputs: {{sum: ../sum.txt}}\nsecrets: [REPORT_PASSWORD]"
        ),
        code(
            "import os\nfrom pathlib import Path\n"
            "Path(sum).write_text('sum of ' + Path(rows).read_text() + str(len(os.environ['REPORT_PASSWORD'])))"
        ),
    )


def trouble(root: Path, gate: Gate) -> None:
    write_files(root, {"trouble/pipeline.yaml": "name: trouble\n"})
    write_notebook(
        root / "trouble/notebooks/checked.ipynb",
        header("outputs: {t: ../t.csv}\nexpect: {t: [{not_null: n}]}\nretries: 3"),
        code("from pathlib import Path\nPath(t).write_text('n,m\\n1,1\\n,2\\n')"),
    )
    write_notebook(
        root / "trouble/notebooks/slow.ipynb",
        header("outputs: {s: ../s.txt}\nretries: 2\nretry_delay: 1s"),
        code("hold: bool = False", "parameters"),
        code(
            "from pathlib import Path\nPath(s).write_text('whole' if not hold else 'half')\n"
            f"if hold:\n    Path({str(root / 'begun')!r}).touch()\n    {gate.wait}"
        ),
    )


@pytest.fixture(scope="module")
def company(place: parity.Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    root = tmp_path_factory.mktemp("company")
    gate = Gate(root / "gate")
    clean_and_report(root)
    trouble(root, gate)
    for name, options in (
        ("flights", ["--set", "secrets=variables"]),
        ("report", ["--set", "assets=all", "--set", "secrets=connections"]),
        ("trouble", []),
    ):
        done = command("export", "airflow", "-o", str(root / "dags" / name), *options, cwd=root / name)
        assert done.returncode == 0, done.stderr
    given = {
        "AIRFLOW_VAR_WAREHOUSE_TOKEN": "0123456789abcdef",
        "AIRFLOW_CONN_REPORT_PASSWORD": '{"conn_type": "generic", "password": "0123456789"}',
    }
    with airflow_serving(place, root / "dags", given) as api:
        for name in ("flights", "report", "trouble"):
            until(lambda name=name: api.get(f"dags/{name}").get("dag_id"), f"{name} is known")
        assert left_of(place.scratch / "airflow")
        yield Company(root, api, gate)
    until(lambda: not left_of(place.scratch / "airflow"), "no process is left")


def runs_of(api: Api, dag: str) -> list[str]:
    return [one["dag_run_id"] for one in api.get(f"dags/{dag}/dagRuns").get("dag_runs", [])]


def test_one_pipeline_starts_another_by_its_asset(company: Company) -> None:
    api, root = company.api, company.root
    run = api.trigger("flights", year=2014)
    assert api.ended("flights", run) == {"clean": "success", "flights": "success"}
    assert (root / "flights/data/rows.csv").read_text() == "n\n2014\n16\n"
    (second,) = until(lambda: runs_of(api, "report"), "the other DAG has begun")
    assert second.startswith("asset_triggered")
    assert api.ended("report", second) == {"sum": "success", "report": "success"}
    assert (root / "report/sum.txt").read_text() == "sum of n\n2014\n16\n10"
    shown_of_a_task(company, run)
    again = api.trigger("flights", year=2014)
    assert api.ended("flights", again) == {"clean": "skipped", "flights": "success"}
    assert api.xcom("flights", again, "clean", "status") == "fresh"
    assert len(api.get("assets/events")["asset_events"]) == 2  # of the first run, and of the report
    assert runs_of(api, "report") == [second]


def shown_of_a_task(company: Company, run: str) -> None:
    api = company.api
    assert api.xcom("flights", run, "clean", "metrics") in ({"count": 2}, '{"count": 2}')
    assert "not_null" in str(api.xcom("flights", run, "clean", "checks"))
    notebook = Path(api.xcom("flights", run, "clean", "notebook"))
    assert notebook.is_relative_to(company.root / "flights/.nbpipeline/executed/flights")
    assert "2014" in notebook.read_text()
    log = api.log("flights", run, "clean")
    assert f"Executed notebook: {notebook}" in log
    assert "0123456789abcdef" not in log
    events = api.get("assets/events")["asset_events"]
    (event,) = [one for one in events if one["source_dag_id"] == "flights"]
    assert len(event["extra"]["digest"]) == 64
    assert event["extra"]["bytes"] == 10


def test_a_value_of_a_wrong_type_is_refused_before_anything_runs(company: Company) -> None:
    before = runs_of(company.api, "flights")
    wrong = {"logical_date": None, "conf": {"year": "soon"}}
    answer = company.api.ask("POST", "dags/flights/dagRuns", json=wrong)
    assert answer.status_code in (400, 422)
    assert runs_of(company.api, "flights") == before


def test_a_failed_check_fails_at_once_and_an_ended_task_restores(company: Company) -> None:
    api, root = company.api, company.root
    first = api.trigger("trouble")
    assert api.ended("trouble", first) == {"checked": "failed", "slow": "success", "trouble": "failed"}
    tries = {one["task_id"]: one["try_number"] for one in api.tasks("trouble", first)}
    assert tries == {"checked": 1, "slow": 1}
    assert "not to be tried again" in api.log("trouble", first, "checked")
    second = api.trigger("trouble", hold=True)
    until((root / "begun").exists, "its cell has begun")
    ended = api.ask("PATCH", f"dags/trouble/dagRuns/{second}", json={"state": "failed"})
    assert ended.ok, ended.text
    result = root / f"trouble/.nbpipeline/executed/trouble/{second}/slow-1.json"
    until(result.exists, "the command was told, and has ended")
    assert json.loads(result.read_text())["exit_code"] == 130
    assert (root / "trouble/s.txt").read_text() == "whole"
    states = api.ended("trouble", second)
    assert (states["slow"], states["trouble"]) == ("failed", "failed")
