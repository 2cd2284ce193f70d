"""`Project.sharing`: results pushed to a store far away, pulled from it, and verified."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from pathlib import Path

from nbpipeline import upkeep
from nbpipeline.api.planning import Wanted, plan_wanted
from nbpipeline.model import Pipeline, StageRecord
from nbpipeline.selection import select
from nbpipeline.worker import Workplace, local_store

Opened = Callable[[], AbstractContextManager[tuple[Pipeline, Workplace]]]
ByHand = Callable[[Pipeline, Workplace, set[str]], AbstractContextManager[None]]


class Sharing:
    """What a team does with the store that it shares. All methods raise what those of `Project` do."""

    def __init__(self, opened: Opened, by_hand: ByHand) -> None:
        """Work on the project that `opened` opens."""
        self._opened = opened
        self._by_hand = by_hand

    def push(
        self,
        *what: str,
        to: str = "",
        everything: bool = False,
        moved: Callable[[int], None] | None = None,
    ) -> "upkeep.sharing.Pushed":
        """Push the last results of stages, or of those that make files; by default of all, and what waits.

        `to` is a URL or a folder, by default pipeline.yaml's; `everything` pushes all that the local store
        has on record. `moved` hears of bytes on their way. Raises UsageError where no such store is named, or
        nothing is on record.
        """
        with self._opened() as (pipeline, place):
            store = upkeep.sharing.far_store(pipeline.project, to, place.store)
            records: Iterable[StageRecord]
            if everything:
                records = store.near.records()
            else:
                chosen = _chosen(pipeline, what)
                last = place.state.last_records()
                found = upkeep.sharing.results_of(store.near, last, chosen)
                records = [*found, *(() if what else store.outbox.waiting())]
                if not records:
                    raise upkeep.sharing.nothing_to_push(place.state.notices)
            return upkeep.sharing.push(store, records, moved or _deaf)

    def pull(
        self,
        *what: str,
        source: str = "",
        in_place: bool = True,
        moved: Callable[[int], None] | None = None,
    ) -> "upkeep.sharing.Pulled":
        """Bring the results of the present state here and, where `in_place`, the outputs to their places.

        Runs nothing. `source` is a URL or a folder, by default pipeline.yaml's.
        """
        with self._opened() as (pipeline, place):
            store = upkeep.sharing.far_store(pipeline.project, source, place.store)
            place.store = store
            plan = plan_wanted(pipeline, place, Wanted(selectors=_chosen(pipeline, what)))[1]
            count, found = upkeep.sharing.fetch(store, plan, moved or _deaf)
            paths: tuple[str, ...] = ()
            notices: tuple[str, ...] = ()
            if in_place and found:
                with self._by_hand(pipeline, place, {instance.id for instance, _ in found}):
                    root = Path(pipeline.project.root)
                    restored = upkeep.byhand.bring_back(found, place.backends(), root, time.time())
                paths, notices = restored.paths, restored.notices
            return upkeep.sharing.Pulled(
                source=store.transfer.far.name,
                bytes=count,
                paths=paths,
                fresh=sum(1 for one in plan.steps if one.fresh),
                lacking=upkeep.sharing.lacking(plan, found),
                notices=notices,
            )

    def verify(
        self, *, remote: bool = False, fix: bool = True, moved: Callable[[int], None] | None = None
    ) -> tuple["upkeep.sharing.Verified", ...]:
        """Check all objects of the local store by digest and, with `remote`, all that are far away.

        With `fix`, what is damaged is had anew from the other side where that has it, else removed.
        """
        with self._opened() as (pipeline, place):
            near = local_store(pipeline.project)
            far = upkeep.sharing.far_store(pipeline.project, "", place.store) if remote else None
            named = upkeep.sharing.names_of([*near.records(), *place.state.last_records().values()])
            here = upkeep.sharing.verify_near(near, far, named, fix=fix)
            if far is None:
                return (here,)
            return here, upkeep.sharing.verify_far(far, named, moved or _deaf, fix=fix)

    def dvc(self, *what: str, to: str = "") -> "upkeep.dvc.Written":
        """Write the outputs of stages, or files, for DVC; `to` is a DVC remote's folder or URL.

        By default the bytes go to the cache of the DVC repository around the project. Raises UsageError where
        there is none, and for an output that is not as its run left it.
        """
        with self._opened() as (pipeline, place):
            last = place.state.last_records()
            records = [last[name] for name in _chosen(pipeline, what) if name in last]
            outputs = {one.path for record in records for one in record.outputs}
            only = outputs.intersection(what) if outputs.issuperset(what) else set()
            return upkeep.dvc.write(pipeline.project, records, only, place.digests, to)


def _chosen(pipeline: Pipeline, what: Iterable[str]) -> tuple[str, ...]:
    """Name the instances that are meant, in run order. Raises UsageError."""
    makers = {path: one.id for one in pipeline for output in one.outputs for path in output.paths}
    asked = tuple(makers.get(one, one) for one in what)
    chosen = select(pipeline, asked)
    return tuple(one.id for one in pipeline if one.id in chosen)


def _deaf(_count: int) -> None:
    """Hear what moves."""
