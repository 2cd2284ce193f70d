"""The process `nbpipeline`: exit codes, and what no command catches."""

import gc
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from nbpipeline.cli.main import close_output, invoke
from nbpipeline.errors import ExitCode

ALLOCATIONS_BEFORE_COLLECTING = 100_000
"""What is read of a project lives as long as the command: looking for garbage in it is a fifth of `plan`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code and never raises."""
    gc.set_threshold(ALLOCATIONS_BEFORE_COLLECTING, 20, 20)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a stage may be named as no locale can print
    try:
        return int(invoke(arguments) or 0)
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.ClickException as error:
        return usage(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return int(ExitCode.INTERRUPTED)
    except (BrokenPipeError, SystemExit):  # click turns the one into the other
        return silence()
    except Exception:  # noqa: BLE001 - the last resort: a bug is told with the place of its details
        return internal(traceback.format_exc())


def usage(error: click.ClickException) -> int:
    """Tell a wrong command line in three parts."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "nbpipeline"
    message = error.format_message().rstrip(".")
    click.echo(f"{path}: {message[:1].lower()}{message[1:]}\n  mend: see {path} --help", err=True)
    return int(ExitCode.USAGE)


def silence() -> int:
    """Write no more: the reader of our output has gone (`nbpipeline plan | head`), and nothing is wrong."""
    close_output()
    return int(ExitCode.OK)


def internal(details: str) -> int:
    """Tell a bug of ours, and where its details are kept."""
    folder = Path(".nbpipeline") if Path(".nbpipeline").is_dir() else Path(tempfile.gettempdir())
    path = (folder / f"nbpipeline-bug-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt").absolute()
    last = details.strip().splitlines()[-1]
    try:
        path.write_text(details, encoding="utf-8")
        known = f"details: {path}"
    except OSError:
        known = details
    click.echo(
        f"nbpipeline: a bug of nbpipeline's own: {last}\n  {known}\n"
        "  mend: run `nbpipeline doctor`; if it stays, report it with the details",
        err=True,
    )
    return int(ExitCode.INTERNAL)


if __name__ == "__main__":
    sys.exit(main())
