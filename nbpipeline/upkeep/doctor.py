"""`nbpipeline doctor`: what is wrong with the installation and the project's folder, and what was mended."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from nbpipeline.errors import NbpipelineError
from nbpipeline.kernels import plain, registry
from nbpipeline.kernels.refusals import Refusals
from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import ProjectSpec, StageInstance
from nbpipeline.run.folder import (
    close_run,
    is_running,
    kept_runs,
    read_control,
    runs_folder,
    state_folder,
)
from nbpipeline.stage import journal, lock
from nbpipeline.stage.rescue import look_for_stranded, settle_stranded
from nbpipeline.upkeep import installation, plug_ins, sharing, trackers
from nbpipeline.upkeep.alerting import tried_alerts
from nbpipeline.upkeep.finding import Finding
from nbpipeline.upkeep.telling import untold
from nbpipeline.worker import Workplace

_LITTLE = 1_000_000_000
"""Bytes free under which a run may well end with a full disk."""


def examine(
    project: ProjectSpec, instances: Sequence[StageInstance], *, fix: bool, alerts: bool = False
) -> tuple[Finding, ...]:
    """Look at everything, `instances` as far as they can be linked; without `fix`, touch nothing.

    With `alerts`, send a test alert to whom failures are told.
    """
    root = Path(project.root)
    parts = (
        ("Python", installation.python()),
        ("kernels", installation.kernels(project)),
        ("plug-ins", plug_ins.findings()),
        ("trackers", trackers.findings(project)),
        (STATE_FOLDER, _folder(root, fix=fix)),
        ("history", _history(project, fix=fix)),
        ("store", _far_store(project)),
        ("warm kernels", _warm_kernels(project, fix=fix)),
        ("journals", _stranded(project, instances, fix=fix)),
        ("journals", _journals(project, fix=fix)),
        ("locks", _locks(root)),
        ("runs", _runs(root, fix=fix)),
        ("trackers", untold(root)),
        ("kept kernels", _kept(root)),
        ("sockets", _sockets(fix=fix)),
        ("disk", _disk(root)),
        *([("alerts", tried_alerts(project))] if alerts else ()),
    )
    return tuple(one for subject, part in parts for one in _finished(subject, part))


def _finished(subject: str, part: Iterator[Finding]) -> Iterator[Finding]:
    """Give a part's findings; what refuses to be looked at or mended is one of them."""
    try:
        yield from part
    except NbpipelineError as error:
        yield _refusal(subject, error)
    except OSError as error:
        named = f": {error.filename}" if error.filename else ""
        yield Finding(
            subject=subject,
            state="bad",
            what=f"refused: {error.strerror or error}{named}",
            mend="make room, or give yourself the right to write there; then nbpipeline doctor",
        )


def _warm_kernels(project: ProjectSpec, *, fix: bool) -> Iterator[Finding]:
    """Look at what can be forked; what is remembered of it only where the history may be opened."""
    path = Path(project.root) / STATE_FOLDER / "state.db"
    if fix and os.path.lexists(path) and not _damage(path):
        with Workplace(project) as place:
            yield from installation.warm_kernels(project, Refusals(place.state))
    else:
        yield from installation.warm_kernels(project, Refusals())


def _folder(root: Path, *, fix: bool) -> Iterator[Finding]:
    """See that the project's own folder can be written and that git leaves it alone."""
    folder = root / STATE_FOLDER
    ignore = folder / ".gitignore"
    if not os.path.lexists(folder):
        yield Finding(subject=STATE_FOLDER, state="good", what="not made yet; the first run makes it")
        return
    if not folder.exists():
        what = f"a link that leads nowhere: {folder.readlink()}"
        mend = "make the folder that it leads to, or remove the link"
        yield Finding(subject=STATE_FOLDER, state="bad", what=what, mend=mend)
        return
    lacking = not ignore.exists()
    if lacking and fix:
        try:
            state_folder(root)
        except NbpipelineError as error:
            yield _refusal(STATE_FOLDER, error)
            return
        yield Finding(subject=STATE_FOLDER, state="mended", what="its .gitignore was gone and is back")
    elif lacking:
        yield Finding(
            subject=STATE_FOLDER, state="bad", what="git does not ignore it", mend="nbpipeline doctor --fix"
        )
    if os.access(folder, os.W_OK | os.X_OK):
        yield Finding(subject=STATE_FOLDER, state="good", what="writable")
    else:
        mend = f"give yourself the right to write {folder}"
        yield Finding(subject=STATE_FOLDER, state="bad", what="cannot be written", mend=mend)


def _history(project: ProjectSpec, *, fix: bool) -> Iterator[Finding]:
    path = Path(project.root) / STATE_FOLDER / "state.db"
    if not os.path.lexists(path):
        yield Finding(subject="history", state="good", what="empty")
        return
    damage = _damage(path)
    if not fix:
        mend = "nbpipeline doctor --fix moves it aside and begins anew; the store still knows the results"
        yield Finding(
            subject="history",
            state="bad" if damage else "good",
            what=damage or "sound",
            mend=mend if damage else "",
        )
        return
    try:
        with Workplace(project) as place:
            told = place.state.notices
            count = len(place.state.last_records())
            freed = place.store.trim(None)
    except NbpipelineError as error:
        yield _refusal("history", error)
        return
    for notice in told:
        yield Finding(subject="history", state="mended", what=notice)
    yield Finding(subject="history", state="good", what=f"{count} stages on record")
    swept = f"; {freed} bytes of broken-off writes removed" if freed else ""
    yield Finding(subject="store", state="good", what=f"readable{swept}")


def _far_store(project: ProjectSpec) -> Iterator[Finding]:
    """Ask the store far away something, as a run would: within the time that a request has there."""
    if sharing.far_url(project):
        far = sharing.far_store(project, "", None).transfer.far
        far.read("records/doctor")
        yield Finding(subject="store", state="good", what=f"{far.name} answers")


def _damage(path: Path) -> str:
    """Say what is wrong with the state file, without touching it; empty where nothing is."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        return f"damaged: {error}"
    return "" if found == "ok" else f"damaged: {found}"


def _stranded(project: ProjectSpec, instances: Sequence[StageInstance], *, fix: bool) -> Iterator[Finding]:
    """Bring back the outputs that dead runs left aside, whose journals are gone or damaged."""
    root = Path(project.root)
    waiting = look_for_stranded(instances, root)
    if not waiting:
        return
    if fix:
        with Workplace(project) as place:
            for notice in settle_stranded(instances, root, place.backing):
                yield Finding(subject="journals", state="mended", what=notice)
        return
    named = ", ".join(f"{name} ({paths})" for name, paths in waiting)
    yield Finding(
        subject="journals",
        state="bad",
        what=f"outputs that dead runs left aside wait without a journal: {named}",
        mend="nbpipeline doctor --fix",
    )


def _journals(project: ProjectSpec, *, fix: bool) -> Iterator[Finding]:
    """Bring back the outputs that dead runs left aside."""
    root = Path(project.root)
    waiting = [one for one in journal.standing(root) if lock.is_free(root, one.instance)]
    unreadable = journal.unreadable(root)
    for name in unreadable:
        what = f"{STATE_FOLDER}/journals/{name} cannot be read"
        mend = "run its stage: that brings back what waits beside the outputs, and keeps what stands there"
        yield Finding(subject="journals", state="bad", what=what, mend=mend)
    if waiting and not fix:
        names = ", ".join(one.instance for one in waiting)
        yield Finding(
            subject="journals",
            state="bad",
            what=f"dead runs left outputs aside: {names}",
            mend="nbpipeline doctor --fix",
        )
    elif waiting:
        with Workplace(project) as place:
            for notice in journal.replay(root, place.backing):
                yield Finding(subject="journals", state="mended", what=notice)
    elif not unreadable:
        yield Finding(subject="journals", state="good", what="no outputs wait to be brought back")


def _locks(root: Path) -> Iterator[Finding]:
    held = lock.held(root)
    text = f"held now: {', '.join(held)}" if held else "none is held"
    yield Finding(subject="locks", state="good", what=text)


def _runs(root: Path, *, fix: bool) -> Iterator[Finding]:
    """Mark runs as interrupted whose process is gone."""
    place = runs_folder(root)
    if os.path.lexists(place) and not place.is_dir():
        what = f"{STATE_FOLDER}/{place.name} is no folder"
        yield Finding(
            subject="runs", state="bad", what=what, mend="move it away; the next run makes the folder"
        )
        return
    now = time.time()
    dead = [one for one in kept_runs(root) if _died(one.path, now)]
    if not dead:
        yield Finding(subject="runs", state="good", what=f"{len(kept_runs(root))} kept")
        return
    names = ", ".join(one.run for one in dead)
    if not fix:
        yield Finding(subject="runs", state="warning", what=f"died without an end: {names}")
        return
    for one in dead:
        close_run(one, now=now, status="interrupted")
    yield Finding(subject="runs", state="mended", what=f"died without an end, now marked so: {names}")


def _died(run: Path, now: float) -> bool:
    """Whether a run's process is gone without having told its end, be it just before it went."""

    def is_open() -> bool:
        control = read_control(run)
        return control is not None and control.get("finished") is None

    return is_open() and not is_running(read_control(run), now) and is_open()


def _kept(root: Path) -> Iterator[Finding]:
    kept = [one.stage for one in registry.kept_kernels(root)]
    if kept:
        what = f"wait for `nbpipeline debug`: {', '.join(kept)}"
        yield Finding(subject="kept kernels", state="good", what=what)


def _sockets(*, fix: bool) -> Iterator[Finding]:
    """Look for the folders of sockets that killed runs left; the next run with kernels removes them too."""
    found = plain.sweep() if fix else len(list(plain.left_behind()))
    if found:
        state, done = ("mended", "removed") if fix else ("warning", "left")
        what = f"{found} folder{'s' if found > 1 else ''} of killed runs {done}"
        yield Finding(subject="sockets", state=state, what=what, mend="" if fix else "nbpipeline doctor")


def _disk(root: Path) -> Iterator[Finding]:
    folder = root / STATE_FOLDER
    free = min(shutil.disk_usage(one).free for one in (root, folder) if one.exists())
    what = f"{free / 1e9:.1f} GB free"
    if free < _LITTLE:
        yield Finding(
            subject="disk", state="warning", what=what, mend="make room, or nbpipeline clean --store"
        )
    else:
        yield Finding(subject="disk", state="good", what=what)


def _refusal(subject: str, error: NbpipelineError) -> Finding:
    first = error.complaints[0]
    return Finding(subject=subject, state="bad", what=first.what, mend=first.mend)
