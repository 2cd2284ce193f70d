"""`nbpipeline report`."""

import webbrowser
from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import define, open_project, project_option, say
from nbpipeline.report.run_report import written


@define(
    "report",
    example="nbpipeline report\nnbpipeline report last --open\n"
    "nbpipeline report 20261123-060000-1a2b --output weekly.html",
)
@click.argument("run", required=False, metavar="[RUN]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write it there [default: report.html in the run's folder].",
)
@click.option("--markdown", is_flag=True, help="Print the run in short as Markdown instead, for a comment.")
@click.option("--open", "opened", is_flag=True, help="Open it in the browser.")
@project_option
def command(*, run: str | None, output: Path | None, markdown: bool, opened: bool, **given: Any) -> int:
    """Write one HTML page of a run (by default the last): its DAG, timeline, metrics, checks and plots.

    RUN is an id, the beginning of one, or `last`. The page stands alone: it opens from disk and asks
    nothing of the network. Its path is printed.
    """
    if markdown:
        text = open_project(given).markdown(run)
        if output is None:
            click.echo(text, nl=False)
        else:
            written(output, text)
        return 0
    target = open_project(given).report(run, output)
    say([str(target)])
    if opened:
        webbrowser.open(target.as_uri())
    return 0
