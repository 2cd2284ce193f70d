"""`nbpipeline record`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, note, open_project, settings_options


@define("record", example="nbpipeline record train")
@click.argument("stage", shell_complete=complete_stages)
@settings_options
def command(*, stage: str, **given: Any) -> int:
    """Take outputs made by hand in JupyterLab as the result of the present state.

    They are marked so in the history, checked as a run's are, and kept in the store; what a check of
    `severity: warn` finds is told on stderr. Where a run of the stage
    had died, what it left is settled first, and nothing is recorded until you have looked and say it again.
    """
    for name in open_project(given).record(stage, on_notice=note):
        click.echo(f"recorded: {name}, made by hand")
    return 0
