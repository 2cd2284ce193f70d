"""The `nbpipeline` command: a static table of commands, each loaded when it is called.

`nbpipeline --help` reads the table alone, so that it costs no more than click does.
"""

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import click

from nbpipeline import __version__
from nbpipeline.errors import did_you_mean

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Entry(NamedTuple):
    """Where a command is, and what `nbpipeline --help` says of it."""

    module: str
    summary: str


COMMANDS = {
    "init": Entry("init", "Make a project that runs, or the notebooks that a pipeline.yaml names."),
    "new": Entry("new", "Make the notebook of a new stage, wired to others' outputs."),
    "check": Entry("check", "Say everything that is wrong with the project; starts no kernel."),
    "plan": Entry("plan", "Say what a run would do, and why."),
    "run": Entry("run", "Run what is stale."),
    "graph": Entry("graph", "Draw the pipeline as text, Mermaid, SVG or HTML."),
    "runs": Entry("runs", "List the last runs."),
    "show": Entry("show", "Show a run or a stage: timings, metrics, cells, notebooks."),
    "log": Entry("log", "Print what a stage wrote in its last attempt."),
    "diff": Entry("diff", "Compare two runs."),
    "report": Entry("report", "Write one HTML page of a run: DAG, timeline, metrics, checks, plots."),
    "lineage": Entry("lineage", "Say what made a file, and what was made of it."),
    "expect": Entry("expect", "Work with the checks on data: export them."),
    "debug": Entry("debug", "Open a console on a failed stage's kernel, or on one set up like it."),
    "test": Entry("test", "Run a stage alone, on its test inputs, in a scratch folder."),
    "clean": Entry("clean", "Remove outputs that are on record, old runs, or what the store can spare."),
    "accept": Entry("accept", "Mark a change as harmless, on record."),
    "record": Entry("record", "Take outputs made by hand as the result of the present state."),
    "restore": Entry("restore", "Bring back the last recorded outputs."),
    "push": Entry("push", "Push results to the store that a team shares."),
    "pull": Entry("pull", "Bring others' results here; runs nothing."),
    "verify": Entry("verify", "Check all that the store holds by its digests."),
    "dvc": Entry("dvc", "Write outputs for DVC: .dvc files, and the bytes where it looks."),
    "doctor": Entry("doctor", "Say what is wrong with the installation, and mend what can be mended."),
    "export": Entry("export", "Write the pipeline for an orchestrator: Airflow, Prefect, and others."),
    "run-stage": Entry("run_stage", "Run one instance, as an orchestrator's task does."),
    "completion": Entry("completion", "Print the completion script of a shell."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported one at a time, from `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order in which one meets them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for a name that is not in the table."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"nbpipeline.cli.{COMMANDS[cmd_name].module}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is answered with the nearest name."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise click.UsageError(unknown_command(name), ctx)
        return super().resolve_command(ctx, args)


def unknown_command(name: str) -> str:
    """Say that there is no such command, with the nearest or all."""
    nearest = did_you_mean(name, COMMANDS)
    hint = f"did you mean '{nearest}'?" if nearest else f"commands: {', '.join(COMMANDS)}."
    return f"there is no command '{name}'; {hint}"


@click.group(
    cls=LazyGroup,
    context_settings=SETTINGS,
    epilog="\b\nExamples:\n  nbpipeline init my-project && cd my-project && nbpipeline run\n"
    "  nbpipeline plan          what is stale, and why\n"
    "  nbpipeline run +train    train, and what it needs",
)
@click.version_option(__version__, prog_name="nbpipeline")
def cli() -> None:
    """Notebooks become a pipeline that is planned, explained and run.

    Stages are notebooks with tagged cells or a header; `nbpipeline COMMAND --help` has an example.
    """


class _Heedless(io.FileIO):
    """A stream that, once its reader has gone (`nbpipeline run --format json | head -1`), leads nowhere.

    So a command goes on as if it were read: a run loses nothing, an exit code is what it would have been, and
    Python has nothing left to write, and to complain of, at its end.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            lead_nowhere(self.fileno())
            return len(data)


def lead_nowhere(number: int) -> None:
    """Let what is still written to a descriptor go nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:
        os.set_inheritable(number, True)
        return
    os.dup2(nowhere, number)
    os.close(nowhere)


def prepare_streams() -> None:
    """Let the process' streams take any name, in any locale, and outlive their readers."""
    _open_closed_streams()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a stage may be named as no locale can print
            if stream is getattr(sys, f"__{name}__") and _is_file(stream):
                setattr(sys, name, _heedless(stream))


def _open_closed_streams() -> None:
    """Let streams that were closed (`nbpipeline run >&- 2>&-`) lead nowhere.

    Else the next file that is opened gets such a stream's number, and what is written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            if not _is_open(number):
                lead_nowhere(number)
            setattr(sys, name, open(os.devnull, "w" if number else "r", encoding="utf-8"))  # noqa: PTH123, SIM115 - for as long as the process


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _is_file(stream: io.TextIOWrapper) -> bool:
    """Whether it writes to a descriptor; not to a console of Windows."""
    return isinstance(getattr(stream.buffer, "raw", stream.buffer), io.FileIO)


def _heedless(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Heedless(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def close_output() -> None:
    """Let what is still written go nowhere: its place takes nothing."""
    sys.stdout = io.StringIO()
    lead_nowhere(1)


def last_words(text: str) -> None:
    """Tell it if there is anywhere to tell it; else Python must not try again at its end (exit code 120)."""
    try:
        click.echo(text, err=True)
    except OSError:
        lead_nowhere(2)


def invoke(arguments: Sequence[str] | None = None) -> Any:
    """Run the command line and give its exit code; click's exceptions pass to the caller."""
    return cli.main(
        args=None if arguments is None else list(arguments), prog_name="nbpipeline", standalone_mode=False
    )
