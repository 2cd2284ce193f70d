"""What must hold before a stage runs and after it ran."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from nbpipeline.encoding import verdict_data
from nbpipeline.location import is_url
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import BoundArtifact, Failure, StageInstance, Value
from nbpipeline.ports import Cancel
from nbpipeline.stage import failures
from nbpipeline.stage.around import bound, deadline, surroundings
from nbpipeline.stage.backends import Backends, Surroundings
from nbpipeline.stage.places import absolute, local_outputs, staged_of

Tell = Callable[[str, Mapping[str, Value]], None]
"""Sends an event of the instance: its kind and data."""


def before(
    instance: StageInstance,
    backends: Backends,
    root: Path,
    environment: Mapping[str, str],
    tell: Tell,
    cancel: Cancel,
    masker: Masker,
) -> Failure | None:
    """Find the first thing that keeps a stage from running: a secret, an input, a check on an input.

    Checks have as much time as an attempt.
    """
    for name in instance.spec.secrets:
        if not environment.get(name):
            return failures.missing_secret(instance, name)
    for artifact in instance.inputs:
        for path in artifact.paths:
            if not is_url(path) and not absolute(root, path).exists():
                return failures.missing_input(artifact.spec, path)
    standing = {one.name: _places(one, root) for one in instance.inputs}
    around = surroundings(instance.spec, root, cancel, masker, deadline(instance.spec))
    checker = _Checker(instance, backends, root, tell, around)
    for artifact in instance.inputs:
        failure = checker.checked("input", artifact, standing)
        if failure:
            return failure
    return None


def after(
    instance: StageInstance,
    backends: Backends,
    root: Path,
    run: str,
    tell: Tell,
    cancel: Cancel,
    masker: Masker,
    until: float | None = None,
) -> Failure | None:
    """Find the first thing that is wrong with the outputs where the notebook wrote them.

    `until`: when the attempt's time is up, of the monotonic clock.
    """
    around = surroundings(instance.spec, root, cancel, masker, until)
    return next(_wrong(instance, _Checker(instance, backends, root, tell, around), run), None)


def _wrong(instance: StageInstance, checker: "_Checker", run: str) -> Iterator[Failure]:
    root = checker.root
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
        failure = checker.checked("output", output, standing)
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


class _Checker:
    """Tries the checks of one instance, and tells of each."""

    def __init__(
        self, instance: StageInstance, backends: Backends, root: Path, tell: Tell, around: Surroundings
    ) -> None:
        self.root = root
        self._instance, self._backends, self._tell = instance, backends, tell
        self._around = around

    def checked(
        self, side: str, artifact: BoundArtifact, standing: Mapping[str, tuple[Path, ...]]
    ) -> Failure | None:
        """Have the artifact's files checked; `standing` is where it and those to compare it with are."""
        spec, places = self._instance.spec, standing[artifact.name]
        checks = bound(spec.expect.get(artifact.name, ()), standing)
        if not checks or not places:
            return None
        around = self._around
        verdicts = self._backends.validators(places, checks, around)
        if around.cancel.level:  # verdicts may be missing
            return failures.interrupted(self._instance)
        if around.late():
            return failures.slow_checks(self._instance, side, artifact.name, checks)
        for one in verdicts:
            self._tell("check_finished", {"side": side, "artifact": artifact.name, **verdict_data(one)})
            if one.passed and "sampled" in one.details:
                text = "was tried on some of the rows alone: the file is too large for memory"
                self._tell("notice", {"text": f"{side} '{artifact.name}': {one.check.name} {text}"})
            if not one.passed and one.severity == "warn":
                text = f"warning: {side} '{artifact.name}': {one.check.name}: {one.message}"
                self._tell("notice", {"text": text})
        return failures.failed_checks(side, artifact.name, verdicts)
