"""One instance's decision: fresh, restorable, stale, or not known yet. Looks at nothing but its evidence."""

import posixpath
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from nbpipeline.fingerprint import differences, state_digest
from nbpipeline.location import is_url
from nbpipeline.model import (
    Action,
    Fingerprint,
    Reason,
    ReasonKind,
    StageInstance,
    StageRecord,
    StageSpec,
    Step,
)
from nbpipeline.plan.accept import Accepted
from nbpipeline.values import dataclass

_PATHS = frozenset({ReasonKind.INPUT, ReasonKind.OUTPUT, ReasonKind.MODULE})
_ORDER = {
    kind: number
    for number, kind in enumerate(
        (
            ReasonKind.FORCED,
            ReasonKind.ALWAYS,
            ReasonKind.NEVER_RUN,
            ReasonKind.FAILED,
            ReasonKind.CODE,
            ReasonKind.MODULE,
            ReasonKind.PARAMETER,
            ReasonKind.INPUT,
            ReasonKind.UPSTREAM,
            ReasonKind.ENVIRONMENT,
            ReasonKind.KERNEL,
            ReasonKind.OUTPUT,
            ReasonKind.UNDECLARED_IO,
            ReasonKind.EXPIRED,
        )
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an instance besides the state that it would run in."""

    record: StageRecord | None
    """The last success."""
    failure: Mapping[str, Any] | None
    """What went wrong since."""
    accepted: Accepted
    now: float
    forced: bool
    waits_for: tuple[str, ...]
    """Instances whose results are not known yet."""
    stale_with: tuple[str, ...]
    """Of these, those that are certain to make it stale (`dependencies`)."""
    earlier: Callable[[], tuple[StageRecord, ...]]
    """Successes before the last, newest first, in other states: for telling what changed."""
    find: Callable[[str], StageRecord | None]
    """A record of the instance in another state, from the store."""
    outputs: Callable[[StageRecord], tuple[Reason, ...]]
    """How the outputs on disk differ from a record's."""
    restorable: Callable[[StageRecord], bool]


def decide(instance: StageInstance, fingerprint: Fingerprint, evidence: Evidence) -> Step:
    """Give the step of an instance: its action, all reasons in order, the record that it rests on."""
    found = _Case(instance, fingerprint, evidence).step()
    if not found.reasons:
        return found
    return replace(found, reasons=tuple(sorted(found.reasons, key=lambda one: _ORDER[one.kind])))


def relative_to(spec: StageSpec, reason: Reason) -> Reason:
    """Name a file as the notebook's author would: from the folder that the kernel runs in."""
    if reason.kind not in _PATHS or is_url(reason.subject) or reason.subject.startswith("/"):
        return reason
    return replace(reason, subject=posixpath.relpath(reason.subject, spec.working_folder or "."))


class _Case:
    """The steps of one decision, with what they share."""

    def __init__(self, instance: StageInstance, fingerprint: Fingerprint, evidence: Evidence) -> None:
        self.instance = instance
        self.fingerprint = fingerprint
        self.evidence = evidence
        self.record = evidence.record
        self.state = state_digest(fingerprint) if fingerprint.complete else None

    def step(self) -> Step:
        spec = self.instance.spec
        if spec.frozen:
            return self._frozen()
        if self.evidence.forced:
            return self._run(Reason(kind=ReasonKind.FORCED), *self._beside())
        if not spec.cache:
            return self._run(Reason(kind=ReasonKind.ALWAYS), *self._beside())
        if self.state is None:
            return self._waiting()
        return self._settled(self.state)

    def _frozen(self) -> Step:
        """Never run: at most, what went missing is brought back."""
        record = self.record
        if record is not None:
            gone = tuple(one for one in self.evidence.outputs(record) if one.detail == "missing")
            if gone and self.evidence.restorable(record):
                return self._give(Action.RESTORE, gone, record)
        return self._give(Action.SKIP, (), record)

    def _waiting(self) -> Step:
        """Decide as far as can be while upstream has yet to run."""
        record, changes = self._nearest(self._differences())
        if record is None:
            return self._run(*changes)
        upstream = [_upstream(name) for name in self.evidence.waits_for]
        sure = [*changes, *self._unsettling(record, record.state)]
        outputs = self.evidence.outputs(record)
        told = self._altered(outputs, record)
        if sure or self.evidence.stale_with or (outputs and not self.evidence.restorable(record)):
            return self._run(*sure, *told, *upstream)
        return self._give(Action.MAYBE, (*told, *upstream), None)

    def _settled(self, state: str) -> Step:
        """Decide with the whole state known."""
        record, changes = self.record, self._differences()
        if record is None or changes:
            return self._changed(state, changes)
        problems = tuple(self._unsettling(record, state))
        outputs = self.evidence.outputs(record)
        if problems:
            return self._run(*problems, *outputs)
        if not outputs:
            return self._give(Action.SKIP, (), record)
        if self.evidence.restorable(record):
            return self._give(Action.RESTORE, outputs, record)
        return self._run(*outputs)

    def _changed(self, state: str, changes: tuple[Reason, ...]) -> Step:
        """Look for an earlier success in this state: the last one was in another, or there was none here."""
        failed = tuple(self._failed(state))
        earlier = self._earlier(state) if not failed else None
        if earlier is not None:
            outputs = self.evidence.outputs(earlier)
            if not outputs:
                return self._give(Action.SKIP, (), earlier)
            told = self._causes(changes, outputs, earlier)
            if self.evidence.restorable(earlier):
                return self._give(Action.RESTORE, told, earlier)
            return self._run(*told)
        record, nearest = self._nearest(changes) if len(changes) > 1 or failed else (self.record, changes)
        told = (*failed, *nearest, *self._blemishes(record))
        return self._run(*(told or changes))

    def _causes(
        self, changes: tuple[Reason, ...], outputs: tuple[Reason, ...], earlier: StageRecord
    ) -> tuple[Reason, ...]:
        """Tell why outputs are not those of the earlier success in this state.

        What is as the last run left it differs for what changed since; to the rest something was done.
        """
        if self.record is None:
            return changes
        altered = self._altered(outputs, earlier)
        return altered if len(altered) == len(outputs) else (*changes, *altered)

    def _earlier(self, state: str) -> StageRecord | None:
        """Find a record of the state that is still good."""
        if any(is_url(path) for output in self.instance.outputs for path in output.paths):
            return None  # nobody knows what stands at a URL by now
        found = self.evidence.find(state) or self._accepted_earlier()
        if found is None or any(True for _ in self._aged(found)):
            return None
        return found

    def _accepted_earlier(self) -> StageRecord | None:
        """Find a success that differs from the present state in nothing but what was accepted."""
        if not self.evidence.accepted.speaks_of(self.instance.id):
            return None
        return next((one for one in self.evidence.earlier() if not self._differences_from(one)), None)

    # --- reasons -----------------------------------------------------------------------------

    def _differences(self) -> tuple[Reason, ...]:
        """Tell what differs from the last success and was not accepted."""
        if self.record is None:
            return (Reason(kind=ReasonKind.NEVER_RUN),)
        return self._differences_from(self.record)

    def _differences_from(self, record: StageRecord) -> tuple[Reason, ...]:
        if self.state == record.state:
            return ()
        name, accepted = self.instance.id, self.evidence.accepted
        before = accepted.read_as(name, record.fingerprint, self.fingerprint)
        told = (relative_to(self.instance.spec, one) for one in differences(before, self.fingerprint))
        return tuple(one for one in told if not accepted.covers(name, one))

    def _nearest(self, changes: tuple[Reason, ...]) -> tuple[StageRecord | None, tuple[Reason, ...]]:
        """Find the success that the present state differs least from, and how; of equals, the newest.

        `changes` are those since the last success. With profiles in turn, that was often in another one.
        """
        best, fewest = self.record, changes
        if best is not None and fewest:
            for one in self.evidence.earlier():
                found = self._differences_from(one)
                if len(found) < len(fewest):
                    best, fewest = one, found
        return best, fewest

    def _beside(self) -> tuple[Reason, ...]:
        """Tell what is not fresh about an instance that runs anyway."""
        record, changes = self._nearest(self._differences())
        return (*changes, *self._blemishes(record))

    def _blemishes(self, record: StageRecord | None) -> tuple[Reason, ...]:
        """Tell what else is wrong with a success, of an instance that runs anyway."""
        if record is None:
            return ()
        return (*self._aged(record), *self._altered(self.evidence.outputs(record), record))

    def _altered(self, outputs: tuple[Reason, ...], record: StageRecord) -> tuple[Reason, ...]:
        """Of the outputs that differ from the record's, give those that no run left so."""
        last = self.record
        if last is None or last is record:
            return outputs
        left = {one.digest for one in last.outputs}
        return tuple(one for one in outputs if one.after not in left)

    def _unsettling(self, record: StageRecord, state: str) -> Iterator[Reason]:
        """Why a success in this very state is not enough."""
        yield from self._failed(state)
        yield from self._aged(record)

    def _failed(self, state: str | None) -> Iterator[Reason]:
        """Tell of a failure in the state; one that does not say where it was tried speaks of every state."""
        failure = self.evidence.failure
        if failure is not None and failure.get("state", "") in {"", state}:
            yield _failed(failure)

    def _aged(self, record: StageRecord) -> Iterator[Reason]:
        limit = self.instance.spec.fresh_for
        if limit is not None and record.finished + limit <= self.evidence.now:
            yield Reason(kind=ReasonKind.EXPIRED, detail=f"older than {_duration(limit)}")
        elif limit is not None and record.finished - limit >= self.evidence.now:
            detail = f"recorded more than {_duration(limit)} ahead of this clock, so its age is not known"
            yield Reason(kind=ReasonKind.EXPIRED, detail=detail)
        for path in record.undeclared:
            yield Reason(kind=ReasonKind.UNDECLARED_IO, subject=path)

    # --- steps -------------------------------------------------------------------------------

    def _run(self, *reasons: Reason) -> Step:
        """Run it; a failure in this very state is told beside the other reasons."""
        told = any(one.kind is ReasonKind.FAILED for one in reasons)
        extra = () if told else self._failed(self.state)
        return self._give(Action.RUN, (*reasons, *extra), None)

    def _give(self, action: Action, reasons: tuple[Reason, ...], record: StageRecord | None) -> Step:
        return Step(
            instance=self.instance,
            fingerprint=self.fingerprint,
            action=action,
            reasons=reasons,
            record=record,
        )


def _upstream(name: str) -> Reason:
    return Reason(kind=ReasonKind.UPSTREAM, subject=name)


def _failed(failure: Mapping[str, Any]) -> Reason:
    return Reason(kind=ReasonKind.FAILED, subject=str(failure.get("run", "")))


def _duration(seconds: float) -> str:
    for unit, name in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds / unit:.0f}{name}"
    return f"{seconds:g}s"
