"""`nbpipeline pull`."""

from typing import Any

import click

from nbpipeline.cli.carrying import carrying
from nbpipeline.cli.frame import define, note, open_project, other_side, print_json, results_options
from nbpipeline.cli.wording import counted
from nbpipeline.errors import ExitCode
from nbpipeline.report.wording import size


@define(
    "pull",
    example="nbpipeline pull\nnbpipeline pull +train models/delay.joblib\n"
    "nbpipeline pull --from s3://bucket/flights\nnbpipeline pull --cache-only",
)
@results_options
@other_side("--from", "source", "URL|DIR", "Where from [default: pipeline.yaml's store].")
@click.option("--cache-only", is_flag=True, help="Into the local store alone; outputs stay as they are.")
def command(*, what: tuple[str, ...], source: str, cache_only: bool, output_format: str, **given: Any) -> int:
    """Bring results of the present state here and put the outputs in their places; runs nothing.

    FILE is an output, by its path from the root: its stage is meant. What stands in an output's place and was
    recorded by nobody is kept under .nbpipeline. Exits 1 when a result is not there: its stage has to run.
    With `--format json`: {"version", "from", "bytes", "paths", "fresh", "lacking"}.
    """
    with carrying("pulled") as moved:
        done = open_project(given).sharing.pull(*what, source=source, in_place=not cache_only, moved=moved)
    for notice in done.notices:
        note(notice)
    if output_format == "json":
        print_json(
            {
                "from": done.source,
                "bytes": done.bytes,
                "paths": list(done.paths),
                "fresh": done.fresh,
                "lacking": list(done.lacking),
            }
        )
    else:
        for path in done.paths:
            click.echo(f"restored {path}")
        click.echo(f"{size(done.bytes)} from {done.source}; {counted(done.fresh, 'stage')} fresh before")
    if done.lacking:
        click.echo(f"not there, so to be run: {', '.join(done.lacking)}", err=True)
    return int(ExitCode.STAGE_FAILED if done.lacking else ExitCode.OK)
