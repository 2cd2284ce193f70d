"""`nbpipeline accept`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options


@define("accept", example='nbpipeline accept train --because "only the plot\'s colours changed"')
@click.argument("stage", shell_complete=complete_stages)
@click.option("--because", required=True, metavar="TEXT", help="Why the change is harmless; kept on record.")
@settings_options
def command(*, stage: str, because: str, **given: Any) -> int:
    """Mark a change as harmless: the stage is fresh in its present state.

    Written to nbpipeline.accept.yaml, which belongs in version control.
    """
    for name in open_project(given).accept(stage, because=because):
        click.echo(f"accepted: {name} is fresh as it stands; see nbpipeline.accept.yaml")
    return 0
