"""The process `nbpipeline`: exit codes, and what no command catches."""
# ruff: noqa: E402 - the first lines are for all that is imported after them

import atexit
import gc

ALLOCATIONS_BEFORE_COLLECTING = 300_000
"""What is read of a project lives as long as the command: looking for garbage in it is a fifth of `plan`."""
gc.set_threshold(ALLOCATIONS_BEFORE_COLLECTING, 20, 20)
atexit.register(gc.freeze)  # Python looks twice through all that it holds before it ends: an eighth of `plan`

import errno
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from nbpipeline.cli.main import close_output, invoke, last_words, prepare_streams
from nbpipeline.errors import ExitCode

ROOM = "make room, or let it write elsewhere"
RIGHT = "give yourself the right to it"
FILES = "raise the limit of open files: ulimit -n"
MENDS = {
    errno.ENOSPC: ROOM,
    errno.EFBIG: ROOM,
    errno.EDQUOT: ROOM,
    errno.EACCES: RIGHT,
    errno.EPERM: RIGHT,
    errno.EROFS: RIGHT,
    errno.EMFILE: FILES,
    errno.ENFILE: FILES,
    errno.EIO: "see to the disk: it may be failing",
}
"""What the machine refuses for reasons of its own, whatever we do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code and never raises."""
    prepare_streams()
    try:
        return told(arguments)
    except SystemExit as stop:  # click's way to end after completing words
        return int(stop.code or 0)
    except OSError as error:
        return refused(error)
    except Exception:  # noqa: BLE001 - the last resort: a bug is told with the place of its details
        return internal()


def told(arguments: Sequence[str] | None) -> int:
    """Run the command line; tells what is wrong with it, and raises what is wrong elsewhere."""
    try:
        return int(invoke(arguments) or 0)
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.ClickException as error:
        return usage(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return int(ExitCode.INTERRUPTED)


def usage(error: click.ClickException) -> int:
    """Tell a wrong command line in three parts."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "nbpipeline"
    message = error.format_message().rstrip(".")
    click.echo(f"{path}: {message[:1].lower()}{message[1:]}\n  mend: see {path} --help", err=True)
    return int(ExitCode.USAGE)


def refused(error: OSError) -> int:
    """Tell what the machine refuses; other trouble with files is a bug of ours."""
    if is_gone():
        what, mend = "the folder that it was called in is not there any more", "cd to a folder that is there"
    elif error.errno in MENDS:
        why, mend = os.strerror(error.errno), MENDS[error.errno]
        if error.filename is None:
            what = f"what it writes is refused: {why}"
            close_output()  # it may well be the output, which would be tried again at the end
        else:
            what = f"what it needs is refused: {why}: {error.filename}"
    else:
        return internal()
    last_words(f"nbpipeline: {what}.\n  mend: {mend}")
    return int(ExitCode.USAGE)


def is_gone() -> bool:
    """Whether the working folder was removed."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def internal() -> int:
    """Tell the exception at hand as a bug of ours, and where its details are kept."""
    import tempfile  # noqa: PLC0415 - for bugs alone
    import traceback  # noqa: PLC0415 - see above

    folder = Path(".nbpipeline") if Path(".nbpipeline").is_dir() else Path(tempfile.gettempdir())
    details = traceback.format_exc()
    path = (folder / f"nbpipeline-bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt").absolute()
    last = details.strip().splitlines()[-1]
    try:
        path.write_text(details, encoding="utf-8")
        known = f"details: {path}"
    except OSError:
        known = details
    last_words(
        f"nbpipeline: a bug of nbpipeline's own: {last}\n  {known}\n"
        "  mend: run `nbpipeline doctor`; if it stays, report it with the details"
    )
    return int(ExitCode.INTERNAL)


if __name__ == "__main__":
    sys.exit(main())
