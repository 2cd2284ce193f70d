"""`nbpipeline run`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import (
    SELECTORS,
    define,
    format_option,
    kernels_option,
    open_project,
    selection,
    selection_options,
    selectors_argument,
    settings_options,
)
from nbpipeline.cli.parameters import joined, params_option
from nbpipeline.cli.planned import plan_lines
from nbpipeline.cli.progress import listener
from nbpipeline.cli.signals import cancelling
from nbpipeline.cli.summary import conclude, tell_report, tell_untold
from nbpipeline.encoding import plan_data
from nbpipeline.model import Plan


@define(
    "run",
    example="nbpipeline run\nnbpipeline run +train -p train.C=0.5 -j 2\n"
    "nbpipeline run train+ --exclude tag:weekly --keep-going\nnbpipeline run train --force --only",
    notes=SELECTORS,
)
@selectors_argument
@selection_options
@click.option("-j", "--jobs", type=click.IntRange(1), help="Cores to fill at most [default: all].")
@click.option("--keep-going", is_flag=True, help="After a failure, go on with what does not depend on it.")
@click.option("--dry-run", is_flag=True, help="Only say what would run, as `plan` does.")
@click.option("--wait", is_flag=True, help="Wait for stages that another run holds, instead of refusing.")
@click.option(
    "--on-failure",
    type=click.Choice(["end", "keep"]),
    default="end",
    show_default=True,
    help="`keep`: a failed stage's kernel stays for `nbpipeline debug`.",
)
@click.option(
    "--executor",
    metavar="NAME",
    help="Where stages run: `local`, `dask` [default: pipeline.yaml's, else here].",
)
@click.option(
    "--address", metavar="URL", help="The executor's scheduler, `tcp://host:8786`; else one is started."
)
@kernels_option
@click.option("--no-track", is_flag=True, help="Tell no tracker of this run.")
@click.option("--no-push", is_flag=True, help="Read a shared store, and write nothing to it.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write an HTML page of the run there at its end, as `report` does.",
)
@format_option("text", "json")
@params_option
@settings_options
def command(  # noqa: PLR0913 - an option each
    *,
    selectors: tuple[str, ...],
    jobs: int | None,
    keep_going: bool,
    dry_run: bool,
    wait: bool,
    on_failure: str,
    executor: str | None,
    address: str | None,
    kernels: str | None,
    no_track: bool,
    no_push: bool,
    objects: tuple[str, ...],
    report: Path | None,
    output_format: str,
    **given: Any,
) -> int:
    """Run what is stale.

    With `--format json`, one event a line: {"version", "seq", "time", "run", "kind", "stage", "data"}.
    Ctrl-C once interrupts what runs and brings its outputs back; twice kills.
    """
    given["params"] = joined(given.get("params", ()), objects)
    project = open_project(given)
    as_json = output_format == "json"
    if dry_run:
        plan = project.plan(*selectors, **selection(given))
        for notice in () if as_json else plan.notices:
            click.echo(f"note: {notice}", err=True)
        lines = [json.dumps(plan_data(plan), ensure_ascii=False)] if as_json else plan_lines(plan)
        click.echo("\n".join(lines))
        return 0
    plans: list[Plan] = []
    with cancelling() as cancel, listener(as_json=as_json) as on_event:

        def on_plan(plan: Plan) -> None:
            plans.append(plan)
            cancel.arm()

        result = project.run(
            *selectors,
            **selection(given),
            jobs=jobs or 0,
            keep_going=keep_going,
            wait=wait,
            on_failure=on_failure,
            executor=executor or "",
            address=address or "",
            kernels=kernels or "",
            track=not no_track,
            push=not no_push,
            on_event=on_event,
            on_plan=on_plan,
            cancel=cancel,
            command=shlex.join(["nbpipeline", *sys.argv[1:]]),
        )
    tell_untold(result)
    if report is not None:
        tell_report(project, result.run, report)
    return conclude(result, plans[0].pipeline, on_event, as_json=as_json)
