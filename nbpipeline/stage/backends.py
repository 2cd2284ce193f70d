"""What one instance's life needs from outside, as values."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, Fingerprint, StageInstance, Verdict
from nbpipeline.ports import Cancel, Digests, Kernels, State, Store
from nbpipeline.stage.backing import Backing
from nbpipeline.values import dataclass


def no_sources(_instance: StageInstance, _fingerprint: Fingerprint) -> Mapping[str, str]:
    """Keep no sources: `plan --diff` then shows no code of earlier runs."""
    return {}


def no_following(
    fingerprint: Fingerprint, _instance: StageInstance, _followed: tuple[str, ...]
) -> Fingerprint:
    """Take a state as it is: nothing more is followed."""
    return fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a stage's notebook runs, for checks that are code of the project; and what ends them early."""

    folder: Path
    roots: tuple[Path, ...]
    """Further import roots."""
    masker: Masker
    """Of the stage's secrets, which a failing row may hold."""
    cancel: Cancel
    until: float | None = None
    """When the stage's time is up, of the monotonic clock."""

    def over(self) -> bool:
        """Whether nobody waits for the checks any more."""
        return self.cancel.level > 0 or self.late()

    def late(self) -> bool:
        """Whether the stage's time is up."""
        return self.until is not None and time.monotonic() >= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Everything that `execute`, `restore` and `keep` use; the composition roots fill it."""

    kernels: Kernels
    store: Store
    state: State
    digests: Digests
    validators: Callable[[tuple[Path, ...], tuple[Check, ...], "Surroundings"], tuple[Verdict, ...]]
    """`Validator.validate` of whoever knows the checks; it ends soon where they are `over`."""
    fingerprint: Callable[[StageInstance], Fingerprint]
    """The state that the instance would run in now, read from disk."""
    following: Callable[[Fingerprint, StageInstance, tuple[str, ...]], Fingerprint] = no_following
    """The state with just these files followed as modules beside what the code names."""
    sources: Callable[[StageInstance, Fingerprint], Mapping[str, str]] = no_sources
    """Digest -> text of the state's cells and modules, kept with its record (`Fingerprinter.sources`)."""
    wait: bool = False
    """Wait for an instance that another run holds, instead of refusing."""

    @property
    def backing(self) -> Backing:
        """What outputs can be had from again, whether or not there is a network."""
        return Backing(state=self.state, store=self.store.near, digests=self.digests)
