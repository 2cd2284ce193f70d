"""`nbpipeline test`: one stage alone, on its test inputs, with outputs in a scratch folder."""

import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from nbpipeline import tracking
from nbpipeline.errors import gather
from nbpipeline.location import is_url
from nbpipeline.model import (
    Artifact,
    BoundArtifact,
    Expression,
    Fingerprint,
    Job,
    PathValue,
    Pipeline,
    StageInstance,
    StageResult,
    StageSpec,
    Value,
)
from nbpipeline.pipeline import build
from nbpipeline.ports import Cancel, Emit
from nbpipeline.run.folder import state_folder
from nbpipeline.stage import execute
from nbpipeline.stage.backends import Backends
from nbpipeline.values import dataclass

_FOLDER = "tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How a stage did in its test."""

    result: StageResult
    folder: Path
    """Where the executed notebook, the log and the outputs are."""


def has_test(spec: StageSpec) -> bool:
    """Whether a stage says how to test it: a `test:` key or a cell tagged `test`."""
    return bool(spec.test.inputs or spec.test.params) or any(
        "test" in cell.tags for cell in spec.notebook.cells
    )


def try_stage(
    pipeline: Pipeline,
    instance: StageInstance,
    backends: Backends,
    *,
    fixed: Collection[str],
    emit: Emit,
    cancel: Cancel,
) -> Trial:
    """Execute a stage with its `test` cells; nothing is recorded, no real output is touched.

    `fixed` names the parameters that the command line set, which `test:` does not change. Raises what `build`
    complains of, BusyError, StorageError.
    """
    root = Path(pipeline.project.root)
    folder = state_folder(root) / _FOLDER / instance.slug
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="nbpipeline-test-") as scratch:
        place = Path(scratch).resolve()
        tried = _bound(pipeline, _alone(instance, PurePosixPath(place), fixed))
        job = Job(
            root=str(root),
            run=f"test-{time.strftime('%Y%m%d-%H%M%S')}",
            folder=str(folder),
            instance=tried,
            fingerprint=Fingerprint(),
            environment=_untracked(pipeline, folder),
            test=True,
        )
        result = execute(job, backends, emit, cancel)
        _settle(folder, place)
    return Trial(result=result, folder=folder)


def _untracked(pipeline: Pipeline, folder: Path) -> dict[str, str]:
    """Let what the notebook logs to trackers' systems by itself stay with the test."""
    names = pipeline.project.tracking
    return tracking.link.apart(names, None, folder / "untracked") if names else {}


def _settle(folder: Path, place: Path) -> None:
    """Put what the test wrote where a reader looks for it: `outputs`, beside the executed notebook."""
    kept = folder / "test-outputs"
    written = kept / str(place).lstrip("/")
    if written.is_dir():
        written.rename(folder / "outputs")
    shutil.rmtree(kept, ignore_errors=True)


def _bound(pipeline: Pipeline, spec: StageSpec) -> StageInstance:
    """Make the instance again, through the same code that made the real one."""
    project = replace(pipeline.project, stages=(spec,), params={})
    built, complaints = build(project)
    error = gather(complaints)
    if error or built is None:
        raise error or RuntimeError("a stage without complaints has an instance")
    return next(iter(built))


def _alone(instance: StageInstance, place: PurePosixPath, fixed: Collection[str]) -> StageSpec:
    """Cut a stage out of its pipeline: paths for references, one value an axis, test values."""
    spec = instance.spec
    axes = dict(instance.axes)
    settings = {name: value for name, value in instance.parameters.items() if name not in axes}
    settings.update({name: value for name, value in spec.test.params.items() if name not in fixed})
    return replace(
        spec,
        inputs=tuple(_moved(one, _test_input(one, spec)) for one in instance.inputs),
        outputs=tuple(_moved(one, _scratch(one.value, iter(one.paths), place)) for one in instance.outputs),
        matrix={axis: (value,) for axis, value in axes.items()},
        settings=settings,
        links=(),
        executed=None,
        retries=0,
    )


def _moved(bound: BoundArtifact, value: Expression) -> Artifact:
    return replace(bound.spec, value=value, base="", reference=None, must_agree=False, allow_outside=True)


def _test_input(bound: BoundArtifact, spec: StageSpec) -> Expression:
    """Give the test's path of an input, else its real one, from the project's root."""
    given = spec.test.inputs.get(bound.name)
    return _literal(bound.value, iter(bound.paths)) if given is None else _given(given, bound.value)


def _given(value: Value, like: Value) -> Expression:
    if isinstance(value, dict):
        return Expression("dict", tuple(_given(one, "") for pair in value.items() for one in pair))
    if isinstance(value, (list, tuple)):
        return Expression("list", tuple(_given(one, "") for one in value))
    text = str(value)
    return Expression("literal", (PathValue(text) if isinstance(like, PathValue) else text,))


def _literal(value: Value, paths: Iterator[str]) -> Expression:
    """Write a name's value again with the project paths at its leaves."""
    if isinstance(value, dict):
        items = [
            part
            for key, one in value.items()
            for part in (Expression("literal", (key,)), _literal(one, paths))
        ]
        return Expression("dict", tuple(items))
    if isinstance(value, (list, tuple)):
        return Expression("list", tuple(_literal(one, paths) for one in value))
    path = next(paths)
    if str(value).endswith("/") and not path.endswith("/"):
        path += "/"  # a folder, as the notebook is given it
    return Expression("literal", (PathValue(path) if isinstance(value, PathValue) else path,))


def _scratch(value: Value, paths: Iterator[str], place: PurePosixPath) -> Expression:
    return _literal(value, (str(place / _inside(path)) for path in paths))


def _inside(path: str) -> PurePosixPath:
    """Give where under the scratch folder an output goes; what lies outside the project goes by its name."""
    parts = PurePosixPath(path)
    outside = parts.is_absolute() or ".." in parts.parts or is_url(path)
    return PurePosixPath(parts.name) if outside else parts
