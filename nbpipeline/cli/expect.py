"""`nbpipeline expect`: a group of commands about checks, each loaded when it is called."""

from importlib import import_module

import click

SUMMARIES = {
    "learn": "Draft checks from the data that a good run left.",
    "diff": "Say how an input or output differs from its checks, or from an earlier run's.",
    "export": "Write checks as suites and checkpoints that Great Expectations loads.",
}
"""Subcommands; the module of each is `nbpipeline.cli.expect_NAME`."""


class _Group(click.Group):
    """Imports a subcommand when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all subcommands."""
        del ctx
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the subcommand's module; None for a name that is not in the table."""
        del ctx
        if cmd_name not in SUMMARIES:
            return None
        command: click.Command = import_module(f"nbpipeline.cli.expect_{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands from the table, importing none."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(
    "expect",
    cls=_Group,
    epilog="\b\nExamples:\n  nbpipeline expect learn clean.features\n"
    "  nbpipeline expect diff clean.features\n"
    "  nbpipeline expect export clean.features --to gx",
)
def command() -> None:
    """Work with the checks on data that stages expect to hold."""
