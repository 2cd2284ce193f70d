"""`nbpipeline show`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import (
    complete_stages,
    define,
    format_option,
    open_project,
    say,
    settings_options,
)


@define("show", example="nbpipeline show\nnbpipeline show train\nnbpipeline show 20261123-060000-1a2b")
@click.argument("what", required=False, metavar="[RUN|STAGE]", shell_complete=complete_stages)
@format_option("text", "json")
@settings_options
def command(*, what: str | None, output_format: str, **given: Any) -> int:
    """Show a run (by default the last) or a stage: timings, metrics, cells, where the notebooks are.

    A run is named by its id, the beginning of one, or `last`.
    """
    found = open_project(given).show(what)
    say([json.dumps(found.data, ensure_ascii=False) if output_format == "json" else found.text])
    return 0
