"""Settles what dead runs left of an instance: by its journal, and without one by the names that are known."""

from collections.abc import Iterable
from pathlib import Path

from nbpipeline.errors import BusyError, StorageError
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import StageInstance
from nbpipeline.stage import asides, journal, processes, stranded
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.entries import folder_of, read
from nbpipeline.stage.lock import has_lost_holder, hold


def settle(instance: StageInstance, root: Path, backing: Backing | None = None) -> tuple[str, ...]:
    """Bring back what waits for an instance, whose lock the caller holds. Returns notices. Raises OSError."""
    told = rescue(instance, root, backing)
    return (*told, *journal.recover(root, instance.id, backing), *_without_journal(instance, root, backing))


def settle_stranded(
    instances: Iterable[StageInstance], root: Path, backing: Backing | None = None
) -> tuple[str, ...]:
    """Settle the instances whose previous outputs wait without a journal and whose lock is free.

    Returns notices.
    """
    by_id = {one.id: one for one in instances}
    notices: list[str] = []
    for instance in [by_id[name] for name in stranded.find_all(by_id.values(), root)]:
        try:
            with hold(root, instance.id):
                notices += settle(instance, root, backing)
        except BusyError:
            continue
        except (OSError, StorageError) as error:
            notices.append(f"{instance.id}: outputs could not be brought back yet: {error}")
    return tuple(notices)


def look_for_stranded(instances: Iterable[StageInstance], root: Path) -> tuple[tuple[str, str], ...]:
    """Find, without a lock, the instances that `settle_stranded` would settle, with their paths in words."""
    found = stranded.find_all(instances, root)
    return tuple((name, ", ".join(one.path for one in waiting)) for name, waiting in found.items())


def rescue(instance: StageInstance, root: Path, backing: Backing | None = None) -> tuple[str, ...]:
    """Bring back what waits for an instance whose journal a disk or a hand has damaged.

    Nothing is deleted: what stands at an output's place may be half written or newer, so it goes to
    `.nbpipeline/kept`, and so does the journal. The caller holds the instance's lock. Returns notices.
    Raises OSError.
    """
    file = folder_of(root) / f"{instance.slug}.json"
    if not file.exists() or read(file) is not None:
        return ()
    kept = stranded.place_of_kept(root, f"damaged-{file.stat().st_mtime_ns}")
    found = stranded.find(instance, root)
    _end_runs({run for one in found for run in one.runs}, root)
    back = [one.path for one in found if stranded.bring_back(one, kept, backing, instance.id)]
    asides.move(file, kept / file.name)
    said = _said(back, "no outputs waited")
    told = f"{instance.id}: the journal of a run that died could not be read; {said}"
    place = f"{STATE_FOLDER}/kept/{kept.name}"
    return (f"{told}; what stood there meanwhile and the journal are in {place}",)


def _without_journal(instance: StageInstance, root: Path, backing: Backing | None) -> tuple[str, ...]:
    """Bring back what waits although `.nbpipeline` was deleted meanwhile."""
    found = stranded.find(instance, root)
    if not found:
        return ()
    runs = sorted({run for one in found for run in one.runs})
    if has_lost_holder(root, instance.id):
        told = f"outputs that run {runs[-1]} put aside are left where they are: it goes on"
        return (f"{instance.id}: {told}, though {STATE_FOLDER} lost its journal",)
    _end_runs(runs, root)
    kept = stranded.place_of_kept(root, f"stranded-{runs[-1]}")
    back = [one.path for one in found if stranded.bring_back(one, kept, backing, instance.id)]
    said = _said(back, "nothing had to be brought back")
    told = f"{instance.id}: run {runs[-1]} died, and its journal is gone; {said}"
    stood = f"; what else stood or waited there is in {STATE_FOLDER}/kept/{kept.name}"
    return (f"{told}{stood if kept.exists() else ''}",)


def _end_runs(runs: Iterable[str], root: Path) -> None:
    """End what dead runs left running: the marks of their attempts stood in the journal."""
    for run in runs:
        processes.end_run(run, root)


def _said(back: list[str], none: str) -> str:
    return f"its previous outputs are back: {', '.join(back)}" if back else none
