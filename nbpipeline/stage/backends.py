"""What one instance's life needs from outside, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nbpipeline.model import Check, Fingerprint, StageInstance
from nbpipeline.ports import Digests, Kernels, State, Store, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Everything that `execute`, `restore` and `keep` use; the composition roots fill it."""

    kernels: Kernels
    store: Store
    state: State
    digests: Digests
    validators: Callable[[tuple[Path, ...], tuple[Check, ...]], tuple[Verdict, ...]]
    """`Validator.validate` of whoever knows the checks."""
    fingerprint: Callable[[StageInstance], Fingerprint]
    """The state that the instance would run in now, read from disk."""
    wait: bool = False
    """Wait for an instance that another run holds, instead of refusing."""
