"""What a run is told, beside its plan."""

import os

from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The command line's share in a run."""

    jobs: int = 0
    """How many cores the run may fill (`-j`); 0: as many as there are."""
    keep_going: bool = False
    """After a failure, go on with what does not depend on it."""
    on_failure: str = "end"
    """`keep`: the kernel of a failed stage stays for `debug`; `end`: it does not."""
    memory: int | None = None
    """Bytes that declared `resources.memory` may add up to; None: no limit but what is free."""
    gpus: int | None = None
    """Devices to share out; None: those that the machine shows."""
    retries: bool = True
    """Whether a stage is tried again as often as it says; False where somebody else does that."""
    executor: str = ""
    """Name of the executor; empty: pipeline.yaml's, else `local`."""
    address: str = ""
    """Where the executor finds its scheduler; empty: pipeline.yaml's, else it starts one here."""
    elsewhere: bool = False
    """Stages run on other machines: what this one has free is no limit."""
    command: str = ""
    """What the user typed, for the history."""

    @property
    def slots(self) -> int:
        """Cores to fill, at least 1."""
        return self.jobs if self.jobs > 0 else available_cores()


def available_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
