"""`nbpipeline runs`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, project_option, say


@define("runs", example="nbpipeline runs\nnbpipeline runs -n 5 --format json")
@click.option("-n", "limit", type=click.IntRange(1), default=20, show_default=True, help="How many at most.")
@format_option("text", "json")
@project_option
def command(*, limit: int, output_format: str, **given: Any) -> int:
    """List the last runs, newest first.

    With `--format json`: {"version", "runs": [{"run", "started", "finished", "status", ...}]}.
    """
    found = open_project(given).runs(limit)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0
