"""`nbpipeline dvc`."""

from typing import Any

import click

from nbpipeline.cli.frame import define, note, open_project, other_side, print_json, results_options
from nbpipeline.cli.wording import counted


@define(
    "dvc",
    example="nbpipeline dvc && dvc push\nnbpipeline dvc train data/flights.parquet\n"
    "nbpipeline dvc --to s3://bucket/dvc",
)
@results_options
@other_side("--to", "to", "DIR|URL", "A DVC remote [default: the cache of the DVC repository].")
def command(*, what: tuple[str, ...], to: str, output_format: str, **given: Any) -> int:
    """Write outputs for DVC: a .dvc file beside each, and the bytes where DVC looks.

    `dvc status`, `dvc push` and `dvc pull` then know them; DVC itself need not be installed. FILE is an
    output, by its path from the root. Each is also put into the .gitignore beside it, as `dvc add` does.
    With `--format json`: {"version", "files", "to", "notices"}.
    """
    done = open_project(given).sharing.dvc(*what, to=to)
    for notice in done.notices:
        note(notice)
    if output_format == "json":
        print_json({"files": list(done.files), "to": done.to, "notices": list(done.notices)})
        return 0
    for path in done.files:
        click.echo(path)
    click.echo(f"{counted(len(done.files), 'output')} written for DVC, with the bytes in {done.to}")
    return 0
