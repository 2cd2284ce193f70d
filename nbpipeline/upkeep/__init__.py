"""What a project needs beside its runs: checks, trials, records by hand, cleaning, a doctor."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.upkeep import (
        access,
        byhand,
        checking,
        cleaning,
        debugging,
        doctor,
        exporting,
        fetching,
        finding,
        requirements,
        sharing,
        trackers,
        trial,
        versions,
    )

__all__ = [
    "access",
    "byhand",
    "checking",
    "cleaning",
    "debugging",
    "doctor",
    "dvc",
    "exporting",
    "fetching",
    "finding",
    "requirements",
    "sharing",
    "trackers",
    "trial",
    "versions",
]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: a plan does without most of them (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbpipeline.upkeep' has no attribute {name!r}")
    return import_module(f"nbpipeline.upkeep.{name}")
