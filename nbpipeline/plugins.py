"""Finds the implementation of a port by name: built-ins in a table, others by their entry points.

Entry points are scanned only for a name that the table lacks, since the scan takes longer than a plan.
What others offer may be broken in any way: it is refused as such (exit code 5), and never taken for a bug of
ours.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nbpipeline.errors import MissingPluginError, NbpipelineError, did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

Given = TypeVar("Given")

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "executors": {"dask": "nbpipeline.executors.dask", "local": "nbpipeline.executors.local"},
    "kernels": {"fork": "nbpipeline.kernels.fork", "plain": "nbpipeline.kernels.plain"},
    "stores": {"local": "nbpipeline.stores.local", "remote": "nbpipeline.stores.cached"},
    "validators": {
        "columns": "nbpipeline.validators.columns",
        "great_expectations": "nbpipeline.validators.great_expectations",
        "pandera": "nbpipeline.validators.pandera",
    },
    "trackers": {
        "mlflow": "nbpipeline.trackers.mlflow",
        "openlineage": "nbpipeline.trackers.openlineage",
        "alerts": "nbpipeline.trackers.alerts",
        "opentelemetry": "nbpipeline.trackers.opentelemetry",
        "prometheus": "nbpipeline.trackers.prometheus",
        "tensorboard": "nbpipeline.trackers.tensorboard",
        "wandb": "nbpipeline.trackers.wandb",
    },
    "exporters": {
        "airflow": "nbpipeline.exporters.airflow",
        "argo": "nbpipeline.exporters.argo",
        "azureml": "nbpipeline.exporters.azureml",
        "dagster": "nbpipeline.exporters.dagster",
        "dvc": "nbpipeline.exporters.dvc",
        "github-actions": "nbpipeline.exporters.github_actions",
        "gitlab-ci": "nbpipeline.exporters.gitlab_ci",
        "kubeflow": "nbpipeline.exporters.kubeflow",
        "prefect": "nbpipeline.exporters.prefect",
        "sagemaker": "nbpipeline.exporters.sagemaker",
        "snakemake": "nbpipeline.exporters.snakemake",
        "vertex": "nbpipeline.exporters.vertex",
    },
    "importers": {},
}
"""Port -> name -> module. The port's entry-point group is `nbpipeline.PORT`."""

EXTRAS: Mapping[str, str] = {
    "pyarrow": "data",
    "pandas": "data",
    "openpyxl": "tables",
    "duckdb": "tables",
    "jupyter_console": "console",
    "mlflow": "mlflow",
    "openlineage": "openlineage",
    "apprise": "alerts",
    "opentelemetry": "telemetry",
    "prometheus_client": "prometheus",
    "tensorboardX": "tensorboard",
    "wandb": "wandb",
    "fsspec": "s3",
    "s3fs": "s3",
    "great_expectations": "expectations",
    "pandera": "pandera",
    "cloudpickle": "dask",
    "dask": "dask",
    "distributed": "dask",
}
"""Third-party module -> the extra that installs it."""

PACKAGES: Mapping[str, tuple[str, ...]] = {
    "alerts": ("apprise>=1.9",),
    "console": ("jupyter-console>=6.6",),
    "convert": ("nbconvert>=7.16",),
    "dask": ("distributed>=2025.7",),
    "data": ("pyarrow>=18", "pandas>=2.2"),
    "expectations": ("great-expectations>=1.18",),
    "mlflow": ("mlflow>=3.10",),
    "openlineage": ("openlineage-python>=1.43",),
    "pandera": ("pandera[pandas]>=0.26",),
    "pdf": ("nbconvert[webpdf]>=7.16",),
    "prometheus": ("prometheus-client>=0.21",),
    "s3": ("s3fs>=2025.3",),
    "tables": ("pyarrow>=18", "pandas>=2.2", "duckdb>=1.2", "openpyxl>=3.1"),
    "telemetry": ("opentelemetry-sdk>=1.30", "opentelemetry-exporter-otlp-proto-http>=1.30"),
    "tensorboard": ("tensorboardX>=2.6.2",),
    "wandb": ("wandb>=0.21",),
}
"""Extra -> what it installs, as in pyproject.toml."""

_OURS = __name__.partition(".")[0]
_NOT_WHOLE = ("it is not installed whole", "install nbpipeline again")
_A_TEXT, _A_MAPPING, _A_FUNCTION = "a text", "a mapping", "a function"
_KINDS: Mapping[str, Any] = {
    _A_TEXT: str,
    _A_MAPPING: Mapping,
    _A_FUNCTION: Callable,
    "a bool": bool,
    "a set": AbstractSet,
}
NEEDED: Mapping[str, Mapping[str, str]] = {
    "executors": {"APART": "a bool", "open_executor": _A_FUNCTION},
    "kernels": {"open_kernels": _A_FUNCTION},
    "validators": {
        "knows": _A_FUNCTION,
        "complaints": _A_FUNCTION,
        "validate": _A_FUNCTION,
    },
    "trackers": {
        "open_tracker": _A_FUNCTION,
        "require": _A_FUNCTION,
        "complaints": _A_FUNCTION,
        "files": _A_FUNCTION,
        "JOINED_BY": "a set",
    },
    "exporters": {
        "TITLE": _A_TEXT,
        "FOLDER": _A_TEXT,
        "KEEPS": _A_MAPPING,
        "OPTIONS": _A_MAPPING,
        "losses": _A_FUNCTION,
        "render": _A_FUNCTION,
    },
}
"""Port -> what must be there of it, and what that is; `ports` says what for."""


def load(port: str, name: str) -> Any:
    """Load an implementation: a module for a built-in, what the entry point names for others.

    Raises MissingPluginError for a name that nobody offers, for one whose libraries are not installed, and
    for a plug-in that cannot be loaded or lacks what the port asks for.
    """
    module = BUILT_IN[port].get(name)
    if module is None:
        return _foreign(port, name)
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise _missing(port, name, error) from error


def trusted(port: str, name: str, work: Callable[[], Given]) -> Given:
    """Do something by an implementation; what a plug-in raises is told as its own trouble.

    Raises MissingPluginError then; what is told as the tool's own trouble stays, and bugs of ours do.
    """
    try:
        return work()
    except NbpipelineError:
        raise
    except Exception as error:
        if name in BUILT_IN[port]:
            raise
        raise faulty(port, name, f"failed: {_told(error)}", _place_of(error)) from error


def require(port: str, name: str) -> None:
    """See that an implementation could do its work: what it needs is installed.

    Raises MissingPluginError where it is not, or where it is no such implementation.
    """
    asked = getattr(load(port, name), "require", None)
    if asked is not None:  # a plug-in's validator may need nothing
        trusted(port, name, asked)


def faulty(port: str, name: str, what: str, known: str = "", mend: str = "") -> MissingPluginError:
    """Say what is wrong with an implementation; of a plug-in, with the package that has it."""
    package, how = "", mend or "tell the authors of nbpipeline"
    for one in _offers(port).get(name, ()) if name not in BUILT_IN[port] else ():
        package, how = f" of {_package(one)}", f"pip install --upgrade {_project(one)}, or tell its authors"
    return MissingPluginError.of(f"{port[:-1]} '{name}'{package} {what}.", known=known, mend=how)


def refuse_clash(port: str, name: str) -> None:
    """Raise MissingPluginError where a package offers what is built in; scans entry points."""
    others = _offers(port).get(name, ()) if name in BUILT_IN[port] else ()
    if others:
        raise MissingPluginError.of(
            f"{port[:-1]} '{name}' is built in, and {_package(others[0])} offers another of that name.",
            mend=f"pip uninstall {_project(others[0])}, or have its authors take another name",
        )


def installed() -> Iterable[tuple[str, str]]:
    """Give port and name of all that other packages offer; scans entry points once."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up is counted

    found = entry_points()
    return sorted({(port, one.name) for port in BUILT_IN for one in found.select(group=f"nbpipeline.{port}")})


def package_of(port: str, name: str) -> str:
    """Name the package that offers an implementation, with its version; scans entry points."""
    return next((_package(one) for one in _offers(port).get(name, ())), "")


def missing_library(library: str, needed_by: str) -> MissingPluginError:
    """Say that a library is not installed, with the line that installs it."""
    top = library.partition(".")[0]
    extra = EXTRAS.get(top)
    return MissingPluginError.of(
        f"{needed_by} needs the library {top}, which is not installed.",
        mend=install(extra) if extra else f"pip install '{top.replace('_', '-')}'",
    )


def install(extra: str) -> str:
    """Give the line that installs what an extra consists of, and the one for a clone of nbpipeline.

    Not by nbpipeline's own name: as long as it is not released, an index may give another project for it.
    """
    packages = " ".join(f"'{one}'" for one in PACKAGES[extra])
    return f"pip install {packages}, or in a clone of nbpipeline: pip install -e '.[{extra}]'"


def names(port: str) -> tuple[str, ...]:
    """Every name that can be loaded for the port; scans entry points."""
    return tuple(sorted({*BUILT_IN[port], *_offers(port)}))


def further(port: str) -> tuple[str, ...]:
    """Every name that others offer for the port; scans entry points."""
    return tuple(sorted(set(_offers(port)) - set(BUILT_IN[port])))


def _foreign(port: str, name: str) -> Any:
    """Load what another package offers, and see that it is what the port asks for."""
    offers = _offers(port)
    if name not in offers:
        raise _unknown(port, name, sorted({*BUILT_IN[port], *offers}))
    first, *others = offers[name]
    if others:
        both = " and ".join(sorted(_package(one) for one in (first, *others)))
        raise MissingPluginError.of(
            f"there are several {port} '{name}': of {both}.", mend="uninstall all but one of them"
        )
    if not name.replace("-", "").replace("_", "").isalnum():
        raise faulty(port, name, "cannot be called so: letters, digits, `-` and `_` make a name")
    try:
        found = first.load()
    except ModuleNotFoundError as error:
        raise _missing(port, name, error, first.module) from error
    except (Exception, SystemExit) as error:
        raise faulty(port, name, f"cannot be loaded: {_told(error)}", _place_of(error)) from error
    wrong = "; ".join(_wrong(port, found))
    if wrong:
        raise faulty(port, name, f"is none: {wrong}", f"it needs: {', '.join(NEEDED[port])}")
    return found


def _missing(port: str, name: str, error: ModuleNotFoundError, own: str = "") -> MissingPluginError:
    """Say what a module of ours, or `own` of a plug-in, could not import: a library, or a part of these.

    No index has such a part: what is called so there is somebody else's.
    """
    lacked = error.name or ""
    top = lacked.partition(".")[0]
    if top == _OURS:
        known, mend = ("it was made for another version of nbpipeline", "") if own else _NOT_WHOLE
        return faulty(port, name, f"cannot be loaded: {_OURS} has no {lacked}", known, mend)
    if top and top == own.partition(".")[0]:
        return faulty(port, name, f"cannot be loaded: its own module {lacked} is missing")
    if not top:
        return faulty(port, name, f"cannot be loaded: {_told(error)}", _place_of(error))
    return missing_library(lacked, f"{port[:-1]} '{name}'")


def _wrong(port: str, found: Any) -> Iterable[str]:
    for name, kind in NEEDED.get(port, {}).items():
        if not hasattr(found, name):
            yield f"it has no {name}"
        elif not isinstance(getattr(found, name), _KINDS[kind]):
            yield f"its {name} is not {kind}"


def _told(error: BaseException) -> str:
    said = str(error).strip()
    return f"{type(error).__name__}: {said.splitlines()[0]}" if said else type(error).__name__


def _place_of(error: BaseException) -> str:
    """Say where something was raised: the last place outside Python's own import machinery."""
    from traceback import extract_tb  # noqa: PLC0415 - for what is broken alone

    places = [one for one in extract_tb(error.__traceback__) if not one.filename.startswith("<")]
    if isinstance(error, SyntaxError) and error.filename:
        return f"in {error.filename}, line {error.lineno}"
    return f"raised in {places[-1].filename}, line {places[-1].lineno}" if places else ""


def _offers(port: str) -> Mapping[str, tuple["EntryPoint", ...]]:
    """Find who offers what for the port; scans entry points once, until something else is installed."""
    return _scanned(port, tuple((one, _changed(one)) for one in sys.path))


def _changed(folder: str) -> int:
    try:
        return Path(folder).stat().st_mtime_ns
    except OSError:
        return 0


@lru_cache(maxsize=64)
def _scanned(port: str, _places: tuple[tuple[str, int], ...]) -> Mapping[str, tuple["EntryPoint", ...]]:
    """Look through all packages; one that is found twice, as by two paths to it, counts once."""
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up is counted

    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for one in entry_points(group=f"nbpipeline.{port}"):
        found.setdefault(one.name, {}).setdefault((one.value, _package(one)), one)
    return {name: tuple(ones.values()) for name, ones in found.items()}


def _package(one: "EntryPoint") -> str:
    return f"{one.dist.name} {one.dist.version}" if one.dist else one.module


def _project(one: "EntryPoint") -> str:
    return one.dist.name if one.dist else one.module


def _unknown(port: str, name: str, known: list[str]) -> MissingPluginError:
    close = did_you_mean(name, known)
    package = f"pip install the package that offers it (entry point group nbpipeline.{port})."
    return MissingPluginError.of(
        f"there is no {port[:-1]} '{name}'.",
        known=f"known {port}: {', '.join(known)}" if known else "",
        mend=f"did you mean '{close}'? Else {package}" if close else package,
    )
