"""`nbpipeline push`."""

from typing import Any

import click

from nbpipeline.cli.carrying import carrying
from nbpipeline.cli.frame import define, open_project, other_side, print_json, results_options
from nbpipeline.cli.wording import counted
from nbpipeline.errors import ExitCode
from nbpipeline.report.wording import size


@define(
    "push",
    example="nbpipeline push\nnbpipeline push train models/delay.joblib\n"
    "nbpipeline push --to s3://bucket/flights\nnbpipeline push --all --to /media/disk/flights",
)
@results_options
@other_side("--to", "to", "URL|DIR", "Where to [default: pipeline.yaml's store].")
@click.option("--all", "everything", is_flag=True, help="Earlier results too: all that the local store has.")
def command(*, what: tuple[str, ...], to: str, everything: bool, output_format: str, **given: Any) -> int:
    """Push the last results of stages to the store that a team shares, and what waits from earlier runs.

    FILE is an output, by its path from the root: its stage is meant. What is there already is not carried
    again, so a push that was broken off goes on when it is repeated. Exits 1 when bytes of a result are no
    longer here, 2 when no result is on record. With `--format json`: {"version", "to", "results", "files",
    "bytes", "lacking"}.
    """
    with carrying("pushed") as moved:
        done = open_project(given).sharing.push(*what, to=to, everything=everything, moved=moved)
    if output_format == "json":
        print_json(
            {
                "to": done.to,
                "results": done.results,
                "files": done.files,
                "bytes": done.bytes,
                "lacking": {name: list(paths) for name, paths in done.lacking.items()},
            }
        )
    else:
        files = f"{counted(done.files, 'new file')}, {size(done.bytes)}"
        click.echo(f"{counted(done.results, 'result')} at {done.to}: {files} pushed")
    for name, paths in done.lacking.items():
        click.echo(f"not pushed: {name}: {', '.join(paths)} is no longer in the local store", err=True)
    return int(ExitCode.STAGE_FAILED if done.lacking else ExitCode.OK)
