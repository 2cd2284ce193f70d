"""What has to be installed where exported tasks run: what the stages import, with all that needs, pinned."""

import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, NamedTuple

from nbpipeline import __version__, validators
from nbpipeline.fingerprint import Fingerprinter, Glance
from nbpipeline.model import Pipeline, StageInstance
from nbpipeline.patterns import regex

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_OURS = "nbpipeline"
_OF_TRACKERS: Mapping[str, str] = {"opentelemetry": "telemetry"}
"""A tracker's extra where it is not of the tracker's name."""
_OF_VALIDATORS: Mapping[str, str] = {
    "columns": "data",
    "great_expectations": "expectations",
    "pandera": "pandera",
}
_OF_PROTOCOLS: Mapping[str, str] = {
    **dict.fromkeys(("http", "https"), "aiohttp"),
    **dict.fromkeys(("s3", "s3a"), "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(("abfs", "abfss", "az"), "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "hdfs": "pyarrow",
}
"""Protocol of a store, an input, an output -> what fsspec needs for it."""
_FOLD = regex(r"\n[ \t]+")
_CONVERTED = {".html": "convert", ".md": "convert", ".pdf": "pdf"}


def python_version(pipeline: Pipeline, fingerprinter: Fingerprinter) -> str:
    """Give the minor version of the Python that most stages' kernels run on; 3.11 where none does."""
    glance = Glance()
    found = [fingerprinter.installed(one, glance).versions.get("python", "") for one in pipeline]
    known = [one for one in found if one and one != "unknown"]
    return max(sorted(set(known)), key=known.count, default="3.11")


class Lock(NamedTuple):
    """What is to be installed in an image of Linux."""

    python: str
    """Minor version of its Python: the kernels'."""
    pins: tuple[str, ...]
    """`NAME==VERSION` each, sorted."""
    lacking: tuple[str, ...]
    """Names of what is needed there, and not installed here, so that nobody knows a version.

    Of what is imported, the name that it is imported by: nobody knows the distribution's, either.
    """


def pinned(pipeline: Pipeline, fingerprinter: Fingerprinter) -> Lock:
    """Pin what stages of the pipeline import, nbpipeline with the extras that it needs, and all behind them.

    As installed where the kernels look, else where nbpipeline is; what is needed is asked for the image's
    Python, on Linux. A stage whose kernel is no Python adds nothing.
    """
    glance = Glance()
    sites: dict[str, None] = {}
    missing: set[str] = set()
    wanted: dict[str, set[str]] = {_OURS: set(extras(pipeline))}
    for instance in pipeline:
        supply = fingerprinter.installed(instance, glance)
        sites.update(dict.fromkeys(supply.sites))
        missing.update(supply.missing)
        for name in supply.versions:
            if name != "python":
                wanted.setdefault(_normal(name), set())
        wanted.setdefault("ipykernel", set())
    for name in libraries(pipeline):
        wanted.setdefault(name, set())
    installed = _installed([*sites, *sys.path])
    for name in missing & installed.keys():  # what is called as it is imported
        wanted.setdefault(name, set())
    python = python_version(pipeline, fingerprinter)
    versions, lacking = _closure(wanted, installed, _there(python))
    lacking |= missing - installed.keys()
    versions[_OURS] = __version__
    pins = tuple(f"{name}=={version}" for name, version in sorted(versions.items()))
    return Lock(python, pins, tuple(sorted(lacking - {_OURS})))


def libraries(pipeline: Pipeline) -> Iterator[str]:
    """Name what fsspec needs for the URLs of the store, of inputs and outputs."""
    found = [str(pipeline.project.store.get("path") or "")]
    found += [path for one in pipeline for artifact in (*one.inputs, *one.outputs) for path in artifact.paths]
    for one in found:
        protocol, separator, _ = one.partition("://")
        if separator and protocol in _OF_PROTOCOLS:
            yield from ("fsspec", _OF_PROTOCOLS[protocol])


def _there(python: str) -> dict[str, str]:
    """Give what markers of requirements ask for, as it is in the image, on a machine like this one."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    machine = platform.machine()
    return {
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": {"arm64": "aarch64", "AMD64": "x86_64"}.get(machine, machine),
        "platform_release": "",
        "platform_version": "",
        "python_version": python,
        "python_full_version": platform.python_version() if python == here else f"{python}.0",
    }


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


class _Installed(NamedTuple):
    """What the head of a distribution's metadata says; to parse all of it takes ten times as long."""

    name: str
    version: str
    requires: tuple[str, ...]


def _installed(sites: Iterable[str]) -> Mapping[str, _Installed]:
    """Find distributions by name; the first folder that has one gives it, as imports go."""
    found: dict[str, _Installed] = {}
    for one in metadata.distributions(path=list(sites)):
        read = _read(one)
        if read.name and read.version:
            found.setdefault(_normal(read.name), read)
    return found


def _read(one: metadata.Distribution) -> _Installed:
    text = one.read_text("METADATA")
    requires: Iterable[str] = () if text is not None else one.requires or ()  # an old kind: in another file
    head = (text or one.read_text("PKG-INFO") or "").partition("\n\n")[0]
    fields = [line.partition(":") for line in _FOLD.sub(" ", head).splitlines()]
    said = [(key.strip().lower(), value.strip()) for key, _, value in fields]
    first = dict(reversed(said))
    stated = tuple(value for key, value in said if key == "requires-dist")
    return _Installed(first.get("name", ""), first.get("version", ""), (*stated, *requires))


def _closure(
    wanted: Mapping[str, set[str]],
    installed: Mapping[str, _Installed],
    there: Mapping[str, str],
) -> tuple[dict[str, str], set[str]]:
    """Follow what distributions require, with their extras; gives versions, and names of what is not here."""
    done: dict[str, set[str]] = {}
    lacking: set[str] = set()
    waiting = [(name, {"", *extra}) for name, extra in wanted.items()]
    while waiting:
        name, extra = waiting.pop()
        if name not in installed:
            lacking.add(name)
            continue
        new = extra - done.get(name, set())
        if not new:
            continue
        done.setdefault(name, set()).update(new)
        waiting += _required(installed[name], new, there)
    return {name: installed[name].version for name in done}, lacking


def _required(
    distribution: _Installed, extra: set[str], there: Mapping[str, str]
) -> Iterator[tuple[str, set[str]]]:
    for line in distribution.requires:
        one = _requirement(line)
        if one is None:
            continue
        if one.marker is None or any(one.marker.evaluate({**there, "extra": name}) for name in extra):
            yield _normal(one.name), {"", *one.extras}


@cache
def _requirement(line: str) -> "Requirement | None":
    """Read a requirement; None for what is none."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - start-up is counted

    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _normal(name: str) -> str:
    """Write a distribution's name as the packaging standards compare it."""
    parts = name.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(one for one in parts if one)
