"""`nbpipeline log`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options


@define("log", example="nbpipeline log train\nnbpipeline log train --run 20261123-060000-1a2b")
@click.argument("stage", shell_complete=complete_stages)
@click.option("--run", metavar="RUN", help="The run [default: the last that executed the stage].")
@settings_options
def command(*, stage: str, run: str | None, **given: Any) -> int:
    """Print what a stage wrote in its last attempt, secrets masked."""
    click.echo(open_project(given).log(stage, run), nl=False)
    return 0
