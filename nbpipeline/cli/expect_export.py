"""`nbpipeline expect export`."""

from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import define, open_project, say, settings_options


@define(
    "export",
    example="nbpipeline expect export --to gx\nnbpipeline expect export clean.features --to gx",
)
@click.argument("what", metavar="[STAGE.NAME]", required=False)
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write; it is made, and files of the same names are written over.",
)
@settings_options
def command(*, what: str | None, target: Path, **given: Any) -> int:
    """Write checks as suites and checkpoints that Great Expectations loads.

    One suite an input or output that has checks, or the one named. Checks that Great Expectations has no
    expectation for are named, and left out (exit code 6 where nothing else is left).
    """
    say(open_project(given).data.export_checks(what, target))
    return 0
