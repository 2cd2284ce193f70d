"""Two runs at once: what they have in common, and what each may do beside the other."""

import time
from pathlib import Path

import pytest
from pipelines import MAYBE, RUN, SKIP, plan_of

from nbpipeline.model import Plan
from nbpipeline.run.folder import close_run, open_run
from nbpipeline.run.rivals import rivals
from nbpipeline.run.summary import plan_to_keep

CHAIN = ["a>b", "b>c"]


def disturbed(root: Path, plan: Plan, *, done: set[str] = frozenset()) -> list[tuple[str, ...]]:
    return [one.stages for one in rivals(plan, root, lambda run: done, time.time())]


@pytest.mark.parametrize(
    ("mine", "common"),
    [
        ({"a": RUN, "b": SKIP, "c": SKIP}, "a"),  # what the other's b reads
        ({"a": SKIP, "b": MAYBE, "c": SKIP}, "b"),
        ({"a": SKIP, "b": SKIP, "c": RUN}, "b"),  # what the other makes is read
        ({"a": SKIP, "b": SKIP, "c": SKIP}, ""),
    ],
)
def test_what_two_runs_have_in_common(root: Path, mine: dict, common: str) -> None:
    theirs = plan_of({"a": SKIP, "b": RUN, "c": SKIP}, CHAIN)
    folder = open_run(root, plan_to_keep(theirs), now=time.time())
    plan = plan_of(mine, CHAIN)
    assert disturbed(root, plan) == ([(common,)] if common else [])
    assert disturbed(root, plan, done={"b"}) == []
    close_run(folder, now=time.time(), status="succeeded")
    assert disturbed(root, plan) == []


def test_apart_on_other_branches(root: Path) -> None:
    edges = ["a>b", "a>c"]
    open_run(root, plan_to_keep(plan_of({"a": SKIP, "b": RUN, "c": SKIP}, edges)), now=time.time())
    assert disturbed(root, plan_of({"a": SKIP, "b": SKIP, "c": RUN}, edges)) == []


def test_who_it_is_is_told(root: Path) -> None:
    folder = open_run(root, plan_to_keep(plan_of({"a": RUN, "b": RUN}, ["a>b"])), now=time.time())
    (one,) = rivals(plan_of({"a": RUN, "b": RUN}, ["a>b"]), root, lambda run: (), time.time())
    assert one.notice == f"waiting for run {folder.run} (process {one.pid}), which holds a, b"
    assert str(one.refusal).startswith(
        f"stage 'a' is held by another run.\n  holder: process {one.pid}, run {folder.run}, since 20"
    )
