"""Runs as trackers are told of them, for tests of what is made of them."""

from dataclasses import replace
from typing import Any

from nbpipeline.model import Fingerprint, StoredOutput
from nbpipeline.model.told import CellLog, CheckLog, Commit, RunLog, StageLog

RUN = "20260101-000000-abcd"
ERROR = {
    "kind": "cell",
    "what": "the cell raised ValueError: no",
    "known": "",
    "mend": "see the whole of it with `nbpipeline log train`",
    "where": "notebooks/train.ipynb, cell 3, line 2",
}
CHECK = {
    "kind": "check",
    "what": "input 'table' fails a check: between: 1 of 3 rows",
    "known": "",
    "mend": "correct the data where it is made, or the check",
    "where": "notebooks/train.ipynb, cell 1, line 3",
}


def stage(name: str = "train", **given: Any) -> StageLog:
    """A stage that succeeded, and what is said otherwise."""
    usual = {
        "started": 1001.0,
        "finished": 1010.0,
        "status": "succeeded",
        "seconds": 9.0,
        "attempts": 1,
        "notebook": f"notebooks/{name.partition('[')[0]}.ipynb",
        "reads": {"table": ("data/table.csv",)},
        "writes": {"model": ("models/m.bin",)},
        "fingerprint": Fingerprint(code={"cell 2": "ab"}, inputs={"data/table.csv": "f" * 64}),
        "cells": (CellLog(cell=2, finished=1002.0, seconds=0.5, peak_memory=10**8),),
    }
    if given.get("status", "succeeded") == "succeeded":
        usual["outputs"] = (StoredOutput(path="models/m.bin", digest="e" * 64, size=5),)
    return StageLog(**{"stage": name, **usual, **given})


def failed(name: str = "train", **given: Any) -> StageLog:
    """A stage whose cell raised."""
    return stage(name, **{"status": "failed", "failure": ERROR, **given})


def check(*, passed: bool = False, **given: Any) -> CheckLog:
    """A check, by default one that does not hold."""
    usual: dict[str, Any] = {
        "side": "input",
        "artifact": "table",
        "check": "between",
        "arguments": {"column": "late", "max": 1},
        "message": "" if passed else "'late' is not at most 1 in 1 of 3 rows: row 3 (7.0)",
        "details": {} if passed else {"rows": 3, "failed": 1, "examples": [{"id": 2, "late": 7.0}]},
    }
    return CheckLog(passed=passed, **{**usual, **given})


def checked(name: str = "train", **given: Any) -> StageLog:
    """A stage that fails a check."""
    return stage(name, **{"status": "check_failed", "failure": CHECK, "checks": (check(),), **given})


def run(*stages: StageLog, **given: Any) -> RunLog:
    """A run of these stages that has ended, as they did."""
    bad = any(one.status not in {"succeeded", "restored", "fresh"} for one in stages)
    usual = RunLog(
        run=RUN,
        root="/projects/flights",
        project="flights",
        started=1000.0,
        finished=1013.0,
        status="failed" if bad else "succeeded",
        seconds=13.0,
        command="nbpipeline run",
        stages=stages,
        commit=Commit(id="c0ffee", dirty=False),
    )
    return replace(usual, **given)
