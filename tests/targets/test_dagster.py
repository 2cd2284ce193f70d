"""The exported definitions as Dagster reads and runs them: assets, checks that block, a second run, the schedule."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import parity
import pytest
from builders import code, header, write_files, write_notebook

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900), pytest.mark.xdist_group("target-dagster")]
HOME = {"DAGSTER_DISABLE_TELEMETRY": "1"}
RUN = """
import json, sys
from datetime import datetime
import dagster as dg
from definitions import defs

def run(settings):
    done = defs.resolve_job_def("rows").execute_in_process(
        run_config={"resources": {"parameters": {"config": settings}}}, raise_on_error=False, instance=instance
    )
    made = {}
    for event in done.get_asset_materialization_events():
        found = event.step_materialization_data.materialization
        made[found.asset_key.to_user_string()] = {
            **{key: one.value for key, one in found.metadata.items()}, "version": found.tags.get("dagster/data_version")
        }
    checks = [[one.check_name, one.passed, one.severity.name] for one in done.get_asset_check_evaluations()]
    steps = {}
    for event in done.all_events:
        if event.event_type_value.startswith("STEP_"):
            steps.setdefault(event.step_key, []).append(event.event_type_value)
    return {"ok": done.success, "made": made, "checks": checks, "steps": steps}

instance = dg.DagsterInstance.ephemeral()
(schedule,) = defs.schedules
context = dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 3, 30, 3, 30))
ticks = len(schedule.evaluate_tick(context).run_requests)
found = [run(one) for one in ({"many": 5}, {}, {})]
refused = []
for wrong in ({"many": "two"}, {"nosuch": 1}):
    try:
        run(wrong)
    except dg.DagsterInvalidConfigError as error:
        refused.append(str(error))
print(json.dumps([schedule.cron_schedule, schedule.execution_timezone, ticks, refused, *found]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> parity.Place:
    return parity.place_for("dagster", tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rows")
    settings = "name: rows\nschedule: {cron: '30 3 * * 1-5', timezone: Europe/Berlin}\n"
    write_files(root, {"pipeline.yaml": settings})
    write_notebook(
        root / "notebooks/make.ipynb",
        header(
            "outputs: {rows: ../rows.csv}\nretries: 2\n"
            "expect: {rows: [{not_null: n}, {between: {column: n, max: 3}}, {rows: {max: 1}, severity: warn}]}"
        ),
        code("many: int = 2", "parameters"),
        code("open(rows, 'w').write('n\\n' + ''.join(f'{one}\\n' for one in range(many)))"),
        code("share = many / 4", "metrics"),
    )
    write_notebook(
        root / "notebooks/use.ipynb",
        header("inputs: {rows: ../rows.csv}\noutputs: {used: ../used.txt}"),
        code("open(used, 'w').write(open(rows).read())"),
    )
    return parity.exported(root, "dagster")


def test_the_definitions_are_valid_and_broken_ones_are_refused(folder: Path, place: parity.Place) -> None:
    text = (folder / "definitions.py").read_text()
    broken = text.replace('deps=["rows_csv"]', 'deps=["used_txt"]')  # it waits for itself
    assert broken != text
    (folder / "broken.py").write_text(broken)

    def validated(name: str) -> Any:
        words = ["dagster", "definitions", "validate", "-f", name]
        home = place.scratch / name
        home.mkdir()
        return place.run(*words, cwd=folder, DAGSTER_HOME=str(home), **HOME)

    with ThreadPoolExecutor(2) as pool:
        good, bad = pool.map(validated, ("definitions.py", "broken.py"))
    assert good.returncode == 0, good.stdout + good.stderr
    assert bad.returncode == 1
    assert "used_txt" in bad.stdout + bad.stderr


def test_a_failed_check_blocks_and_a_second_run_makes_nothing(folder: Path, place: parity.Place) -> None:
    done = place.run("python", "-c", RUN, cwd=folder, **HOME)
    assert done.returncode == 0, done.stdout + done.stderr
    cron, zone, ticks, refused, failed, good, again = json.loads(done.stdout.splitlines()[-1])
    assert (cron, zone, ticks) == ("30 3 * * 1-5", "Europe/Berlin", 1)
    assert len(refused) == 2, refused
    root = folder.parents[1]

    assert not failed["ok"]
    assert failed["made"] == {}
    assert ["rows_between", False, "ERROR"] in failed["checks"]
    assert ["rows_not_null", True, "ERROR"] in failed["checks"]
    assert failed["steps"]["run_rows_csv"][-1] == "STEP_FAILURE"
    assert "STEP_UP_FOR_RETRY" not in failed["steps"]["run_rows_csv"]
    assert "run_used_txt" not in failed["steps"]

    assert good["ok"]
    assert good["steps"]["run_used_txt"][-1] == "STEP_SUCCESS"
    assert {key: one["status"] for key, one in good["made"].items()} == {
        "rows_csv": "succeeded",
        "used_txt": "succeeded",
    }
    rows = good["made"]["rows_csv"]
    assert (rows["share"], rows["bytes"], rows["version"]) == (0.5, 6, rows["digest"])
    assert (root / rows["executed notebook"]).is_file()
    assert ["rows_between", True, "ERROR"] in good["checks"]
    assert ["rows_rows", False, "WARN"] in good["checks"]

    assert again["ok"]
    assert {one["status"] for one in again["made"].values()} == {"fresh"}
    assert [one["version"] for one in again["made"].values()] == [
        one["version"] for one in good["made"].values()
    ]
    assert ["rows_between", True, "ERROR"] in again["checks"]
