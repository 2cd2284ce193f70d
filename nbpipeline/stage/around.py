"""What a check may see beside the file that it is about."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, StageSpec
from nbpipeline.ports import Cancel
from nbpipeline.stage.backends import Surroundings
from nbpipeline.stage.places import absolute


def bound(checks: Iterable[Check], standing: Mapping[str, tuple[Path, ...]]) -> tuple[Check, ...]:
    """Give checks the paths of the artifacts that they may compare with."""
    others = {name: tuple(map(str, paths)) for name, paths in standing.items()}
    return tuple(replace(one, others=others) for one in checks)


def deadline(spec: StageSpec) -> float | None:
    """Say when an attempt that begins now has used up its time, of the monotonic clock."""
    return time.monotonic() + spec.timeout if spec.timeout else None


def surroundings(
    spec: StageSpec, root: Path, cancel: Cancel, masker: Masker, until: float | None = None
) -> Surroundings:
    """Say where the modules are that a stage's checks may name, and what ends the checks early."""
    return Surroundings(
        folder=absolute(root, spec.working_folder),
        roots=tuple(absolute(root, one) for one in spec.pythonpath),
        masker=masker,
        cancel=cancel,
        until=until,
    )
