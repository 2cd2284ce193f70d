"""What exporters share: the workflow that they render, its losses, names, texts, the command, the image."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.exporters.rendering import command, features, guard, workflow

__all__ = ["command", "features", "guard", "workflow"]

_HOMES = {
    "command": "nbpipeline.exporters.rendering.command",
    "features": "nbpipeline.exporters.rendering.features",
    "guard": "nbpipeline.exporters.rendering.guard",
    "workflow": "nbpipeline.exporters.rendering.workflow",
}


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: all but an export do without (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nbpipeline.exporters.rendering' has no attribute {name!r}")
    return import_module(_HOMES[name])
