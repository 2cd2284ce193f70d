"""Plans what selectors name, with a word about what is stale before them."""

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from nbpipeline import plugins, upkeep
from nbpipeline.errors import BusyError, Complaint, UsageError
from nbpipeline.location import on_one_line
from nbpipeline.model import Event, Pipeline, Plan
from nbpipeline.plan import Planner, accept
from nbpipeline.ports import Cancel, Emit
from nbpipeline.run.claim import by_hand, claim, open_for
from nbpipeline.run.folder import RunFolder
from nbpipeline.run.preflight import lacking
from nbpipeline.run.rivals import Ended, Rival, Sight, look, rivals
from nbpipeline.run.standing import asides, damaged
from nbpipeline.selection import before, select
from nbpipeline.stage import journal
from nbpipeline.stage.lock import PATIENCE
from nbpipeline.stage.rescue import look_for_stranded, settle_stranded
from nbpipeline.values import dataclass
from nbpipeline.worker import Workplace

_SHOWN_REFUSALS = 3


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that others see, with its plan still to be carried out."""

    planner: Planner
    plan: Plan
    folder: RunFolder


def begin_apart(
    pipeline: Pipeline, place: Workplace, wanted: Wanted, tell: Emit | None, cancel: Cancel
) -> Begun:
    """Plan, once dead runs are settled, and begin as soon as no other run has to do with what is planned.

    With `tell` it waits until it is so and says for whom, else it raises BusyError. Raises as `plan_wanted`
    and `claim`.
    """
    root = Path(pipeline.project.root)
    place.plan_tells = True
    settled = list(_settled_first(pipeline, place))
    ended = done_with(place)
    while True:
        seen = look(root, ended, time.time())
        settled += journal.replay(root, place.backing)
        planner, plan = plan_wanted(pipeline, place, wanted)
        plan = replace(plan, notices=(*settled, *plan.notices))
        if cancel.level:  # it starts nothing
            return Begun(planner=planner, plan=plan, folder=open_for(plan, root))
        found = _claimed(plan, root, seen, ended, cancel, wait=tell is not None)
        if isinstance(found, RunFolder):
            return Begun(planner=planner, plan=plan, folder=found)
        if found and tell is None:
            raise found[0].refusal
        for one in found:
            _tell_waiting(one, tell)
        while found and rivals(plan, root, ended, time.time()) and not cancel.level:
            time.sleep(PATIENCE)


def _claimed(
    plan: Plan, root: Path, seen: Sight, ended: Ended, cancel: Cancel, *, wait: bool
) -> RunFolder | tuple[Rival, ...]:
    """Claim; where that is given up since the run is cancelled, it is to be planned anew, which sees it."""
    try:
        return claim(plan, root, seen, ended, wait=wait, give_up=lambda: cancel.level > 0)
    except BusyError:
        if not cancel.level:
            raise
        return ()


def done_with(place: Workplace) -> Ended:
    """Read from the history which instances a run has done with."""
    return lambda run: {one.instance for one in place.state.results(run)}


def _tell_waiting(rival: Rival, tell: Emit | None) -> None:
    if tell is not None:
        tell(Event(kind="notice", run="", time=time.time(), data={"text": rival.notice}))


def _never_begun(root: Path) -> bool:
    """Whether no stage began since `.nbpipeline` was made: it may stand where another was deleted."""
    return not journal.folder_of(root).exists()


def _settled_first(pipeline: Pipeline, place: Workplace) -> tuple[str, ...]:
    """Bring back what dead runs left aside whose journals were deleted, once for a new `.nbpipeline`."""
    root = Path(pipeline.project.root)
    return settle_stranded(pipeline, root, place.backing) if _never_begun(root) else ()


def told_ahead(pipeline: Pipeline, place: Workplace, wanted: Wanted) -> Plan:
    """Plan, which takes no lock, and say what other runs have put aside and what its run is refused for."""
    plan = plan_wanted(pipeline, place, wanted)[1]
    place.plan_tells = True
    root = Path(pipeline.project.root)
    notices = [
        f"{name}: a run died, and its journal is gone; previous outputs wait under hidden names: {paths}; "
        "the next run or `nbpipeline doctor` brings them back"
        for name, paths in (look_for_stranded(pipeline, root) if _never_begun(root) else ())
    ]
    notices += [one.notice for one in asides(root, time.time())]
    notices += damaged(root)
    if not pipeline.project.tracking.keys() <= plugins.BUILT_IN["trackers"].keys():
        notices += [f"{one.what} {one.mend}" for one in upkeep.trackers.unknown(pipeline.project)]
    if not notices:  # else what is missing may stand aside
        notices = [f"this run would be refused: {one}" for one in _refused(lacking(plan, root))]
    return replace(plan, notices=(*plan.notices, *notices)) if notices else plan


def _refused(complaints: Sequence[Complaint]) -> Iterator[str]:
    """Say why, a line each; many are counted."""
    for one in complaints[:_SHOWN_REFUSALS]:
        yield on_one_line(f"{one.where}: {one.what.rstrip('.')}; {one.mend}")
    more = len(complaints) - _SHOWN_REFUSALS
    if more > 0:
        inputs = "input is" if more == 1 else "inputs are"
        yield f"{more} more {inputs} not there: see `nbpipeline check`"


def fetched(pipeline: Pipeline, place: Workplace, name: str) -> tuple[str, ...]:
    """Bring the inputs of one instance that others made and that are not here; gives the paths.

    Raises MissingInputError, BusyError.
    """
    before_it = select(pipeline, [f"+{name}"]) - {name}
    accepted = accept.Accepted(accept.read(Path(pipeline.project.root)))
    results = _planner(pipeline, place, accepted, before_it, frozenset()).results()
    instance, root = pipeline.instances[name], Path(pipeline.project.root)
    wanted = upkeep.fetching.wanting(pipeline, instance, results, place.digests)
    if not wanted:
        return ()
    with by_hand({one.maker.id for one in wanted}, pipeline, root, done_with(place)):
        return upkeep.fetching.bring(wanted, place.backends(), root)


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


def mark_accepted(pipeline: Pipeline, place: Workplace, stage: str, because: str) -> tuple[str, ...]:
    """Mark what changed in a stage's instances as harmless; gives their ids. Raises UsageError."""
    plan = plan_wanted(pipeline, place, Wanted(selectors=[stage], only=True))[1]
    changed = [(one.instance.id, accept.acceptable(one.reasons)) for one in plan.steps]
    marked = [(name, reasons) for name, reasons in changed if reasons]
    if not marked:
        raise UsageError.of(
            f"nothing that could be accepted has changed in '{stage}'.",
            mend=f"see what makes it stale: nbpipeline plan {stage}",
        )
    for name, reasons in marked:
        acceptance = accept.acceptance(name, because, reasons, time.time())
        accept.add(Path(pipeline.project.root), acceptance)
    return tuple(name for name, _ in marked)
