"""`execute`: the life of one instance from its lock to its record.

Local threads, workers and `run-stage` all come here.
"""

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from nbpipeline.encoding import failure_data
from nbpipeline.errors import BusyError
from nbpipeline.fingerprint import state_digest
from nbpipeline.masking.secrets import SHORTEST, Masker
from nbpipeline.model import Event, Job, StageResult, Status, Value
from nbpipeline.ports import Cancel, Emit
from nbpipeline.stage import checks, executed, failures
from nbpipeline.stage.attempt import Attempt, run_attempt
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.check_page import Outcomes
from nbpipeline.stage.lock import hold
from nbpipeline.stage.rescue import settle

NOT_RETRIED = ("input", "check", "cancelled")
"""Kinds of failures that another attempt would only meet again."""


def execute(job: Job, backends: Backends, emit: Emit, cancel: Cancel) -> StageResult:
    """Run one instance: its outputs and record stand at the end, or what stood before.

    A notebook that fails is a result, not an exception. Raises `BusyError` where another run holds the
    instance, and `MissingPluginError` where `executed:` asks for a format that cannot be made.
    """
    root = Path(job.root)
    executed.refuse_unknown(job.instance)
    try:
        with hold(root, job.instance.id, backends.wait, run=job.run, give_up=lambda: cancel.level > 0):
            return _Life(job, backends, emit, cancel).result()
    except BusyError:
        if not cancel.level:
            raise
        return StageResult(instance=job.instance.id, status=Status.CANCELLED)


class _Life:
    """The attempts of one instance, under its lock."""

    def __init__(self, job: Job, backends: Backends, emit: Emit, cancel: Cancel) -> None:
        self.job, self.backends, self.cancel = job, backends, cancel
        self._emit = emit
        self.root = Path(job.root)
        environment = {**os.environ, **job.environment}
        self.masker = Masker.of(job.instance.spec.secrets, environment)
        self.notices = [
            f"secret '{name}' has less than {SHORTEST} characters, so it is not masked"
            for name in job.instance.spec.secrets
            if 0 < len(environment.get(name, "")) < SHORTEST
        ]
        self.environment = environment
        self.outcomes = Outcomes(job.instance.id)

    def tell(self, kind: str, data: Mapping[str, Value]) -> None:
        """Send an event of this instance, masked."""
        masked = self.masker.anything(dict(data))
        self.outcomes.hear(kind, masked)
        self._emit(
            Event(kind=kind, run=self.job.run, stage=self.job.instance.id, time=time.time(), data=masked)
        )

    def result(self) -> StageResult:
        """Settle what a dead run left, look at the inputs, try until it works or tries are used up."""
        started = time.monotonic()
        try:
            self.notices += settle(self.job.instance, self.root, self.backends.backing)
            failure = checks.before(
                self.job.instance,
                self.backends,
                self.root,
                self.environment,
                self.tell,
                self.cancel,
                self.masker,
            )
        except OSError as error:
            failure = failures.of_disk(self.job.instance, error, "the stage could not be prepared")
        if failure is not None:
            return self._ended(Attempt(number=0, failure=failure), started)
        return self._ended(self._attempts(started), started)

    def _attempts(self, began: float) -> Attempt:
        spec = self.job.instance.spec
        pause = spec.retry_delay
        for number in range(1, spec.retries + 2):
            self.tell("attempt_started", {"attempt": number, "of": spec.retries + 1})
            attempt = run_attempt(
                self.job, self.backends, self.cancel, self.masker, self.tell, number=number, began=began
            )
            if attempt.failure is None:
                return attempt
            last = number == spec.retries + 1 or attempt.failure.kind in NOT_RETRIED
            told = failures.presentable(attempt.failure, self.masker)
            self.tell("attempt_failed", {"attempt": number, **failure_data(told), "last": last})
            if last or not self._rested(pause):
                return attempt
            self.notices += attempt.notices
            pause *= spec.retry_backoff
        raise AssertionError("a stage has at least one attempt")

    def _rested(self, seconds: float) -> bool:
        """Wait before the next attempt; False where the run was cancelled meanwhile."""
        woken = threading.Event()
        unsubscribe = self.cancel.on_raise(lambda _level: woken.set())
        try:
            return not self.cancel.level and not woken.wait(seconds)
        finally:
            unsubscribe()

    def _ended(self, attempt: Attempt, started: float) -> StageResult:
        failure = attempt.failure
        status = Status.SUCCEEDED
        if failure is not None:
            failure = failures.presentable(failure, self.masker)
            status = {"check": Status.CHECK_FAILED, "cancelled": Status.CANCELLED}.get(
                failure.kind, Status.FAILED
            )
        self.notices += self.outcomes.write(Path(self.job.folder))
        return StageResult(
            instance=self.job.instance.id,
            status=status,
            attempts=attempt.number,
            seconds=time.monotonic() - started,
            failure=failure,
            record=attempt.record,
            cells=attempt.cells,
            notices=tuple(dict.fromkeys(map(self._said, (*self.notices, *attempt.notices)))),
            state=state_digest(self.job.fingerprint) if failure is not None else "",
        )

    def _said(self, notice: str) -> str:
        return failures.cut(self.masker.text(notice), failures.LONGEST_KNOWN)
