"""`nbpipeline restore`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options


@define("restore", example="nbpipeline restore train\nnbpipeline restore models/delay.joblib")
@click.argument("what", metavar="STAGE|OUTPUT", shell_complete=complete_stages)
@settings_options
def command(*, what: str, **given: Any) -> int:
    """Bring back the last recorded outputs of a stage, or the one output named by its path.

    What stands there now and was recorded by nobody is kept under .nbpipeline.
    """
    restored = open_project(given).restore(what)
    for notice in restored.notices:
        click.echo(f"note: {notice}", err=True)
    for path in restored.paths:
        click.echo(f"restored {path}")
    for path in restored.unchanged:
        click.echo(f"unchanged {path}: as recorded")
    return 0
