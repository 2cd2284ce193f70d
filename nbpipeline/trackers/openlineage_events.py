"""A run as OpenLineage's events: the pipeline and each stage instance is a job, with a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbpipeline import __version__
from nbpipeline.encoding import plain
from nbpipeline.fingerprint import state_digest
from nbpipeline.model import Value
from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.trackers.openlineage_datasets import Datasets
from nbpipeline.trackers.repository import Repository

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

PRODUCER = f"urn:nbpipeline:{__version__}"
_OWN_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet"
"""Of the facet `nbpipeline`, which has no published schema of its own."""
_ENDED = {"succeeded": "COMPLETE", "restored": "COMPLETE", "failed": "FAIL", "check_failed": "FAIL"}
_UNCHANGED = "fresh"
"""A stage that turned out to need nothing had no run."""

Due = Callable[[], "RunEvent"]
"""Makes the event when it is to be sent."""


class Lineage:
    """The events of one project's runs."""

    def __init__(self, root: Path, project: str, namespace: str, datasets: str) -> None:
        """Read nothing yet; `datasets` is a namespace for the project's files, or empty: where they stand."""
        self._root = root
        self._project = project
        self._namespace = namespace
        self._datasets = Datasets(root, datasets)
        self._ids: dict[tuple[str, str], str] = {}
        self._over: set[tuple[str, str]] = set()
        """Runs and stages of which all was told."""

    @cached_property
    def _repository(self) -> Repository:
        return Repository.of(self._root)

    def due(self, run: RunLog, told: Collection[str] = ()) -> dict[str, Due]:
        """Give the events that the run has come to, less those `told`.

        By their keys: the run's id there, the event's type.
        """
        whole = self._id(run, "")
        found: dict[str, Due] = {f"{whole}/START": partial(self._of_run, run, "START", run.started)}
        for one in run.stages:
            if (run.run, one.stage) not in self._over:
                due = self._of_stage(run, one)
                found |= due
                if (one.finished or run.finished) is not None and all(key in told for key in due):
                    self._over.add((run.run, one.stage))
        if run.finished is not None:
            ended = _ENDED.get(run.status, "ABORT")
            found[f"{whole}/{ended}"] = partial(self._of_run, run, ended, run.finished)
        return {key: one for key, one in found.items() if key not in told}

    def _id(self, run: RunLog, stage: str) -> str:
        """Give `run_id`, worked out once: a run is told of again and again."""
        key = (run.run, stage)
        if key not in self._ids:
            self._ids[key] = run_id(run, stage)
        return self._ids[key]

    def _of_stage(self, run: RunLog, one: StageLog) -> dict[str, Due]:
        own, finished = self._id(run, one.stage), one.finished or run.finished
        found: dict[str, Due] = {}
        if one.status == _UNCHANGED:
            return found
        if one.started is not None and one.status != "blocked":
            found[f"{own}/START"] = partial(self._of_instance, run, one, "START", one.started)
        if finished is not None:  # the run's end is that of a stage which was killed with it
            ended = _ENDED.get(one.status, "ABORT")
            found[f"{own}/{ended}"] = partial(self._of_instance, run, one, ended, finished)
        return found

    # --- events ------------------------------------------------------------------------------

    def _event(self, kind: str, time: float, **given: Any) -> RunEvent:
        from openlineage.client.event_v2 import RunEvent, RunState  # noqa: PLC0415 - loaded when there is news

        moment = datetime.fromtimestamp(time, UTC).isoformat()
        return RunEvent(eventType=RunState[kind], eventTime=moment, producer=PRODUCER, **given)

    def _of_run(self, run: RunLog, kind: str, time: float) -> RunEvent:
        from openlineage.client.event_v2 import Job, Run  # noqa: PLC0415 - as above
        from openlineage.client.facet_v2 import nominal_time_run  # noqa: PLC0415 - as above

        began = datetime.fromtimestamp(run.started, UTC).isoformat()
        about: dict[str, Value] = {"run": run.run, "command": run.command, "fresh": run.fresh}
        if run.finished is not None:
            about |= {"status": run.status, "seconds": run.seconds, "counts": dict(run.counts)}
        facets = {
            "processing_engine": _engine(),
            "nominalTime": nominal_time_run.NominalTimeRunFacet(nominalStartTime=began, **_SAID_BY),
            "nbpipeline": _own(about, run),
        }
        failed = [one for one in run.stages if one.failure]
        if kind == "FAIL" and failed:
            facets["errorMessage"] = _error(failed[0], prefix=f"{failed[0].stage}: ")
        return self._event(
            kind,
            time,
            run=Run(runId=run_id(run, ""), facets=facets),
            job=Job(self._namespace, self._project, facets={"jobType": _job_type("PIPELINE")}),
        )

    def _of_instance(self, run: RunLog, one: StageLog, kind: str, time: float) -> RunEvent:
        from openlineage.client.event_v2 import Job, Run  # noqa: PLC0415 - as above

        facets = {
            "processing_engine": _engine(),
            "parent": self._parent(run),
            "nbpipeline": _own(_about(one, kind), run),
        }
        if one.parameters:
            facets["executionParameters"] = _parameters(one)
        if one.failure and kind in {"FAIL", "ABORT"}:
            facets["errorMessage"] = _error(one)
        about = {"jobType": _job_type("STAGE"), **self._source(run, one)}
        ended = kind != "START"
        return self._event(
            kind,
            time,
            run=Run(runId=run_id(run, one.stage), facets=facets),
            job=Job(self._namespace, f"{self._project}.{one.stage}", facets=about),
            inputs=self._datasets.inputs(one, PRODUCER, checked=ended),
            outputs=self._datasets.outputs(one, PRODUCER) if ended else [],
        )

    def _parent(self, run: RunLog) -> Any:
        from openlineage.client.facet_v2 import parent_run as facet  # noqa: PLC0415 - as above

        own = run_id(run, "")
        made = facet.ParentRunFacet(
            run=facet.Run(runId=own),
            job=facet.Job(namespace=self._namespace, name=self._project),
            **_SAID_BY,
        )
        if hasattr(facet, "Root"):  # clients of an older release have none
            job = facet.RootJob(namespace=self._namespace, name=self._project)
            made.root = facet.Root(run=facet.RootRun(runId=own), job=job)
        return made

    def _source(self, run: RunLog, one: StageLog) -> dict[str, Any]:
        from openlineage.client.facet_v2 import source_code_location_job as facet  # noqa: PLC0415 - as above

        if run.commit is None or not one.notebook:
            return {}
        place = self._repository
        return {
            "sourceCodeLocation": facet.SourceCodeLocationJobFacet(
                type="git",
                url=place.url_of(one.notebook, run.commit.id),
                repoUrl=place.remote or None,
                path=place.path_of(one.notebook),
                version=run.commit.id,
                **_SAID_BY,
            )
        }


_SAID_BY: Mapping[str, Any] = {"producer": PRODUCER}


def run_id(run: RunLog, stage: str) -> str:
    """Give the UUID of a stage's run there ("": of the whole), the same whenever and wherever it is asked."""
    from openlineage.client.uuid import generate_static_uuid  # noqa: PLC0415 - as above

    try:
        began = datetime.strptime(run.run[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        began = datetime.fromtimestamp(0, UTC)
    return str(generate_static_uuid(began, f"{run.project}/{run.run}/{stage}".encode()))


def _engine() -> Any:
    from openlineage.client.facet_v2 import processing_engine_run as facet  # noqa: PLC0415 - as above

    return facet.ProcessingEngineRunFacet(
        version=__version__, name="nbpipeline", openlineageAdapterVersion=__version__, **_SAID_BY
    )


def _job_type(kind: str) -> Any:
    from openlineage.client.facet_v2 import job_type_job as facet  # noqa: PLC0415 - as above

    return facet.JobTypeJobFacet(processingType="BATCH", integration="NBPIPELINE", jobType=kind, **_SAID_BY)


def _parameters(one: StageLog) -> Any:
    from openlineage.client.facet_v2 import execution_parameters_run as facet  # noqa: PLC0415 - as above

    given = [
        facet.ExecutionParameter(key=name, name=name, value=str(value))
        for name, value in one.parameters.items()
    ]
    return facet.ExecutionParametersRunFacet(parameters=given, **_SAID_BY)


def _error(one: StageLog, prefix: str = "") -> Any:
    from openlineage.client.facet_v2 import error_message_run as facet  # noqa: PLC0415 - as above

    failure = one.failure or {}
    parts = [str(failure[key]) for key in ("where", "what", "known") if failure.get(key)]
    return facet.ErrorMessageRunFacet(
        message=prefix + ": ".join(parts), programmingLanguage="python", **_SAID_BY
    )


def _about(one: StageLog, kind: str) -> dict[str, Value]:
    """Say what OpenLineage has no word for."""
    found: dict[str, Value] = {
        "stage": one.stage,
        "action": one.action,
        "reasons": [dict(reason) for reason in one.reasons],
    }
    if one.fingerprint is not None:
        found["state"] = state_digest(one.fingerprint)
    if kind == "START":
        return found
    ended = {"status": one.status, "seconds": one.seconds, "attempts": one.attempts}
    return {**found, **ended, "peak_memory": one.peak_memory, "metrics": dict(one.metrics)}


def _own(about: Mapping[str, Value], run: RunLog) -> dict[str, Any]:
    """Make the facet `nbpipeline`."""
    commit = {"git_commit": run.commit.id, "git_dirty": run.commit.dirty} if run.commit else {}
    return {"_producer": PRODUCER, "_schemaURL": _OWN_SCHEMA, **plain({**about, **commit})}
