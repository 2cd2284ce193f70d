"""Where a worker does its jobs: a folder a job, laid out from the store, with kernels that stay warm.

A desk belongs to one run in one worker. Its seats are project folders of their own, as many as jobs go on
side by side; a seat is cleared after each job and taken again, so the next kernel is forked from what is
loaded already.
"""

import atexit
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from nbpipeline import tracking
from nbpipeline.apart import logged
from nbpipeline.apart.shipping import Returned, collected
from nbpipeline.apart.survey import Survey, refusal, refuse_other
from nbpipeline.apart.withheld import completed
from nbpipeline.errors import StorageError
from nbpipeline.fingerprint import state_digest
from nbpipeline.kernels.resolve import kernel_of
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import (
    Failure,
    Imported,
    Job,
    KernelNeed,
    ProjectSpec,
    StageRecord,
    StageResult,
    StageSpec,
    Status,
    StoredOutput,
    slug_of,
)
from nbpipeline.ports import Cancel, Emit
from nbpipeline.run.folder import state_folder
from nbpipeline.stage.environment import expected_environment
from nbpipeline.stage.places import absolute
from nbpipeline.values import dataclass
from nbpipeline.worker import Workplace, carried_out

IDLE = 300.0
"""Seconds after which a desk that is not used gives its kernels up."""
_STAYS = "state.db"
"""How names begin of what a seat remembers: digests, facts of sources; no results of consequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coming:
    """A kernel that the run will ask for."""

    spec: StageSpec
    """Without its cells."""
    imports: tuple[Imported, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FarWork:
    """Fills `ports.Work` on another machine; picklable. `job.root` is the worker's own folder."""

    run: str
    project: ProjectSpec
    """Without stages, and without what only the near side does."""
    survey: Survey
    """What a worker is asked before its first job, where it was not before all."""
    kernels: str = ""
    untracked: tuple[str, ...] = ()
    """Trackers that are not told of this run: what a notebook logs to them itself stays with its papers."""
    coming: tuple[Coming, ...] = ()

    def __call__(self, job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        """Do a job. Raises MissingPluginError, ExecutorError where this worker is unlike the plan's."""
        complaints = self.survey.first_time(self.run, job.root)
        complaints = complaints or refuse_other(job.instance, job.fingerprint.environment)
        if complaints:
            raise refusal(complaints)
        with _desk_of(self, Path(job.root)).seat() as seat:
            return seat.done(job, emit, cancel)


class Desk:
    """The seats of one run in one worker."""

    def __init__(self, work: FarWork, home: Path) -> None:
        """Make nothing yet."""
        self._work = work
        self.home = home
        self._free: list[Seat] = []
        self._count = 0
        self._busy = 0
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    @contextmanager
    def seat(self) -> Iterator["Seat"]:
        """Give a seat that nobody has."""
        with self._lock:
            self._busy += 1
            if self._timer is not None:
                self._timer.cancel()
            free = self._free.pop() if self._free else None
            if free is None:
                self._count += 1
            number = self._count
        seat = free or Seat(self._work, self.home, number)
        try:
            yield seat
        finally:
            with self._lock:
                self._busy -= 1
                if not seat.spoilt:
                    self._free.append(seat)
                if not self._busy:
                    self._timer = threading.Timer(IDLE, self.close)
                    self._timer.daemon = True
                    self._timer.start()
            if seat.spoilt:
                with suppress(Exception):  # as in `close`
                    seat.close()

    def close(self) -> None:
        """Close the seats that nobody has."""
        with self._lock:
            free, self._free = self._free, []
        for one in free:
            with suppress(Exception):  # nobody is there to hear of it
                one.close()


class Seat:
    """A project's folder in a worker, with its kernels, for one job after the other."""

    def __init__(self, work: FarWork, home: Path, number: int) -> None:
        """Open nothing yet."""
        self._work = work
        # Another desk of the run may have stood here before: no two have a folder in common.
        self.base = home / "seats" / f"{work.run}-{number}-{uuid.uuid4().hex[:8]}"
        self.root = self.base / slug_of(work.project.name)
        self.spoilt = False
        """Something of a job could not be removed: the next one shall not find it."""
        self._store = work.survey.supply.opened(home)
        self._stack = ExitStack()
        self._place: Workplace | None = None

    def close(self) -> None:
        """End the kernels, and remove the folder."""
        try:
            self._stack.close()
        finally:
            shutil.rmtree(self.base, ignore_errors=True)

    def done(self, job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        """Do a job here; its outputs and record are in the store then, its papers in the result."""
        folder = self.root / STATE_FOLDER / "runs" / job.run / job.instance.slug
        environment = logged.placed(completed(job.environment), folder)
        if self._work.untracked:
            environment |= tracking.link.apart(self._work.untracked, job.imports, folder / "untracked")
        job = replace(job, root=str(self.root), folder=str(folder), environment=environment)
        try:
            before = self._finished_before(job)
            if before is not None:
                return before
            result = self._lived(job, emit, cancel)
            papers, left = collected(folder)
        finally:
            self.spoilt = not self._cleared()
        told = [*result.notices]
        if left:
            told.append(f"too much to bring back from the worker: {', '.join(left)}")
        if self.spoilt:
            told.append(f"the worker's folder {self.base} could not be cleared; it is not used again")
        values = {one.name: getattr(result, one.name) for one in fields(StageResult)}
        return Returned(**{**values, "notices": tuple(told)}, papers=papers)

    def _finished_before(self, job: Job) -> StageResult | None:
        """Give the result that a worker which is lost by now had of this job in this run."""
        found = self._store.ask_record(job.instance.id, state_digest(job.fingerprint))
        if found is None or found.run != job.run:
            return None
        record = replace(found, state=state_digest(found.fingerprint))
        return StageResult(
            instance=job.instance.id,
            status=Status.SUCCEEDED,
            attempts=record.attempt,
            seconds=record.seconds,
            record=record,
            notices=(
                "its worker was lost just after it had finished: the executed notebook was not brought here",
            ),
        )

    def _lived(self, job: Job, emit: Emit, cancel: Cancel) -> StageResult:
        try:
            place = self._opened()
            self._lay_out(job)
            result = carried_out(job, place, emit, cancel)
            if result.record is not None:
                place.store.finish()
                self._share(result.record)
        except StorageError as error:
            one = error.complaints[0]
            failure = Failure(kind="storage", what=one.what, known=one.known, mend=one.mend)
            return StageResult(instance=job.instance.id, status=Status.FAILED, failure=failure)
        return result

    def _share(self, record: StageRecord) -> None:
        self._store.share(one for one in record.outputs if one.stored)

    def _opened(self) -> Workplace:
        """Open the project's folder, once; its kernels with the first job."""
        self.root.mkdir(parents=True, exist_ok=True)
        if self._place is None:
            project = replace(self._work.project, root=str(self.root))
            place = Workplace(project, self._work.kernels, store=self._store)
            self._place = self._stack.enter_context(place)
            place.expect(lambda: [_need(one, self.root) for one in self._work.coming])
        return self._place

    def _lay_out(self, job: Job) -> None:
        """Put the job's files where it reads them. Raises StorageError."""
        state_folder(self.root)
        spec = job.instance.spec
        for one in job.files:
            if not self._laid(one, absolute(self.root, one.path)):
                raise StorageError.of(
                    f"{one.path} could not be brought from the store at {self._work.survey.supply.name}.",
                    mend="see that the workers reach it; then run again",
                )
        for folder in (spec.working_folder, spec.notebook.folder):
            absolute(self.root, folder).mkdir(parents=True, exist_ok=True)

    def _laid(self, one: StoredOutput, target: Path) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_dir():
            return self._store.get(one, target)
        beside = self.base / uuid.uuid4().hex  # kernels wait in a folder that is to be filled
        try:
            there = self._store.get(one, beside)
            if there:
                shutil.copytree(beside, target, dirs_exist_ok=True, symlinks=True)
            return there
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _cleared(self) -> bool:
        """Remove what the job and its files were; what it learned of sources stays. Says whether all went."""
        state = self.root / STATE_FOLDER
        stays = {state, *(one for one in _entries(state) if one.name.startswith(_STAYS))}
        for coming in self._work.coming:  # kernels wait there: a new folder of the same name is not theirs
            folder = absolute(self.root, coming.spec.working_folder)
            stays |= {folder, *folder.parents}
        try:
            _empty(self.root, stays)
        except OSError:
            return False
        return True


def _empty(folder: Path, stays: Collection[Path]) -> None:
    """Remove all in a folder but what stays. Raises OSError."""
    for one in _entries(folder):
        if one in stays:
            _empty(one, stays)
        elif one.is_dir() and not one.is_symlink():
            shutil.rmtree(one, onerror=_opened_up)
        else:
            one.unlink(missing_ok=True)


def _opened_up(act: Callable[[str], Any], path: str, error: Any) -> None:
    """Remove what a notebook made read-only (a clone's objects, say). Raises OSError."""
    shut = [one for one in (Path(path).parent, Path(path)) if _is_shut(one)]
    for one in shut:
        one.chmod(0o700)
    if not shut:  # it is something else, which no second look mends
        raise error[1]
    if act in (os.unlink, os.rmdir):
        act(path)
    else:  # it could not be looked into
        shutil.rmtree(path, onerror=_opened_up)


def _is_shut(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and folder.stat().st_mode & 0o700 != 0o700  # noqa: PLR2004 - as chmod has it


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _need(one: Coming, root: Path) -> KernelNeed:
    return KernelNeed(
        kernel=kernel_of(one.spec)[0],
        folder=str(absolute(root, one.spec.working_folder)),
        environment=expected_environment(one.spec, root),
        imports=one.imports,
    )


# --- the desks of this process -----------------------------------------------------------------

_desks: dict[Path, Desk] = {}
_lock = threading.Lock()


def _desk_of(work: FarWork, home: Path) -> Desk:
    """Give the run's desk; those of other runs give up what they do not use."""
    with _lock:
        if not _desks:
            atexit.register(_close_all)
        names = [name for name, one in _desks.items() if name != home / work.run and one.home == home]
        others = [_desks.pop(name) for name in names]  # one that is in use closes when it is idle
        desk = _desks.setdefault(home / work.run, Desk(work, home))
    for one in others:
        one.close()
    return desk


def _close_all() -> None:
    for one in tuple(_desks.values()):
        one.close()
