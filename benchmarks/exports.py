"""How long Airflow takes to parse an exported DAG: `python -m benchmarks.exports [--stages N] [--repeat N]`.

Airflow lives in the environment that tests/runners/airflow.lock pins, made once. Prints the processor's
seconds of `DagBag`, with what is loaded once there already: the median of the repetitions. The wish is 2 s
for 1,000 stages.
"""

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "targets")]

import parity  # noqa: E402
from runners.airflow import prepared  # noqa: E402
from test_airflow import big  # noqa: E402

from nbpipeline.exporters import airflow  # noqa: E402
from nbpipeline.model.exported import ExportGiven  # noqa: E402

PARSE = """
import json, sys, time
from airflow.sdk import DAG, Asset, BaseOperator, CronTriggerTimetable, Param
from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.dag_processing.dagbag import DagBag
found = []
for _ in range(int(sys.argv[2])):
    begun = time.process_time()
    bag = DagBag(sys.argv[1])
    found.append(time.process_time() - begun)
    assert not bag.import_errors, bag.import_errors
print(json.dumps(found))
"""


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stages", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = parity.place_for("airflow", Path(folder) / "scratch")
        dags = Path(folder) / "dags"
        dags.mkdir()
        (dags / "big_dag.py").write_text(airflow.render(big(given.stages), ExportGiven())["big_dag.py"])
        variables = prepared(place, Path(folder) / "home", dags)
        done = place.run("python", "-c", PARSE, str(dags), str(given.repeat), cwd=Path(folder), **variables)
        if done.returncode:
            sys.exit(done.stderr)
        seconds = json.loads(done.stdout.splitlines()[-1])
    median = statistics.median(seconds)
    print(f"{given.stages} stages: {median:.2f} s of the processor (median of {given.repeat})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
