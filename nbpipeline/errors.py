"""Every exception of nbpipeline and every exit code, in one place.

::

    NbpipelineError                 carries Complaints; exit code of the gravest
    |-- UsageError             2    the command line, or a request that makes no sense
    |-- ReadingError           2    a notebook, header, pipeline.yaml or state file that cannot be read
    |-- PipelineError          3    the DAG: circles, two makers, unknown stages
    |-- MissingInputError      3    an input that nobody makes and that is not there, at run
    |-- MissingPluginError     5    an extra or plug-in that is not installed, or does not work
    |-- LossError              6    an export or import that would lose something
    |-- BusyError              7    somebody else holds what is needed
    |-- ExecutorError          2    machines that stages run on cannot be reached, do not fit, or were lost
    `-- StorageError           2    the disk, a folder or the store refuses; nothing was lost

A failed cell, a failed check or a fresh stage is no exception: it is a value in a result.
Every message has three parts: where, what (with what is known), the mend.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Self

from nbpipeline.location import Location, on_one_line
from nbpipeline.values import dataclass


class ExitCode(IntEnum):
    """What a command's exit tells a script."""

    OK = 0
    STAGE_FAILED = 1
    USAGE = 2
    PIPELINE = 3
    CHECK_FAILED = 4
    MISSING_PLUGIN = 5
    LOSS = 6
    BUSY = 7
    INTERNAL = 70
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing that is wrong with a project, as it is told to its author.

    `where` is None only where no file is to blame (a command line). `known` says what would have
    been right (`known outputs: features (clean.ipynb)`); `mend` what to do.
    """

    where: Location | None
    what: str
    mend: str
    known: str = ""
    warning: bool = False
    exit_code: ExitCode = ExitCode.USAGE

    def __str__(self) -> str:
        """Three parts on up to three lines, without a trailing newline; nothing in them steers a terminal."""
        head = f"{self.where}: {self.what}" if self.where else self.what
        lines = [head, *([f"  {self.known}"] if self.known else []), f"  mend: {self.mend}"]
        return "\n".join(map(on_one_line, lines))


class NbpipelineError(Exception):
    """The tool's own trouble, told as one or more complaints."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, complaints: Complaint | Iterable[Complaint]) -> None:
        """Gather the complaints; each says its own exit code."""
        found = [complaints] if isinstance(complaints, Complaint) else list(complaints)
        super().__init__("\n".join(str(one) for one in found))
        self.complaints: Sequence[Complaint] = tuple(found)

    def __reduce__(self) -> tuple[type[Self], tuple[Sequence[Complaint]]]:
        """Pickle by the complaints, so that an error comes back whole from a worker in another process."""
        return type(self), (self.complaints,)

    @classmethod
    def of(cls, what: str, *, mend: str, where: Location | None = None, known: str = "") -> Self:
        """Build the error from one complaint, with this class's exit code."""
        return cls(Complaint(where=where, what=what, known=known, mend=mend, exit_code=cls.exit_code))


class UsageError(NbpipelineError):
    """The command line asks for something that makes no sense."""

    exit_code = ExitCode.USAGE


class ReadingError(NbpipelineError):
    """A file of the project cannot be read as what it should be."""

    exit_code = ExitCode.USAGE


class PipelineError(NbpipelineError):
    """The stages do not make a pipeline."""

    exit_code = ExitCode.PIPELINE


class MissingInputError(NbpipelineError):
    """A run needs an input that nobody makes and that is not there."""

    exit_code = ExitCode.PIPELINE


class MissingPluginError(NbpipelineError):
    """An extra or plug-in is not installed, or does not work."""

    exit_code = ExitCode.MISSING_PLUGIN


class LossError(NbpipelineError):
    """An export or import would lose something."""

    exit_code = ExitCode.LOSS


class BusyError(NbpipelineError):
    """Somebody else holds what is needed."""

    exit_code = ExitCode.BUSY


class ExecutorError(NbpipelineError):
    """Machines that stages should run on cannot be reached, do not fit, or were lost; results are safe."""

    exit_code = ExitCode.USAGE


class StorageError(NbpipelineError):
    """The disk, a folder or the store refuses: the user's to mend, and no bug of ours."""

    exit_code = ExitCode.USAGE


def gather(complaints: Iterable[Complaint]) -> NbpipelineError | None:
    """Make one error of all complaints that are not warnings; None when there is none.

    Reading errors go before DAG errors, so the class is that of the lowest exit code.
    """
    grave = sorted(
        (one for one in complaints if not one.warning),
        key=lambda one: one.where.order if one.where else ("", 0, 0),
    )
    if not grave:
        return None
    lowest = min(one.exit_code for one in grave)
    return PipelineError(grave) if lowest == ExitCode.PIPELINE else ReadingError(grave)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Name the known word that `word` most likely was meant to be, or None."""
    import difflib  # noqa: PLC0415 - for errors alone

    close = difflib.get_close_matches(word, sorted(set(known)), n=1, cutoff=0.6)
    return close[0] if close else None
