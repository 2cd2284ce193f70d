"""`nbpipeline expect learn`."""

from typing import Any

import click

from nbpipeline.authoring.learning import learn, write
from nbpipeline.cli.frame import define, open_project, settings_options


@define(
    "learn",
    example="nbpipeline expect learn clean.features\n"
    "nbpipeline expect learn clean.features --sample 100000 --stdout\n"
    "nbpipeline expect learn load.database --table flights",
)
@click.argument("what", metavar="STAGE.NAME")
@click.option("--from", "run", metavar="RUN", help="As it was after that run [default: as last recorded].")
@click.option("--table", default="", metavar="NAME", help="The table of a database, or sheet of a workbook.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Look at some rows alone, about so many for each doubling of the table; all are counted.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 10),
    default=0.1,
    show_default=True,
    metavar="SHARE",
    help="How much further ranges, rows and shares of missing values may go.",
)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@click.option("--stdout", "show", is_flag=True, help="Print the draft; write nothing.")
@settings_options
def command(
    *,
    what: str,
    run: str | None,
    table: str,
    sample: int | None,
    tolerance: float,
    force: bool,
    show: bool,
    **given: Any,
) -> int:
    """Draft checks from the data that a good run left.

    They are written to expectations/STAGE.NAME.yml, for you to review: types, ranges, categories, missing
    values, unique columns, number of rows, each with a comment that says what was seen. The file counts from
    the next run. One that is there is only written over with `--force`; what would change is shown.
    """
    project = open_project(given)
    drafted = learn(project, what, run=run, table=table, sample=sample, tolerance=tolerance)
    for notice in drafted.notices:
        click.echo(f"note: {notice}", err=True)
    if show:
        click.echo(drafted.text, nl=False)
        return 0
    if drafted.before == drafted.text:
        click.echo(f"unchanged {drafted.path}: as learned")
        return 0
    if drafted.difference:
        click.echo(drafted.difference)
    write(project, drafted, force=force)
    click.echo(f"wrote {drafted.path}: {drafted.checks} checks, from {drafted.rows:,} rows")
    click.echo("next: review it; then nbpipeline check")
    return 0
