"""One instance's life: lock, protect, inputs, check, kernel, check, publish, record, clear.

The package may be called: once imported it stands where `nbpipeline.stage()` was, and passes the call on.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.stage.backends import Backends
    from nbpipeline.stage.life import execute
    from nbpipeline.stage.record import keep
    from nbpipeline.stage.revive import restore

__all__ = ["Backends", "execute", "keep", "restore"]

_HOMES = {"Backends": "backends", "execute": "life", "keep": "record", "restore": "revive"}


def __getattr__(name: str) -> Any:
    """Load a part when it is first asked for: a run with nothing to do executes none (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nbpipeline.stage' has no attribute {name!r}")
    return getattr(import_module(f"nbpipeline.stage.{_HOMES[name]}"), name)


class _Callable(ModuleType):
    """A package that answers as the function of its name does."""

    def __call__(self, name: str | None = None, **axes: Any) -> Any:
        """Give the stage that the calling notebook is; see `nbpipeline.ui.inside.stage`."""
        return import_module("nbpipeline.ui.inside").stage(name, **axes)


sys.modules[__name__].__class__ = _Callable
