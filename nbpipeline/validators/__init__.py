"""Checks on data: the built-in ones, Great Expectations, pandera, and who tries which."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.validators import choice, export, link, schema_files

__all__ = ["choice", "export", "link", "schema_files"]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: many projects check nothing (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbpipeline.validators' has no attribute {name!r}")
    return import_module(f"nbpipeline.validators.{name}")
