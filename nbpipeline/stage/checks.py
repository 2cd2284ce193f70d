"""What must hold before a stage runs and after it ran."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from nbpipeline.encoding import verdict_data
from nbpipeline.location import is_url
from nbpipeline.model import BoundArtifact, Failure, StageInstance, Value
from nbpipeline.stage import failures
from nbpipeline.stage.backends import Backends
from nbpipeline.stage.places import absolute, local_outputs, staged_of

Tell = Callable[[str, Mapping[str, Value]], None]
"""Sends an event of the instance: its kind and data."""


def before(
    instance: StageInstance, backends: Backends, root: Path, environment: Mapping[str, str], tell: Tell
) -> Failure | None:
    """Find the first thing that keeps a stage from running: a secret, an input, a check on an input."""
    for name in instance.spec.secrets:
        if not environment.get(name):
            return failures.missing_secret(instance, name)
    for artifact in instance.inputs:
        for path in artifact.paths:
            if not is_url(path) and not absolute(root, path).exists():
                return failures.missing_input(artifact.spec, path)
    standing = {one.name: _places(one, root) for one in instance.inputs}
    for artifact in instance.inputs:
        failure = _checked("input", instance, artifact, standing, backends, tell)
        if failure:
            return failure
    return None


def after(instance: StageInstance, backends: Backends, root: Path, run: str, tell: Tell) -> Failure | None:
    """Find the first thing that is wrong with the outputs where the notebook wrote them."""
    return next(_wrong(instance, backends, root, run, tell), None)


def _wrong(
    instance: StageInstance, backends: Backends, root: Path, run: str, tell: Tell
) -> Iterator[Failure]:
    for output, path in local_outputs(instance):
        written = _written(output, path, root, run)
        if not written.exists():
            yield failures.missing_output(output.spec, path)
        elif not output.spec.allow_outside and _leads_outside(written, root):
            yield failures.outside_output(output.spec, path, os.path.realpath(written))
        elif written.is_dir():
            if not any(one.is_file() for one in written.rglob("*")):
                yield failures.empty_output(output.spec, path, folder=True)
        elif written.stat().st_size == 0:
            yield failures.empty_output(output.spec, path, folder=False)
    standing = {one.name: _places(one, root) for one in instance.inputs}
    for output in instance.outputs:
        places = tuple(_written(output, path, root, run) for path in output.paths if not is_url(path))
        standing[output.name] = places
    for output in instance.outputs:
        failure = _checked("output", instance, output, standing, backends, tell)
        if failure:
            yield failure


def _leads_outside(written: Path, root: Path) -> bool:
    """Whether a notebook put a link there that leads out of the project."""
    return not Path(os.path.realpath(written)).is_relative_to(os.path.realpath(root))


def _written(output: BoundArtifact, path: str, root: Path, run: str) -> Path:
    target = absolute(root, path)
    return staged_of(Path(os.path.realpath(target)), run) if output.spec.publish == "atomic" else target


def _places(artifact: BoundArtifact, root: Path) -> tuple[Path, ...]:
    return tuple(absolute(root, path) for path in artifact.paths if not is_url(path))


def _checked(
    side: str,
    instance: StageInstance,
    artifact: BoundArtifact,
    standing: Mapping[str, tuple[Path, ...]],
    backends: Backends,
    tell: Tell,
) -> Failure | None:
    """Try an artifact's checks; `standing` is where it and those that it may be compared with stand."""
    others = {name: tuple(map(str, paths)) for name, paths in standing.items()}
    checks = tuple(replace(one, others=others) for one in instance.spec.expect.get(artifact.name, ()))
    places = standing[artifact.name]
    if not checks or not places:
        return None
    verdicts = backends.validators(places, checks)
    for one in verdicts:
        tell("check_finished", {"side": side, "artifact": artifact.name, **verdict_data(one)})
    return failures.failed_checks(side, artifact.name, verdicts)
