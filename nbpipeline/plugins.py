"""Finds the implementation of a port by name: built-ins in a table, others by their entry points.

Entry points are scanned only for a name that the table lacks, since the scan takes longer than a plan.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from nbpipeline.errors import MissingPluginError, did_you_mean

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


def load(port: str, name: str) -> Any:
    """Load an implementation: a module for a built-in, what the entry point names for others.

    Raises MissingPluginError for a name that nobody offers, and for one whose libraries are not installed.
    """
    module = BUILT_IN[port].get(name)
    try:
        if module is not None:
            return import_module(module)
        offered = _offered(port)
        if name in offered:
            return offered[name].load()
    except ModuleNotFoundError as error:
        raise missing_library(error.name or "", f"{port[:-1]} '{name}'") from error
    raise _unknown(port, name, sorted({*BUILT_IN[port], *offered}))


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
    return tuple(sorted({*BUILT_IN[port], *_offered(port)}))


def further(port: str) -> tuple[str, ...]:
    """Every name that others offer for the port; scans entry points."""
    return tuple(sorted(set(_offered(port)) - set(BUILT_IN[port])))


def _offered(port: str) -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - start-up is counted

    return {one.name: one for one in entry_points(group=f"nbpipeline.{port}")}


def _unknown(port: str, name: str, known: list[str]) -> MissingPluginError:
    close = did_you_mean(name, known)
    package = f"pip install the package that offers it (entry point group nbpipeline.{port})."
    return MissingPluginError.of(
        f"there is no {port[:-1]} '{name}'.",
        known=f"known {port}: {', '.join(known)}" if known else "",
        mend=f"did you mean '{close}'? Else {package}" if close else package,
    )
