"""Telling trackers of a run, in a process of its own: the run does not fail with them.

The run's folder is all that this needs, so what could not be sent is sent later from there.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.tracking import link, sender

__all__ = ["link", "sender"]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: most runs have nothing to tell (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbpipeline.tracking' has no attribute {name!r}")
    return import_module(f"nbpipeline.tracking.{name}")
