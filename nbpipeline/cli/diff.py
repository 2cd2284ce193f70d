"""`nbpipeline diff`."""

import json
from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, json_text, open_project, project_option, say


@define(
    "diff",
    example="nbpipeline diff 20261122-180000-77aa 20261123-060000-1a2b\nnbpipeline diff\n"
    "nbpipeline diff --html changes.html",
)
@click.argument("before", required=False, metavar="[RUN")
@click.argument("after", required=False, metavar="RUN]")
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there as a page, with the plots that differ side by side.",
)
@format_option("text", "json")
@project_option
def command(
    *, before: str | None, after: str | None, page: Path | None, output_format: str, **given: Any
) -> int:
    """Compare two runs (by default the last two): states, parameters, data, code, metrics, timings, plots.

    RUN is an id, the beginning of one, or `last`.
    """
    project = open_project(given)
    if page is not None:
        target = project.diff_page(before, after, page)
        say([json_text({"page": str(target)}) if output_format == "json" else str(target)])
        return 0
    found = project.diff(before, after)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0
