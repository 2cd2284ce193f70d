"""What has to be installed where exported tasks run: what the stages import, with all that needs, pinned."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata

from nbpipeline import __version__, validators
from nbpipeline.fingerprint import Fingerprinter, Glance
from nbpipeline.model import Pipeline, StageInstance

_OURS = "nbpipeline"
_OF_TRACKERS: Mapping[str, str] = {"opentelemetry": "telemetry"}
"""A tracker's extra where it is not of the tracker's name."""
_OF_VALIDATORS: Mapping[str, str] = {
    "columns": "data",
    "great_expectations": "expectations",
    "pandera": "pandera",
}
_CONVERTED = {".html": "convert", ".md": "convert", ".pdf": "pdf"}


def python_version(pipeline: Pipeline, fingerprinter: Fingerprinter) -> str:
    """Give the minor version of the Python that most stages' kernels run on; 3.11 where none does."""
    glance = Glance()
    found = [fingerprinter.installed(one, glance)[1].get("python", "") for one in pipeline]
    known = [one for one in found if one and one != "unknown"]
    return max(sorted(set(known)), key=known.count, default="3.11")


def pinned(pipeline: Pipeline, fingerprinter: Fingerprinter) -> tuple[str, ...]:
    """Pin what stages of the pipeline import, nbpipeline with the extras that it needs, and all behind them.

    As installed where the kernels look; `NAME==VERSION` each, sorted. A stage whose kernel is no Python adds
    nothing.
    """
    glance = Glance()
    sites: dict[str, None] = {}
    wanted: dict[str, set[str]] = {_OURS: set(extras(pipeline))}
    for instance in pipeline:
        where, found = fingerprinter.installed(instance, glance)
        sites.update(dict.fromkeys(where))
        for name in found:
            if name != "python":
                wanted.setdefault(_normal(name), set())
        wanted.setdefault("ipykernel", set())
    installed = _installed(sites)
    versions = _closure(wanted, installed)
    versions[_OURS] = __version__
    return tuple(f"{name}=={version}" for name, version in sorted(versions.items()))


def extras(pipeline: Pipeline) -> Iterator[str]:
    """Name the extras of nbpipeline without which the pipeline's tasks would not run."""
    project = pipeline.project
    for tracker in project.tracking:
        yield _OF_TRACKERS.get(tracker, tracker)
    store = str(project.store.get("path") or "")
    if store.startswith("s3://"):
        yield "s3"
    for instance in pipeline:
        yield from _extras_of(instance)


def _extras_of(instance: StageInstance) -> Iterator[str]:
    for checks in instance.spec.expect.values():
        for check in checks:
            extra = _OF_VALIDATORS.get(validators.choice.validator_of(check))
            if extra:
                yield extra
    executed = instance.executed or ""
    yield from (extra for ending, extra in _CONVERTED.items() if executed.endswith(ending))


def _installed(sites: Iterable[str]) -> Mapping[str, metadata.Distribution]:
    """Find distributions by name; the first folder that has one gives it, as imports go."""
    found: dict[str, metadata.Distribution] = {}
    for one in metadata.distributions(path=list(sites)):
        name = one.metadata["Name"]
        if name:
            found.setdefault(_normal(name), one)
    return found


def _closure(
    wanted: Mapping[str, set[str]], installed: Mapping[str, metadata.Distribution]
) -> dict[str, str]:
    """Follow what distributions require, with their extras, as far as it is installed."""
    done: dict[str, set[str]] = {}
    waiting = [(name, {"", *extra}) for name, extra in wanted.items()]
    while waiting:
        name, extra = waiting.pop()
        new = extra - done.get(name, set())
        if not new or name not in installed:
            continue
        done.setdefault(name, set()).update(new)
        waiting += _required(installed[name], new)
    return {name: installed[name].version for name in done}


def _required(distribution: metadata.Distribution, extra: set[str]) -> Iterator[tuple[str, set[str]]]:
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - start-up is counted

    for line in distribution.requires or ():
        try:
            one = Requirement(line)
        except InvalidRequirement:
            continue
        if one.marker is None or any(one.marker.evaluate({"extra": name}) for name in extra):
            yield _normal(one.name), {"", *one.extras}


def _normal(name: str) -> str:
    """Write a distribution's name as the packaging standards compare it."""
    parts = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(one for one in parts if one)
