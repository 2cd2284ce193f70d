"""`nbpipeline expect diff`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, say, settings_options
from nbpipeline.errors import ExitCode


@define(
    "diff",
    example="nbpipeline expect diff clean.features\n"
    "nbpipeline expect diff clean.features --against 20261123-060000-1a2b",
)
@click.argument("what", metavar="STAGE.NAME")
@click.option("--against", metavar="RUN", help="Compare with the data as they were after that run.")
@click.option("--table", default="", metavar="NAME", help="The table of a database, or sheet of a workbook.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="ROWS",
    help="Look at some rows alone, about so many for each doubling of the table; checks look at all.",
)
@format_option("text", "json")
@settings_options
def command(
    *, what: str, against: str | None, table: str, sample: int | None, output_format: str, **given: Any
) -> int:
    """Say how an input or output differs from its checks, or from an earlier run's.

    As it stands now, whoever wrote it. Without `--against`, the checks about it are tried, and the columns
    that none of them names are listed. With it: columns added, removed or of another type; ranges, means,
    missing values, texts, numbers of rows. The earlier version comes from the store, and no file of the
    project is touched. Exits 4 when a check does not hold (one that only warns counts for nothing); with
    `--against` 0 whatever differs. With `--format json`: {"version", "artifact", "against", "same", "files"}.
    """
    found = open_project(given).data.diff(what, against=against, table=table, sample=sample)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    checks = [one for file in found.data["files"] for one in file.get("checks", ())]
    failed = any(not one["passed"] and one["severity"] == "fail" for one in checks)
    return int(ExitCode.CHECK_FAILED if failed else ExitCode.OK)
