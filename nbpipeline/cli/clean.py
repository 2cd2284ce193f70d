"""`nbpipeline clean`."""

import sys
from typing import Any

import click

from nbpipeline.cli.frame import define, open_project, selectors_argument, settings_options
from nbpipeline.cli.wording import counted
from nbpipeline.errors import UsageError
from nbpipeline.report.wording import size

_DIGITS = 12
"""Of a digest, so many find the object in the store."""


@define(
    "clean",
    example="nbpipeline clean --dry-run\nnbpipeline clean train+ --yes\nnbpipeline clean --runs --store",
)
@selectors_argument
@click.option("--runs", is_flag=True, help="Old runs' folders.")
@click.option("--store", is_flag=True, help="What the store can spare.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Also outputs altered since; they are kept in the store first.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@settings_options
def command(
    *,
    selectors: tuple[str, ...],
    runs: bool,
    store: bool,
    yes: bool,
    force: bool,
    dry_run: bool,
    **given: Any,
) -> int:
    """Remove outputs of stages; with --runs and --store, old runs and what the store can spare.

    Only outputs on record go, and only as they were recorded: `nbpipeline restore` brings them back.
    """
    project = open_project(given)
    outputs = bool(selectors) or not (runs or store)
    found = project.cleanable(*selectors, outputs=outputs, runs=runs, store=store, force=force)
    for path, why in found.spared:
        click.echo(f"kept {path}: {why}", err=True)
    for one in found.doomed:
        kept = f" (altered; kept in the store as {one.output.digest[:_DIGITS]})" if one.altered else ""
        click.echo(f"{one.output.path}{kept}")
    if found.runs:
        click.echo(counted(len(found.runs), "old run"))
    if found.store:
        click.echo("what the store holds beside the last results")
    if found.empty:
        click.echo("nothing to remove")
        return 0
    if dry_run:
        return 0
    if not yes and not _confirmed():
        click.echo("nothing was removed")
        return 0
    done = project.clean(found)
    told = (
        (found.doomed, counted(done.outputs, "output")),
        (found.runs, counted(done.runs, "run")),
        (found.store, f"{size(done.bytes)} of the store"),
    )
    click.echo(f"removed {', '.join(words for asked, words in told if asked)}")
    return 0


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError.of(
            "`clean` asks before it removes, and nobody is there to answer.", mend="give --yes"
        )
    return click.confirm("remove these?", default=False)
