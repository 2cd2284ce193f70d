"""One instance's life: lock, protect, inputs, check, kernel, check, publish, record, clear.

The package may be called: once imported it stands where `nbpipeline.stage()` was, and passes the call on.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from nbpipeline.stage.backends import Backends
from nbpipeline.stage.life import execute
from nbpipeline.stage.record import keep
from nbpipeline.stage.revive import restore

__all__ = ["Backends", "execute", "keep", "restore"]


class _Callable(ModuleType):
    """A package that answers as the function of its name does."""

    def __call__(self, name: str | None = None, **axes: Any) -> Any:
        """Give the stage that the calling notebook is; see `nbpipeline.ui.inside.stage`."""
        return import_module("nbpipeline.ui.inside").stage(name, **axes)


sys.modules[__name__].__class__ = _Callable
