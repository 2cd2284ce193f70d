"""`nbpipeline plan`."""

import json
from typing import Any

import click

from nbpipeline.cli.frame import (
    SELECTORS,
    define,
    format_option,
    open_project,
    selection,
    selection_options,
    selectors_argument,
    settings_options,
)
from nbpipeline.cli.planned import plan_lines
from nbpipeline.encoding import plan_data


@define(
    "plan",
    example="nbpipeline plan\nnbpipeline plan train+ --diff\nnbpipeline plan --format json",
    notes=SELECTORS,
)
@selectors_argument
@selection_options
@click.option("--diff", is_flag=True, help="Show what changed in cells and modules, line by line.")
@click.option("--all", "everything", is_flag=True, help="List the fresh stages too.")
@format_option("text", "json")
@settings_options
def command(
    *, selectors: tuple[str, ...], diff: bool, everything: bool, output_format: str, **given: Any
) -> int:
    """Say what a run would do, and why; takes no lock and runs nothing.

    With `--format json`, in run order: {"version": 1, "stages": [{"stage",
    "fresh", "action": skip|restore|run|maybe, "reasons": [{"kind", "subject", "before", "after"}]}]}.
    """
    project = open_project(given)
    plan = project.plan(*selectors, **selection(given))
    if output_format == "json":
        click.echo(json.dumps(plan_data(plan), ensure_ascii=False))
        return 0
    for notice in plan.notices:
        click.echo(f"note: {notice}", err=True)
    for line in plan_lines(plan, everything=everything):
        click.echo(line)
    if diff:
        text = project.plan_diff(plan)
        click.echo(f"\n{text}" if text else "")
    return 0
