"""`nbpipeline runs`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, project_option, say


@define("runs", example="nbpipeline runs\nnbpipeline runs -n 5 --format json\nnbpipeline runs --sync")
@click.option("-n", "limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@click.option("--sync", is_flag=True, help="First send what trackers could not be told of earlier runs.")
@format_option("text", "json")
@project_option
def command(*, limit: int, sync: bool, output_format: str, **given: Any) -> int:
    """List the last runs, newest first.

    With `--format json`: {"version", "runs": [{"run", "started", "finished", "status", ...}]}.
    """
    project = open_project(given)
    for line in project.sync() if sync else ():
        click.echo(f"note: {line}", err=True)
    found = project.runs(limit)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0
