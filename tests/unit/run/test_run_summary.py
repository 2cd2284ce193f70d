"""What a script is told of a run."""

import pytest

from nbpipeline.location import Location
from nbpipeline.model import Failure, RunResult, StageResult, Status
from nbpipeline.run.summary import counts, exit_code, result_to_json, run_status


def result_of(*found: Status, interrupted: bool = False) -> RunResult:
    results = tuple(StageResult(instance=f"s{number}", status=one) for number, one in enumerate(found))
    return RunResult(run="r", folder="", results=results, seconds=1.0, interrupted=interrupted)


@pytest.mark.parametrize(
    ("found", "interrupted", "code", "status"),
    [
        ((), False, 0, "succeeded"),
        ((Status.FRESH, Status.SUCCEEDED, Status.RESTORED), False, 0, "succeeded"),
        ((Status.FAILED, Status.BLOCKED), False, 1, "failed"),
        ((Status.CHECK_FAILED, Status.BLOCKED), False, 4, "failed"),
        ((Status.CHECK_FAILED, Status.FAILED), False, 1, "failed"),
        ((Status.FAILED, Status.CANCELLED), True, 130, "interrupted"),
    ],
)
def test_exit_code_and_status(found, interrupted, code, status):
    result = result_of(*found, interrupted=interrupted)
    assert exit_code(result) == code
    assert run_status(result.results, interrupted=interrupted) == status


def test_counts_and_failures():
    assert counts(result_of(Status.SUCCEEDED, Status.FRESH, Status.SUCCEEDED).results) == {
        "fresh": 1,
        "succeeded": 2,
    }
    failure = Failure(
        kind="cell",
        what="boom",
        mend="fix it",
        where=Location(path="n.ipynb", cell=2, line=3),
        traceback="long",
    )
    data = result_to_json(
        StageResult(instance="a", status=Status.FAILED, seconds=1.23456, attempts=2, failure=failure)
    )
    assert data == {
        "status": "failed",
        "seconds": 1.235,
        "attempts": 2,
        "failure": {
            "kind": "cell",
            "what": "boom",
            "known": "",
            "mend": "fix it",
            "where": "n.ipynb, cell 2, line 3",
            "cell": 2,
            "line": 3,
        },
    }
