"""Puts what went wrong with an attempt into SPEC's three parts."""

import errno
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from nbpipeline.location import Location
from nbpipeline.masking.secrets import Masker
from nbpipeline.masking.terminal import without_colours
from nbpipeline.model import UNTRIED, Artifact, Check, Failure, StageInstance, Verdict, shell_name
from nbpipeline.patterns import regex
from nbpipeline.stage.outcome import Stop

_FRAME = regex(r"(?:Cell In|Input In) ?\[(\d+)\],? line (\d+)")
LONGEST = 400
"""Characters of what is told of a failure; the log and the executed notebook have the rest."""
LONGEST_KNOWN = 2_000
LONGEST_LINE = 1_000
"""Characters of a traceback's line."""
MOST_LINES = 400
"""Lines of a traceback that are kept, half from its beginning and half from its end."""
_SIGNALLED = regex(r"-\d+\b")
"""So begins what is known of a kernel that a signal ended while it started."""
_KILLED = "killed, out of memory?"
_NO_ROOM = {errno.ENOSPC: "No space left on device", errno.EDQUOT: "Disk quota exceeded"}


def of_stop(instance: StageInstance, stop: Stop, masker: Masker, *, tested: str = "") -> Failure:
    """Say why execution stopped, and in which line; `tested`: a test's log, which no command prints."""
    trace = masker.text(without_colours("\n".join(stop.traceback)))
    what, mend = _words(instance, stop, tested)
    could_say = stop.name in ("OSError", "IOError") if stop.kind == "cell" else _never_started(stop)
    full = could_say and _says_full(stop.value)
    return Failure(
        kind="storage" if full else stop.kind,
        what=masker.text(what),
        mend="make room on that file system, then run the stage again" if full else mend,
        where=_where(instance, stop, trace),
        traceback=trace,
    )


def _never_started(stop: Stop) -> bool:
    return stop.kind == "dead_kernel" and stop.cell is None


def presentable(failure: Failure, masker: Masker) -> Failure:
    """Hide secrets, then cut what is too long to be told or kept (not before: half a secret shows).

    Terminal sequences go first: a secret with one in it would be whole again where a terminal shows it.
    """

    def masked(text: str) -> str:
        return masker.text(without_colours(text))

    return replace(
        failure,
        what=cut(masked(failure.what)),
        known=cut(masked(failure.known), LONGEST_KNOWN),
        mend=masked(failure.mend),
        traceback=_cut_lines(masked(failure.traceback)),
    )


def cut(text: str, longest: int = LONGEST) -> str:
    """Shorten a text that would fill a screen, and say how long it was."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def _cut_lines(text: str) -> str:
    lines = [cut(line, LONGEST_LINE) for line in text.split("\n")]
    if len(lines) <= MOST_LINES:
        return "\n".join(lines)
    half = MOST_LINES // 2
    return "\n".join([*lines[:half], f"... {len(lines) - 2 * half} lines ...", *lines[-half:]])


def _says_full(text: str) -> bool:
    return any(f"[Errno {number}]" in text for number in _NO_ROOM)


def _words(instance: StageInstance, stop: Stop, tested: str) -> tuple[str, str]:
    name = shell_name(instance.id)
    log = (
        f"see the whole of it in {tested}" if tested else f"see the whole of it with `nbpipeline log {name}`"
    )
    if stop.kind == "cell":
        first = stop.value.strip().splitlines()[0] if stop.value.strip() else "no message"
        return f"the cell raised {stop.name}: {first}", log
    if stop.kind == "exit":
        return (
            f"the cell called {stop.value}, so the cells after it did not run.",
            "let the notebook run to its end; the tag `skip` leaves out cells",
        )
    if stop.kind == "timeout":
        return (
            f"the stage did not end within its timeout of {stop.value} s.",
            "find what takes so long, or raise `timeout:` in the header",
        )
    if stop.kind == "cell_timeout":
        return (
            f"the cell did not end within its cell_timeout of {stop.value} s.",
            "find what takes so long, or raise `cell_timeout:` in the header",
        )
    if stop.kind == "cancelled":
        return (
            "the stage was interrupted.",
            f"start it again: `nbpipeline {'test' if tested else 'run'} {name}`",
        )
    return _death(stop)


def _death(stop: Stop) -> tuple[str, str]:
    """Tell a kernel that never came up from one that was killed or crashed."""
    if _never_started(stop):
        return _stillbirth(stop.value)
    if stop.value in ("", "-9", "137"):
        return (
            f"the kernel died: {_KILLED}",
            "let the cell take less memory, or declare `resources: {memory: ...}` so that less runs beside",
        )
    number = int(stop.value)
    if number < 0:
        return (
            f"the kernel died: {_ended_by(number)}",
            "find what crashes in the libraries that the cell calls",
        )
    return f"the kernel died: it exited with code {number}.", "find what ends the process in this cell"


def _stillbirth(known: str) -> tuple[str, str]:
    """Tell a kernel that could not be started from one that a signal ended meanwhile, with its last words."""
    signalled = _SIGNALLED.match(known)
    said = known[signalled.end() if signalled else 0 :].strip()
    last = said.splitlines()[-1] if said else ""
    if not signalled:
        return (
            f"the kernel did not start: {last or 'it said nothing'}",
            "see that ipykernel is installed where the kernel's Python is: `nbpipeline doctor`",
        )
    number = int(signalled[0])
    killed = -number == signal.SIGKILL
    what = f"the kernel died while it started: {_KILLED if killed else _ended_by(number)}"
    mend = (
        "declare `resources: {memory: ...}` so that less runs beside"
        if killed
        else "find what crashes when its Python starts"
    )
    return f"{what} Its last words: {last}" if last else what, mend


def _ended_by(number: int) -> str:
    name = signal.Signals(-number).name if -number in list(signal.Signals) else str(-number)
    return f"it was ended by {name}."


def _where(instance: StageInstance, stop: Stop, trace: str) -> Location:
    path = instance.spec.notebook.path
    if stop.cell is None:
        return Location(path=path)
    if stop.cell == 0:
        return Location(path=f"{path} (injected cell)")
    lines = [int(line) for count, line in _FRAME.findall(trace) if int(count) == stop.count]
    if not lines:
        return Location(path=path, cell=stop.cell)
    return Location(path=path, cell=stop.cell, line=lines[0] + _blank_lines_before(instance, stop.cell))


def _blank_lines_before(instance: StageInstance, index: int) -> int:
    """Count the blank lines that a cell begins with: IPython does not."""
    source = next((cell.source for cell in instance.spec.notebook.cells if cell.index == index), "")
    return source[: len(source) - len(source.lstrip())].count("\n")


# --- around the kernel -----------------------------------------------------------------------


def missing_input(artifact: Artifact, path: str) -> Failure:
    """Say that an input's file is not there."""
    return Failure(
        kind="input",
        where=artifact.where,
        what=f"input '{artifact.name}' is not there: {path}",
        mend="put it there, or declare which stage makes it",
    )


def missing_secret(instance: StageInstance, name: str) -> Failure:
    """Say that a declared secret has no value."""
    return Failure(
        kind="input",
        where=instance.spec.where,
        what=f"secret '{name}' is not in the environment.",
        mend=f"set it before the run: `export {name}=...`",
    )


def missing_output(artifact: Artifact, path: str) -> Failure:
    """Say that the notebook ended without writing an output."""
    return Failure(
        kind="output",
        where=artifact.where,
        what=f"output '{artifact.name}' was not written: {path} is not there.",
        mend="write it in the notebook, or take it out of the declared outputs",
    )


def empty_output(artifact: Artifact, path: str, *, folder: bool) -> Failure:
    """Say that an output holds nothing."""
    nothing = "has no files in it" if folder else "has no bytes in it"
    return Failure(
        kind="output",
        where=artifact.where,
        what=f"output '{artifact.name}' was written empty: {path} {nothing}.",
        mend="write it in the notebook, and close what is written; or take it out of the declared outputs",
    )


def outside_output(artifact: Artifact, path: str, place: str) -> Failure:
    """Say that the notebook put a link out of the project where an output should be."""
    return Failure(
        kind="output",
        where=artifact.where,
        what=f"output '{artifact.name}' was written outside the project: {path} is a link to {place}.",
        mend="write a copy into the project, or declare the output with `allow_outside: true`",
    )


def interrupted(instance: StageInstance) -> Failure:
    """Say that a stage was cancelled beside its notebook."""
    what, mend = _words(instance, Stop(kind="cancelled"), "")
    return Failure(kind="cancelled", where=instance.spec.where, what=what, mend=mend)


def slow_checks(instance: StageInstance, side: str, name: str, checks: Iterable[Check]) -> Failure:
    """Say that the stage's time was up before its checks had ended."""
    limit = f"{instance.spec.timeout or 0:g}"
    return Failure(
        kind="timeout",
        where=instance.spec.where,
        what=f"the checks on {side} '{name}' did not end within the stage's timeout of {limit} s.",
        known=f"its checks: {', '.join(dict.fromkeys(one.name for one in checks))}",
        mend="find which takes so long (a regular expression, a schema), or raise `timeout:` in the header",
    )


def failed_checks(side: str, name: str, verdicts: Iterable[Verdict]) -> Failure | None:
    """Say which checks did not hold that must; None where all did."""
    failed = [one for one in verdicts if not one.passed and one.severity == "fail"]
    if not failed:
        return None
    untried = failed[0]
    if all(one.details.get(UNTRIED) for one in failed):  # else what the data fail counts more
        return Failure(
            kind="input",
            where=untried.check.where,
            what=f"a check on {side} '{name}' could not be tried: {untried.check.name}: {untried.message}",
            mend="correct what the check names, or the check: it says nothing of the data yet",
        )
    failed.sort(key=lambda one: bool(one.details.get(UNTRIED)))
    return Failure(
        kind="check",
        where=failed[0].check.where,
        what=f"{side} '{name}' fails a check: {failed[0].check.name}: {failed[0].message}",
        known="\n".join(f"it also fails {one.check.name}: {one.message}" for one in failed[1:]),
        mend="correct the data where it is made, or the check",
    )


def of_disk(instance: StageInstance, error: OSError, doing: str) -> Failure:
    """Say that the disk or a folder refused; `doing` names the step."""
    place = _place(error)
    told = f": {place.as_posix()}" if place else ""
    reason = error.strerror or str(error)
    blocking = _no_folder(place) if error.errno in (errno.ENOTDIR, errno.EEXIST) else None
    if error.errno in _NO_ROOM:
        mend = "make room on that file system, then run the stage again"
    elif error.errno == errno.ENOENT:
        mend = "see what removes it, then run the stage again"
    elif error.errno == errno.EFBIG:
        mend = "raise the limit on the size of files (`ulimit -f`), then run the stage again"
    elif blocking:
        mend = f"move {blocking.as_posix()} away: a folder is needed there; or name another path"
    else:
        mend = "make the place writable for this user, or name another path"
    return Failure(kind="storage", where=instance.spec.where, what=f"{doing}: {reason}{told}", mend=mend)


def _place(error: OSError) -> Path | None:
    name = error.filename2 or error.filename
    return Path(name) if isinstance(name, (str, Path)) else None


def _no_folder(place: Path | None) -> Path | None:
    """Find what stands in the way of a folder: a file, or a link that leads to none."""
    ways = (place, *place.parents) if place else ()
    return next((one for one in ways if os.path.lexists(one) and not one.is_dir()), None)
