"""What the benchmark has to know of a runner."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.work import Dag


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """One way to run the DAG.

    `write` puts the DAG into an empty folder; `prepare` are commands that a user gives once in a new project,
    not measured; `command` is what is measured. `status` says without running anything what the runner thinks
    (or puts right).
    """

    name: str
    environment: str  # a file of pins in requirements/
    distribution: str
    write: Callable[[Path, Dag], None]
    command: tuple[str, ...]
    prepare: tuple[tuple[str, ...], ...] = ()
    status: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    incremental: bool = True  # it is meant to run only what is stale
    peer: bool = True  # a tool that somebody would use instead
    needs: str = ""  # an option that its `--help` has to name, else the variant is not offered
