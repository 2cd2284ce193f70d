"""`nbpipeline restore`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options


@define(
    "restore",
    example="nbpipeline restore train\nnbpipeline restore models/delay.joblib\n"
    "nbpipeline restore models/delay.joblib --from 20261123-060000-1a2b",
)
@click.argument("what", metavar="STAGE|OUTPUT", shell_complete=complete_stages)
@click.option("--from", "run", metavar="RUN", help="As they were after that run [default: as last recorded].")
@settings_options
def command(*, what: str, run: str | None, **given: Any) -> int:
    """Bring back the outputs of a stage, or the one output named by its path.

    What stands there now and was recorded by nobody is kept under .nbpipeline. With `--from`, what comes back
    is not the result of the present state: the next run of the stage puts that in its place again.
    """
    restored = open_project(given).restore(what, run)
    for notice in restored.notices:
        click.echo(f"note: {notice}", err=True)
    for path in restored.paths:
        click.echo(f"restored {path}")
    for path in restored.unchanged:
        click.echo(f"unchanged {path}: as recorded")
    return 0
