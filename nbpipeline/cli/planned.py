"""A plan in words."""

from collections import Counter
from collections.abc import Iterator

from nbpipeline.cli.wording import counted, table
from nbpipeline.model import Action, Plan, Step
from nbpipeline.plan.explain import words

_COUNTS = {
    Action.RUN: "to run",
    Action.RESTORE: "to restore",
    Action.MAYBE: "to run if what they read changes",
    Action.SKIP: "fresh",
}


def plan_lines(plan: Plan, *, everything: bool = False) -> Iterator[str]:
    """Say each stage that is not fresh with its action and reasons, then how many there are of which."""
    shown = [one for one in plan.steps if everything or not one.fresh]
    rows = [(one.action.value, one.instance.id, "; ".join(_reasons(one))) for one in shown]
    yield from table(rows)
    counts = Counter(one.action for one in plan.steps)
    if not plan.steps:
        yield "no stages: a stage is a notebook with a header or a tagged cell (see `nbpipeline new --help`)"
    elif counts[Action.SKIP] == len(plan.steps):
        yield f"all fresh: {counted(len(plan.steps), 'stage')}, nothing to run"
    else:
        yield ", ".join(f"{counts[action]} {word}" for action, word in _COUNTS.items() if counts[action])


def _reasons(step: Step) -> list[str]:
    return [words(one) for one in step.reasons]
