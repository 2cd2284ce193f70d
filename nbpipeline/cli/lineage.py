"""`nbpipeline lineage`."""

import json
import os
from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, say, settings_options
from nbpipeline.report import lineage


@define(
    "lineage",
    example="nbpipeline lineage reports/summary.txt\nnbpipeline lineage models/late.joblib --format json\n"
    "nbpipeline lineage data/flights.parquet --format mermaid",
)
@click.argument("what", metavar="FILE", type=click.Path())
@format_option("text", "json", "mermaid")
@settings_options
def command(*, what: str, output_format: str, **given: Any) -> int:
    """Say which code, parameters, data and packages made a file, and what was made of it.

    It is followed by content, back to the raw data and forward to all that builds on it, as far as the
    history goes. With `--format json`: {"version", "path", "digest", "standing", "made_by", "raw",
    "used_by"}.
    """
    project = open_project(given)
    found = project.lineage(_project_path(what, Path(project.root)))
    if output_format == "mermaid":
        say([lineage.mermaid(found.data)])
    else:
        say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0


def _project_path(what: str, root: Path) -> str:
    """Take a path as typed, from the working folder where it stands there, else from the project's root."""
    here = Path(os.path.abspath(what))  # noqa: PTH100 - links are left as they are
    if here.exists() and here.is_relative_to(root):
        return here.relative_to(root).as_posix()
    return Path(what).as_posix()
