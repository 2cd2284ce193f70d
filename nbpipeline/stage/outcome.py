"""What an attempt is told to do in its kernel, and what it found."""

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

from nbpipeline.model import CellProfile, Value
from nbpipeline.ports import Cancel
from nbpipeline.stage.recorder import Recorder
from nbpipeline.stage.watching import Sight
from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """How to execute one notebook; the engine gets it through papermill."""

    manager: Any
    """A jupyter_client kernel manager, not yet started."""
    recorder: Recorder
    tell: Callable[[str, Mapping[str, Value]], None]
    """Takes a kind of event and its data."""
    cancel: Cancel
    token: str
    language: str
    timeout: float | None = None
    """Seconds for the whole attempt."""
    cell_timeout: float | None = None
    keep_kernel: bool = False
    """Leave the kernel of a failed attempt alive."""
    watched_root: str = ""
    """Watch which files under this folder a Python kernel opens; empty: do not."""
    spool: str = ""
    """Where forked children of the kernel write what they open: a file of the attempt's own."""
    last_words: str = ""
    """What a Python kernel runs before its children are ended; `leaving.last_words`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Why execution ended before the last cell."""

    kind: str
    """A `Failure.kind`: `cell`, `dead_kernel`, `timeout`, `cell_timeout`, `exit`, `cancelled`."""
    cell: int | None = None
    """Index in the source; 0 for an injected cell; None where no cell was running."""
    id: str = ""
    """Id of the executed copy's cell."""
    name: str = ""
    """The exception's class."""
    value: str = ""
    """The exception's message, the exit code, the limit in seconds."""
    traceback: tuple[str, ...] = ()
    count: int | None = None
    """The cell's execution count, which tracebacks name it by."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What execution gathers as it goes."""

    notebook: Any = None
    stop: Stop | None = None
    cells: list[CellProfile] = field(default_factory=list)
    metrics: dict[str, Value] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    sight: Sight = field(default_factory=Sight)
    """Files seen opened under `watched_root`."""
    connection: str = ""
    """The connection file of a kernel that was kept."""
    pid: int | None = None
    """The process of a kernel that was kept."""
