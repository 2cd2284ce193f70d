"""Plans a pipeline: gathers the evidence for each instance in run order and decides.

Between instances it passes on what is known of their results: a fresh or restorable maker's outputs by
its record, a running one's not at all. So a change travels down the pipeline only as far as it must.
"""
# Paths are texts here: plans look at thousands.
# ruff: noqa: PTH110, PTH118

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from nbpipeline.encoding import canonical
from nbpipeline.errors import StorageError
from nbpipeline.fingerprint import Fingerprinter, Glance, state_digest
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model import (
    EXECUTED,
    Action,
    Edge,
    Fingerprint,
    Imported,
    Pipeline,
    Plan,
    Reason,
    ReasonKind,
    StageInstance,
    StageRecord,
    StageSpec,
    Step,
    StoredOutput,
)
from nbpipeline.plan.accept import Accepted
from nbpipeline.plan.decide import Evidence, decide, relative_to
from nbpipeline.ports import Digests, State, Store
from nbpipeline.values import dataclass

UNREADABLE = "unreadable"
"""Stands for the digest of an output that its owner may not read."""

_PENDING = frozenset({Action.RUN, Action.MAYBE})


@dataclass(slots=True)
class _Known:
    """What flows into an instance, as far as it is known."""

    inputs: dict[str, str | None] = field(default_factory=dict)
    upstream: dict[str, str | None] = field(default_factory=dict)
    waits_for: dict[str, None] = field(default_factory=dict)
    stale_with: list[str] = field(default_factory=list)

    def wait(self, name: str, path: str | None = None) -> None:
        """Note that an input, or a named stage, is not known before the instance has run."""
        self.waits_for[name] = None
        if path is not None:
            self.inputs[path] = None


class Planner:
    """Decides for every instance what a run would do, and why."""

    def __init__(  # noqa: PLR0913 - each back end is a value of its own
        self,
        pipeline: Pipeline,
        *,
        fingerprinter: Fingerprinter,
        state: State,
        store: Store,
        digests: Digests,
        root: Path,
        now: Callable[[], float] = time.time,
        accepted: Accepted | None = None,
        selected: frozenset[str] | None = None,
        forced: frozenset[str] = frozenset(),
    ) -> None:
        """Plan the `selected` instances (None: all); what others make is taken as it is on disk."""
        self._pipeline = pipeline
        self._fingerprinter = fingerprinter
        self._state = state
        self._store = store
        self._digests = digests
        self._home = os.fspath(root)
        self._now = now
        self._accepted = accepted or Accepted()
        self._selected = selected
        self._forced = forced
        self._edges: dict[str, list[Edge]] = {}
        for edge in pipeline.edges:
            if edge.kind != "after":
                self._edges.setdefault(edge.downstream, []).append(edge)
        self._last_maker = _last_makers(pipeline)
        self._hints = Glance()

    def plan(self) -> Plan:
        """Look at everything once and decide, without running anything."""
        glance = Glance()
        steps: dict[str, Step] = {}
        records, failures = self._state.last_records(), self._state.last_failures()
        for instance in self._pipeline:
            if self._selected is not None and instance.id not in self._selected:
                continue
            known = self._planned(instance, steps, records)
            steps[instance.id] = self._step(
                instance, known, glance, records.get(instance.id), failures.get(instance.id)
            )
        return Plan(pipeline=self._pipeline, steps=tuple(steps.values()), notices=self._notices(steps))

    def decide(self, instance_id: str) -> Step:
        """Decide from what is on disk now, its upstream being done: never `maybe`."""
        instance = self._pipeline.instances[instance_id]
        return self._step(
            instance,
            self._present(instance),
            Glance(),
            self._state.last_record(instance_id),
            self._state.last_failure(instance_id),
        )

    def results(self) -> Mapping[str, StageRecord]:
        """Find the results of the selected instances' present states, on record here or in the store.

        Whatever stands on disk: an input that one of them makes is known by its maker's result. What has none
        is left out, and so is what needs it.
        """
        found: dict[str, StageRecord] = {}
        glance = Glance()
        for instance in self._pipeline:
            known = self._from_results(instance, found) if self._is_selected(instance) else None
            if known is None:
                continue
            last = self._state.last_record(instance.id)
            fingerprint = self._taken(instance, known, glance, _followed(last))
            state = state_digest(fingerprint)
            if last is None or (last.state != state and not instance.spec.frozen):
                last = self._earlier(instance, known, glance, _followed(last), state)
            if last is not None:
                found[instance.id] = last
        return found

    def _is_selected(self, instance: StageInstance) -> bool:
        return self._selected is None or instance.id in self._selected

    def _from_results(self, instance: StageInstance, found: Mapping[str, StageRecord]) -> _Known | None:
        """Gather what flows in from results; None where one of them is not known."""
        known = _Known()
        for edge in self._edges.get(instance.id, ()):
            record = found.get(edge.upstream)
            if record is None:
                return None
            if edge.kind == "dependency":
                known.upstream[edge.upstream] = self._identity(edge.upstream, record)
                continue
            output = _output(record, edge.path)
            if output is not None:
                known.inputs[edge.path] = output.digest
        return known

    def imports(self, instance: StageInstance) -> tuple[Imported, ...]:
        """Name the third-party modules that the stage imports, sorted: what a warm kernel may load before."""
        return tuple(sorted(self._fingerprinter.imports(instance, self._hints)))

    def fingerprint(self, instance: StageInstance) -> Fingerprint:
        """Take the state that the instance would run in now, its upstream being done."""
        record = self._state.last_record(instance.id)
        return self._taken(instance, self._present(instance), Glance(), _followed(record))

    # --- what flows in -----------------------------------------------------------------------

    def _planned(
        self, instance: StageInstance, steps: Mapping[str, Step], records: Mapping[str, StageRecord]
    ) -> _Known:
        known = _Known()
        for edge in self._edges.get(instance.id, ()):
            step = steps.get(edge.upstream)
            if step is None:
                self._as_it_is(edge, known, records.get(edge.upstream))
            elif edge.kind == "dependency":
                self._named(edge, step, known, records.get(instance.id))
            else:
                self._made(edge, step, known)
        return known

    def _present(self, instance: StageInstance) -> _Known:
        known = _Known()
        for edge in self._edges.get(instance.id, ()):
            if edge.kind == "dependency" or edge.path in self._last_maker:
                self._as_it_is(edge, known, self._state.last_record(edge.upstream))
        return known

    def _as_it_is(self, edge: Edge, known: _Known, record: StageRecord | None) -> None:
        """Take what the upstream instance left; only places that several write are known by record alone."""
        if edge.kind == "dependency":
            known.upstream[edge.upstream] = self._identity(edge.upstream, record)
        elif edge.path in self._last_maker:
            output = _output(record, edge.path)
            if output is not None:
                known.inputs[edge.path] = output.digest

    def _named(self, edge: Edge, step: Step, known: _Known, record: StageRecord | None) -> None:
        if step.action not in _PENDING:
            known.upstream[edge.upstream] = self._identity(edge.upstream, step.record)
            return
        known.upstream[edge.upstream] = None
        known.wait(edge.upstream)
        if step.action is Action.RUN and record is not None:
            before = record.fingerprint.upstream.get(edge.upstream)
            same = step.fingerprint.complete and state_digest(step.fingerprint) == before
            if not same:
                known.stale_with.append(edge.upstream)

    def _made(self, edge: Edge, step: Step, known: _Known) -> None:
        if known.inputs.get(edge.path, "") is None:
            known.wait(edge.upstream)
        elif step.action in _PENDING:
            known.wait(edge.upstream, edge.path)
        else:
            output = None if step.instance.spec.frozen else _output(step.record, edge.path)
            if output is not None:
                known.inputs[edge.path] = output.digest
            elif step.action is Action.RESTORE:
                known.wait(edge.upstream, edge.path)

    def _identity(self, name: str, record: StageRecord | None) -> str:
        """Say what a consumer under `dependencies` knows a result by: its state, or the run if need be."""
        if record is None:
            return "never run"
        spec = self._pipeline.instances[name].spec
        if spec.cache and spec.fresh_for is None and not record.undeclared:
            return record.state
        return f"{record.state} {record.finished}"

    # --- one instance ------------------------------------------------------------------------

    def _step(
        self,
        instance: StageInstance,
        known: _Known,
        glance: Glance,
        record: StageRecord | None,
        failure: Mapping[str, Any] | None,
    ) -> Step:
        followed = _followed(record)
        fingerprint = self._taken(instance, known, glance, followed)
        evidence = Evidence(
            record=record,
            failure=failure,
            accepted=self._accepted,
            now=self._now(),
            forced=instance.id in self._forced,
            waits_for=tuple(known.waits_for),
            stale_with=tuple(known.stale_with),
            earlier=lambda: self._state.earlier_records(instance.id),
            find=lambda state: self._earlier(instance, known, glance, followed, state),
            outputs=lambda one: self._outputs(instance, one),
            restorable=lambda one: self._restorable(instance, one),
        )
        return decide(instance, fingerprint, evidence)

    def _taken(
        self, instance: StageInstance, known: _Known, glance: Glance, followed: tuple[str, ...]
    ) -> Fingerprint:
        return self._fingerprinter.of(
            instance, inputs=known.inputs, upstream=known.upstream, followed=followed, glance=glance
        )

    def _earlier(
        self,
        instance: StageInstance,
        known: _Known,
        glance: Glance,
        followed: tuple[str, ...],
        state: str,
    ) -> StageRecord | None:
        """Find a record of an earlier success in what is the present state.

        A record stands also under the state that the code alone gives, from which nobody can know which
        files a run takes code from. There it tells which; only with these is the state the right one.
        """
        found = self._store.get_record(instance.id, state)
        if found is None and followed:
            bare = state_digest(self._taken(instance, known, glance, ()))
            found = self._store.get_record(instance.id, bare)
        if found is None or (not found.followed and found.state == state_digest(found.fingerprint)):
            return found
        whole = state_digest(self._taken(instance, known, glance, found.followed))
        return self._store.get_record(instance.id, whole)

    def _outputs(self, instance: StageInstance, record: StageRecord) -> tuple[Reason, ...]:
        """Tell how the outputs on disk differ from the record's.

        A notebook that moved declares the same names and values, and its outputs stand elsewhere.
        """
        declared = {path for output in instance.outputs for path in output.paths}
        found = []
        for output in record.outputs:
            if output.kind != EXECUTED and output.path not in declared:
                continue
            present = self._present_digest(instance, output)
            if present != output.digest:
                detail = "missing" if present is None else "changed"
                found.append(_difference(output.path, detail, before=output.digest, after=present))
        found += [_difference(path, "missing") for path in _moved(instance, record)]
        return tuple(_told(instance.spec, one) for one in found)

    def _present_digest(self, instance: StageInstance, output: StoredOutput) -> str | None:
        if is_url(output.path):
            return output.digest  # what a notebook writes to a URL is its own affair
        path = os.path.join(self._home, output.path)
        if output.kind == EXECUTED:
            return output.digest if os.path.exists(path) or self._store.has(output) else None
        if self._last_maker.get(output.path, instance.id) != instance.id:
            return output.digest if os.path.exists(path) else None  # somebody wrote on in it
        try:
            return self._digests.of(path)
        except StorageError:  # the run moves it aside unread
            return UNREADABLE

    def _restorable(self, instance: StageInstance, record: StageRecord) -> bool:
        declared = {path for output in instance.outputs for path in output.paths if not is_url(path)}
        if not declared <= {one.path for one in record.outputs}:
            return False
        return all(one.stored and self._store.has(one) for one in record.outputs)

    def _notices(self, steps: Mapping[str, Step]) -> tuple[str, ...]:
        found = dict.fromkeys((*self._state.notices, *self._store.notices))
        for step in steps.values():
            for artifact in step.instance.inputs:
                for path in artifact.paths:
                    if is_url(path) and not path.startswith("file://") and not artifact.spec.digest:
                        found[
                            f"{artifact.spec.where}: input '{artifact.name}' is at {path}, which is not "
                            "looked at: a change there makes nothing stale. Pin it with `digest:`, or say "
                            "`fresh_for`."
                        ] = None
        return tuple(found)


def _told(spec: StageSpec, reason: Reason) -> Reason:
    """Say a path as the author wrote it; the executed notebook is named for what it is."""
    if reason.subject.startswith(f"{STATE_FOLDER}/"):
        return Reason(
            kind=reason.kind, subject="executed notebook", before=reason.before, detail=reason.detail
        )
    return relative_to(spec, reason)


def _followed(record: StageRecord | None) -> tuple[str, ...]:
    return record.followed if record is not None else ()


def _output(record: StageRecord | None, path: str) -> StoredOutput | None:
    if record is None:
        return None
    return next((one for one in record.outputs if one.path == path), None)


def _moved(instance: StageInstance, record: StageRecord) -> list[str]:
    """Name the paths that are not on record although they are declared by the same value."""
    recorded = {one.path for one in record.outputs}
    gone = [one for one in instance.outputs if not recorded.issuperset(one.paths)]
    same = [one for one in gone if record.fingerprint.code.get(f"output {one.name}") == canonical(one.value)]
    return [path for one in same for path in one.paths if path not in recorded and not is_url(path)]


def _difference(path: str, detail: str, **digests: str | None) -> Reason:
    return Reason(kind=ReasonKind.OUTPUT, subject=path, detail=detail, **digests)


def _last_makers(pipeline: Pipeline) -> dict[str, str]:
    """Name the last writer of each path that several instances write, by run order."""
    makers: dict[str, list[str]] = {}
    for instance in pipeline:
        for output in instance.outputs:
            for path in output.paths:
                makers.setdefault(path, []).append(instance.id)
    return {path: names[-1] for path, names in makers.items() if len(names) > 1}
