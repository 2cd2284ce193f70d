"""Which fresh instances were last told of as failed: going back mends a failure with nothing to run.

Each run carries on what the one before it knew, so that an ordinary run with nothing to do reads one row.
"""

from nbpipeline.model import Action, Plan, Status
from nbpipeline.ports import State

UNMENDED = "unmended"
"""In a run's row: the instances that were not well when it began."""
_BAD = frozenset({Status.FAILED, Status.CHECK_FAILED, Status.BLOCKED, Status.CANCELLED})


def unmended(state: State) -> frozenset[str]:
    """Name the instances that ended badly in the last run that told of them."""
    last = next(iter(state.runs(1)), None)
    if last is None:
        return frozenset()
    before = frozenset(map(str, last["data"].get(UNMENDED, ())))
    if last["status"] == "succeeded" and not before:
        return frozenset()
    results = state.results(last["run"])
    bad = {one.instance for one in results if one.status in _BAD}
    return frozenset((before - {one.instance for one in results}) | bad)


def mended(plan: Plan, unwell: frozenset[str]) -> frozenset[str]:
    """Name those of them that the plan finds fresh."""
    if not unwell:
        return unwell
    return unwell & {step.instance.id for step in plan.steps if step.action is Action.SKIP}
