"""nbpipeline: notebooks become a pipeline that is planned, explained and run.

The Python API is `nbpipeline.Project`; inside a notebook, `nbpipeline.stage()` gives the stage's
typed inputs, outputs and parameters. Both are loaded on first use: importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["Project", "__version__", "load_ipython_extension", "stage"]

_HOMES = {
    "Project": "nbpipeline.api",
    "stage": "nbpipeline.ui.inside",
    "load_ipython_extension": "nbpipeline.ui.magic",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nbpipeline' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
