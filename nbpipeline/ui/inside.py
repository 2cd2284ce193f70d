"""`nbpipeline.stage()`: the stage's inputs, outputs and parameters, from inside its notebook.

In the pipeline the runner leaves the values in a file that the variable NBPIPELINE_CONTEXT names;
in JupyterLab or VS Code they are read from the project, by the notebook's own path.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nbpipeline
from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.location import is_url
from nbpipeline.model import BoundArtifact, PathValue, StageInstance, axis_text
from nbpipeline.values import dataclass

CONTEXT = "NBPIPELINE_CONTEXT"
_NOTEBOOK_SUFFIXES = (".ipynb", ".py", ".md", ".Rmd", ".R")


class Values(Mapping[str, Any]):
    """Names with values, as attributes and as items: `stage().params.C` or `stage().params["C"]`."""

    def __init__(self, kind: str, values: Mapping[str, Any]) -> None:
        """Take the values; `kind` (`input`, `output`, `parameter`) is for messages."""
        self._kind = kind
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        """Give the value; raises KeyError."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Walk the names in declared order."""
        return iter(self._values)

    def __len__(self) -> int:
        """Count the names."""
        return len(self._values)

    def __getattr__(self, name: str) -> Any:
        """Give the value; raises AttributeError that names the nearest."""
        if name.startswith("_") or name not in self._values:
            nearest = did_you_mean(name, self._values)
            hint = (
                f"; did you mean '{nearest}'?"
                if nearest
                else f"; there are: {', '.join(self._values) or 'none'}"
            )
            raise AttributeError(f"the stage declares no {self._kind} '{name}'{hint}", name=name, obj=None)
        return self._values[name]

    def __dir__(self) -> list[str]:
        """Offer the names to the tab key."""
        return [*super().__dir__(), *self._values]

    def __repr__(self) -> str:
        """Show names and values."""
        return f"Values({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The stage that this notebook is."""

    name: str
    """The instance's id: `train`, or `train[region=eu]`."""
    inputs: Values
    """Local paths as `pathlib.Path` from the kernel's folder, URLs as text; lists and mappings stay such."""
    outputs: Values
    params: Values
    """Parameters, and the values of matrix axes."""


def stage(name: str | None = None, **axes: Any) -> Stage:
    """Give the stage that the calling notebook is, in JupyterLab and in the pipeline alike.

    `name` is only needed where the notebook cannot be told (`jupyter execute`); `axes` choose an
    instance of a matrix, by default its first one. In the pipeline both are ignored.
    Raises UsageError when the stage cannot be found, ReadingError or PipelineError for a faulty project.
    """
    handed = handed_over()
    if handed is not None:
        return Stage(
            name=str(handed["stage"]),
            inputs=Values("input", {key: as_path(one) for key, one in handed["inputs"].items()}),
            outputs=Values("output", {key: as_path(one) for key, one in handed["outputs"].items()}),
            params=Values("parameter", {**handed["axes"], **handed["parameters"]}),
        )
    root, instance = instance_here(name, axes)
    return Stage(
        name=instance.id,
        inputs=Values("input", _local(root, instance, instance.inputs)),
        outputs=Values("output", _local(root, instance, instance.outputs)),
        params=Values("parameter", {key: plain_paths(one) for key, one in parameters_of(instance).items()}),
    )


def handed_over() -> Mapping[str, Any] | None:
    """Read what the runner left for this kernel; None outside the pipeline."""
    path = os.environ.get(CONTEXT)
    if not path:
        return None
    try:
        handed: Mapping[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError:
        return None  # a kernel started by hand with a dead run's environment
    return handed


def parameters_of(instance: StageInstance) -> dict[str, Any]:
    """Give the resolved parameters and the axes, which are parameters to the notebook."""
    return {**dict(instance.axes), **instance.parameters}


def instance_here(
    name: str | None = None, axes: Mapping[str, Any] | None = None
) -> tuple[Path, StageInstance]:
    """Find the project's root and the instance that the calling notebook is; errors as `stage` says."""
    project = nbpipeline.Project(project_folder())
    pipeline = project.pipeline
    notebook = None if name else notebook_path()
    if name is None and notebook is None:
        raise UsageError.of(
            "nbpipeline cannot tell which notebook this is.",
            known=f"stages: {', '.join(sorted({one.spec.name for one in pipeline}))}",
            mend="name the stage: nbpipeline.stage('NAME'), or %nbpipeline NAME",
        )
    root = Path(project.root)
    found = [
        one
        for one in pipeline
        if (one.spec.name == name if name else (root / one.spec.notebook.path).resolve() == notebook)
    ]
    wanted = {key: str(value) for key, value in (axes or {}).items()}
    chosen = [one for one in found if wanted.items() <= {key: axis_text(v) for key, v in one.axes}.items()]
    if not chosen:
        raise _unknown(name or str(notebook), found, [one.spec.name for one in pipeline])
    return root, chosen[0]


def _unknown(wanted: str, found: list[StageInstance], stages: list[str]) -> UsageError:
    if found:
        return UsageError.of(
            f"stage '{found[0].spec.name}' has no such instance.",
            known=f"instances: {', '.join(one.id for one in found)}",
            mend="give an axis and one of its values",
        )
    nearest = did_you_mean(wanted, stages)
    return UsageError.of(
        f"'{wanted}' is no stage of this project.",
        known=f"stages: {', '.join(sorted(set(stages)))}",
        mend=f"did you mean '{nearest}'?" if nearest else "tag its cells, or give it a header",
    )


def project_folder() -> Path:
    """Find the project from a notebook's folder, also one that is a project without a pipeline.yaml."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pipeline.yaml").is_file() or (folder / ".nbpipeline").is_dir():
            return folder
    return here.parent if here.name == "notebooks" else here


def notebook_path() -> Path | None:
    """Tell the notebook that this kernel runs, from what JupyterLab and VS Code leave; None elsewhere."""
    session = _vs_code_notebook() or os.environ.get("JPY_SESSION_NAME")
    if not session:
        return None
    path = Path(session)
    here = Path.cwd() / path.name  # a kernel starts in its notebook's folder
    for one in (path if path.is_absolute() else here, here):
        if one.suffix in _NOTEBOOK_SUFFIXES and one.is_file():
            return one.resolve()
    return None


def _vs_code_notebook() -> str | None:
    from IPython.core.getipython import get_ipython  # noqa: PLC0415 - only inside a kernel, where it is loaded

    shell = get_ipython()
    return shell.user_ns.get("__vsc_ipynb_file__") if shell else None


def as_path(value: Any) -> Any:
    """Make paths of texts, inside lists and mappings too; URLs stay text."""
    if isinstance(value, str) and not is_url(value):
        return Path(value)
    if isinstance(value, Mapping):
        return {key: as_path(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_path(one) for one in value]
    return value


def _local(root: Path, instance: StageInstance, bound: tuple[BoundArtifact, ...]) -> dict[str, Any]:
    """Give paths from the present folder, whichever folder the pipeline's kernel would have."""
    folder = root / instance.spec.working_folder

    def here(value: Any) -> Any:
        if isinstance(value, Path):
            return value if value.is_absolute() else Path(os.path.relpath(folder / value))
        if isinstance(value, Mapping):
            return {key: here(one) for key, one in value.items()}
        if isinstance(value, list):
            return [here(one) for one in value]
        return value

    return {one.name: here(as_path(plain_paths(one.value))) for one in bound}


def plain_paths(value: Any) -> Any:
    """Turn the model's path values into `pathlib.Path`."""
    if isinstance(value, PathValue):
        return Path(value.text)
    if isinstance(value, Mapping):
        return {key: plain_paths(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_paths(one) for one in value]
    return value
