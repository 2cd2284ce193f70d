"""A stage on another machine, which shares no folder with the project, only its store.

What the job reads goes into the store by digest, and its names with the job (`shipping`); there it is laid
out in a folder of the worker's own, and the stage lives its life as anywhere (`desk`); what it left comes
back into the project as if it had run here (`executor`). `survey` looks at workers before anything runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbpipeline.apart import desk, executor, roots, shipping, supply, survey

__all__ = ["desk", "executor", "roots", "shipping", "supply", "survey"]


def __getattr__(name: str) -> Any:
    """Load a module when it is first asked for: most runs stay on their machine (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'nbpipeline.apart' has no attribute {name!r}")
    return import_module(f"nbpipeline.apart.{name}")
