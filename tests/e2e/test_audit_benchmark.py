"""The benchmark of the audit hook runs; what it measures is for a machine at rest."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "audit.py"


def test_the_benchmark_measures_each_work_in_each_way() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARK, "--files", "20", "--repeat", "1", "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"].keys() == {"opens", "again", "parses", "tables", "writes", "stats", "imports"}
    for seconds in found["seconds"].values():
        assert seconds.keys() == {"bare", "empty hook", "hook", "hook and system"}
        assert all(one > 0 for one in seconds.values())
