"""The process that checks data apart, as a run sees it: started early, asked one thing at a time, ended."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from nbpipeline.encoding import plain
from nbpipeline.errors import MissingPluginError
from nbpipeline.lines import Lines
from nbpipeline.masking.secrets import NO_SECRETS, Masker
from nbpipeline.model import UNTRIED, Check, Verdict
from nbpipeline.validators.gathering import INTERRUPTED, interrupted
from nbpipeline.validators.tables.table import Stop, never
from nbpipeline.values import dataclass

LOOK = 0.1
"""Seconds after which a waiting stage looks whether it still wants to know."""
PATIENCE = 5.0
"""Seconds that the process has to end by itself."""
_WORDS = 2_000
"""Bytes of what the process said last that are looked at when it has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """The process while it runs."""

    process: subprocess.Popen[bytes]
    questions: IO[bytes]
    answers: Lines
    said: IO[bytes]
    """What its libraries print."""


class CheckingProcess:
    """One process for all checks of a run; a context manager. Safe from several threads."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._asked_so_far = 0

    def __enter__(self) -> Self:
        """Do nothing: it is started when it is wanted."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process; at once where somebody broke off: what it is at may hear nothing."""
        self._end(PATIENCE if kind is None else 0)

    @property
    def pid(self) -> int | None:
        """Number of the process; None where there is none."""
        return self._running.process.pid if self._running else None

    def start(self, names: Sequence[str]) -> "_Running":
        """Start the process, which imports the libraries of the validators named while others go on."""
        command = [sys.executable, "-P", "-m", "nbpipeline.validators", *names]
        said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        process = subprocess.Popen(  # noqa: S603 - this Python, and our own words
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            start_new_session=True,  # Ctrl-C ends the run, which ends this
        )
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process that was started so has its pipes")
        self._running = _Running(
            process=process, questions=process.stdin, answers=Lines(process.stdout), said=said
        )
        return self._running

    def ask(
        self,
        validator: str,
        paths: tuple[Path, ...],
        checks: tuple[Check, ...],
        *,
        folder: Path,
        roots: Sequence[Path],
        stop: Stop = never,
        masker: Masker = NO_SECRETS,
    ) -> tuple[Verdict, ...]:
        """Have checks tried, one verdict each; all of them fail where the process dies or `stop` says so.

        One that is stopped is killed, since a regular expression or a library may hear nothing; who asks next
        gets another. `folder` and `roots` are where a stage's notebook runs and imports from; the values of
        `masker` go through a pipe, and out of values that are shortened.
        Raises MissingPluginError.
        """
        question = {
            "validator": validator,
            "paths": [str(one) for one in paths],
            "checks": [_spoken(one) for one in checks],
            "folder": str(folder),
            "roots": [str(one) for one in roots],
            "secrets": masker.values,
        }
        found: dict[str, Any] = {"trouble": INTERRUPTED}
        with self._alone(stop) as mine:
            if mine:
                found = self._asked(validator, question, stop, masker)
        if "missing" in found:
            raise MissingPluginError.of(**found["missing"])
        if found.get("trouble") == INTERRUPTED:
            return interrupted(checks)
        if "trouble" in found:
            message = str(found["trouble"])
            return tuple(
                Verdict(check=one, passed=False, message=message, details={UNTRIED: True}) for one in checks
            )
        return tuple(Verdict(check=one, **told) for one, told in zip(checks, found["verdicts"], strict=True))

    @contextmanager
    def _alone(self, stop: Stop) -> Iterator[bool]:
        """Wait for other stages' checks; False where nobody waits any more."""
        mine = False
        while not mine and not stop():
            mine = self._lock.acquire(timeout=LOOK)
        try:
            yield mine
        finally:
            if mine:
                self._lock.release()

    def _asked(
        self, validator: str, question: Mapping[str, Any], stop: Stop, masker: Masker
    ) -> dict[str, Any]:
        running = self._running
        if running is None or running.process.poll() is not None:
            self._end()
            running = self.start([validator])
        self._asked_so_far += 1
        number = self._asked_so_far
        with suppress(OSError):  # it has died: nothing will come
            _write(running.questions, json.dumps({"number": number, **question}).encode() + b"\n")
        while (found := _answer(running.answers.next(LOOK), number)) is None:
            if stop():
                self._end(patience=0)
                return {"trouble": INTERRUPTED}
            if running.answers.ended or running.process.poll() is not None:
                found = _answer(running.answers.next(0), number) or {"trouble": _death(running, masker)}
                break
        _end_left(running)
        return found

    def _end(self, patience: float = PATIENCE) -> None:
        """End the process, which does so by itself when its stdin is closed."""
        running, self._running = self._running, None
        if running is None:
            return
        _end_left(running)
        with running.said, suppress(OSError):
            running.questions.close()
        try:
            running.process.wait(patience)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()


def _answer(line: bytes | None, number: int) -> dict[str, Any] | None:
    """Read an answer; None for a line that answers another question, or is none at all."""
    if line is None:
        return None
    try:
        found: Any = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("number") == number else None


def _end_left(running: _Running) -> None:
    """End what the code of a question left running: children, and those of its session that lost theirs."""
    import psutil  # noqa: PLC0415 - start-up is counted

    pid = running.process.pid
    left = {one for one in psutil.pids() if one != pid and _session(one) == pid}
    with suppress(psutil.Error):
        left.update(child.pid for child in psutil.Process(pid).children(recursive=True))
    for one in left:
        with suppress(OSError):
            os.kill(one, getattr(signal, "SIGKILL", signal.SIGTERM))


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid) if hasattr(os, "getsid") else None
    except OSError:
        return None


def _death(running: _Running, masker: Masker) -> str:
    """Say how the process ended."""
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(PATIENCE)
    code = running.process.returncode
    if code == -signal.SIGKILL:  # which the system sends where memory is short
        return "the process that checks data died: killed, out of memory?"
    size = running.said.seek(0, 2)
    running.said.seek(max(0, size - _WORDS))
    lines = masker.shortened(running.said.read().decode(errors="replace")).strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return f"the process that checks data died (exit code {code}){last}"


def _write(stream: IO[bytes], data: bytes) -> None:
    """Write all of it: an unbuffered stream takes what fits its pipe."""
    while data:
        data = data[stream.write(data) :]


def _spoken(check: Check) -> dict[str, Any]:
    """Give what a validator needs of a check, as JSON holds it."""
    return {
        "name": check.name,
        "arguments": plain(check.arguments),
        "mostly": check.mostly,
        "table": check.table,
        "others": {name: list(paths) for name, paths in check.others.items()},
    }
