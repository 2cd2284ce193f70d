"""The process that checks data apart, as a run sees it: started early, asked one thing at a time, ended."""

import json
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
from nbpipeline.model import Check, Verdict
from nbpipeline.ports import Cancel

LOOK = 0.1
"""Seconds after which a waiting stage looks whether it was cancelled."""
PATIENCE = 5.0
"""Seconds that the process has to end by itself."""
INTERRUPTED = "interrupted"
_WORDS = 2_000
"""Bytes of what the process said last that are looked at when it has died."""


class CheckingProcess:
    """One process for all checks of a run; a context manager. Safe from several threads."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: Lines | None = None
        self._said: IO[bytes] | None = None

    def __enter__(self) -> Self:
        """Do nothing: it is started when it is wanted."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the process."""
        self._end()

    @property
    def pid(self) -> int | None:
        """Number of the process; None where there is none."""
        return self._process.pid if self._process else None

    def start(self, names: Sequence[str]) -> None:
        """Start the process, which imports the libraries of the validators named while others go on."""
        command = [sys.executable, "-P", "-m", "nbpipeline.validators", *names]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(  # noqa: S603 - this Python, and our own words
            command,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            start_new_session=True,  # Ctrl-C ends the run, which ends this
        )
        if self._process.stdout is not None:
            self._answers = Lines(self._process.stdout)

    def ask(
        self,
        validator: str,
        paths: tuple[Path, ...],
        checks: tuple[Check, ...],
        *,
        folder: Path,
        roots: Sequence[Path],
        cancel: Cancel,
    ) -> tuple[Verdict, ...]:
        """Have checks tried, one verdict each; all of them fail where the process dies or is cancelled.

        `folder` and `roots` are where a stage's notebook runs and imports from. Raises MissingPluginError.
        """
        question = {
            "validator": validator,
            "paths": [str(one) for one in paths],
            "checks": [_spoken(one) for one in checks],
            "folder": str(folder),
            "roots": [str(one) for one in roots],
        }
        found: dict[str, Any] = {"trouble": INTERRUPTED}
        with self._alone(cancel) as mine:
            if mine:
                found = self._asked(validator, question, cancel)
        if "missing" in found:
            raise MissingPluginError.of(**found["missing"])
        if "trouble" in found:
            return tuple(Verdict(check=one, passed=False, message=found["trouble"]) for one in checks)
        return tuple(Verdict(check=one, **told) for one, told in zip(checks, found["verdicts"], strict=True))

    @contextmanager
    def _alone(self, cancel: Cancel) -> Iterator[bool]:
        """Wait for other stages' checks; False where that is cancelled."""
        mine = False
        while not mine and not cancel.level:
            mine = self._lock.acquire(timeout=LOOK)
        try:
            yield mine
        finally:
            if mine:
                self._lock.release()

    def _asked(self, validator: str, question: Mapping[str, Any], cancel: Cancel) -> dict[str, Any]:
        if cancel.level:
            return {"trouble": INTERRUPTED}
        stdin, answers = self._pipes([validator])
        with suppress(OSError):  # it has died: nothing will come
            _write(stdin, json.dumps(question).encode() + b"\n")
        while (line := answers.next(LOOK)) is None:
            if cancel.level:
                self._end(patience=0)
                return {"trouble": INTERRUPTED}
            if answers.ended:
                return {"trouble": self._death()}
        found: dict[str, Any] = json.loads(line)
        return found

    def _pipes(self, names: Sequence[str]) -> tuple[IO[bytes], Lines]:
        """Give the pipes of the process; another one's where it has died."""
        if self._process is not None and self._process.poll() is not None:
            self._end()
        if self._process is None:
            self.start(names)
        process, answers = self._process, self._answers
        if process is None or process.stdin is None or answers is None:
            raise RuntimeError("a process that was started has its pipes")
        return process.stdin, answers

    def _death(self) -> str:
        """Say how the process ended."""
        if self._process is None:
            return "the process that checks data has ended"
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        code = self._process.returncode
        if code == -9:  # noqa: PLR2004 - SIGKILL, which the system sends where memory is short
            return "the process that checks data died: killed, out of memory?"
        last = self._last_words()
        return f"the process that checks data died (exit code {code}){f': {last}' if last else ''}"

    def _last_words(self) -> str:
        if self._said is None:
            return ""
        size = self._said.seek(0, 2)
        self._said.seek(max(0, size - _WORDS))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def _end(self, patience: float = PATIENCE) -> None:
        """End the process, which does so by itself when its stdin is closed."""
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._said is not None:
            self._said.close()
            self._said = None


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
    }
