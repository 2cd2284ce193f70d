"""`nbpipeline diff`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, project_option, say


@define("diff", example="nbpipeline diff 20261122-180000-77aa 20261123-060000-1a2b\nnbpipeline diff")
@click.argument("before", required=False, metavar="[RUN")
@click.argument("after", required=False, metavar="RUN]")
@format_option("text", "json")
@project_option
def command(*, before: str | None, after: str | None, output_format: str, **given: Any) -> int:
    """Compare two runs (by default the last two): states, metrics, timings, parameters."""
    found = open_project(given).diff(before, after)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0
