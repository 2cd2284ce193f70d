"""Plans what selectors name, with a word about what is stale before them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nbpipeline.errors import UsageError
from nbpipeline.model import Pipeline, Plan
from nbpipeline.plan import Planner, accept
from nbpipeline.selection import before, select
from nbpipeline.worker import Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a command line selects."""

    selectors: Sequence[str] = ()
    exclude: Sequence[str] = ()
    only: bool = False
    force: bool = False


def plan_wanted(pipeline: Pipeline, place: Workplace, wanted: Wanted) -> tuple[Planner, Plan]:
    """Plan the selection. Raises UsageError for a selector that names nothing, ReadingError."""
    chosen = select(pipeline, wanted.selectors, exclude=wanted.exclude, only=wanted.only)
    accepted = accept.Accepted(accept.read(Path(pipeline.project.root)))
    planner = _planner(pipeline, place, accepted, chosen, chosen if wanted.force else frozenset())
    plan = planner.plan()
    hidden = frozenset(before(pipeline, chosen)) if wanted.selectors else frozenset()
    if hidden:
        unseen = _planner(pipeline, place, accepted, hidden, frozenset()).plan()
        stale = ", ".join(one.instance.id for one in unseen.steps if not one.fresh)
        notice = f"{stale}: stale, and not part of this; `+` before a stage takes what it needs along"
        plan = replace(plan, notices=(*plan.notices, *([notice] if stale else [])))
    return planner, plan


def _planner(
    pipeline: Pipeline,
    place: Workplace,
    accepted: accept.Accepted,
    selected: frozenset[str],
    forced: frozenset[str],
) -> Planner:
    return Planner(
        pipeline,
        fingerprinter=place.fingerprinter,
        state=place.state,
        store=place.store,
        digests=place.digests,
        root=Path(pipeline.project.root),
        accepted=accepted,
        selected=selected,
        forced=forced,
    )


def part_of(pipeline: Pipeline, ids: Collection[str]) -> Pipeline:
    """Cut some instances out of their pipeline."""
    return replace(
        pipeline,
        instances={name: one for name, one in pipeline.instances.items() if name in ids},
        edges=tuple(one for one in pipeline.edges if one.upstream in ids and one.downstream in ids),
    )


def only_one(pipeline: Pipeline, stage: str) -> str:
    """Find the one instance that is meant. Raises UsageError."""
    found = select(pipeline, [stage], only=True)
    if len(found) != 1:
        raise UsageError.of(
            f"'{stage}' is not one instance.",
            known=f"instances: {', '.join(one for one in pipeline.instances if one in found)}",
            mend="name one of these",
        )
    return next(iter(found))
