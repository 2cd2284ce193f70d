"""Imports papermill without the file systems that it tries at its import: pyarrow alone costs 0.3 s."""

import sys
from importlib import import_module

_ENGINE = "nbpipeline.stage.engine"
_TRIED = "pyarrow"


def import_engine() -> None:
    """Import the engine. The caller sees to it that nobody imports pyarrow meanwhile in another thread."""
    if _ENGINE in sys.modules:
        return
    hidden = _TRIED not in sys.modules
    if hidden:
        sys.modules[_TRIED] = None  # type: ignore[assignment]  # so Python is told that there is none
    try:
        import_module(_ENGINE)
    finally:
        if hidden:
            del sys.modules[_TRIED]
