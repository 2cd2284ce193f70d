"""`nbpipeline run-stage`."""

from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import (
    complete_stages,
    define,
    format_option,
    kernels_option,
    open_project,
    settings_options,
)
from nbpipeline.cli.parameters import joined, params_option
from nbpipeline.cli.progress import listener
from nbpipeline.cli.signals import cancelling
from nbpipeline.cli.summary import conclude, tell_untold
from nbpipeline.model import Event, Plan
from nbpipeline.report.task_result import Places, TaskResult


@define(
    "run-stage",
    example="nbpipeline run-stage train@region=eu -p train.C=0.5\n"
    "nbpipeline run-stage train --fetch --params '{\"train.C\": 0.5}' --result result.json",
)
@click.argument("stage", shell_complete=complete_stages)
@click.option("--force", is_flag=True, help="Run it even if it is fresh.")
@click.option("--wait", is_flag=True, help="Wait for another run that holds it.")
@click.option(
    "--fetch",
    is_flag=True,
    help="Bring inputs that others made from the store, where they are not here.",
)
@click.option("--no-retries", is_flag=True, help="Try once: whoever calls it tries again.")
@params_option
@click.option(
    "--executed",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Also leave the executed notebook there, of a failed attempt too.",
)
@click.option(
    "--result",
    "result_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what became of it there, as JSON.",
)
@click.option(
    "--mark",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="When all is well, write the digest of its state there: the same as long as it stays fresh.",
)
@kernels_option
@click.option("--no-track", is_flag=True, help="Tell no tracker of this run.")
@click.option("--no-push", is_flag=True, help="Read a shared store, and write nothing to it.")
@format_option("text", "json")
@settings_options
def command(  # noqa: PLR0913 - each is an option
    *,
    stage: str,
    force: bool,
    wait: bool,
    fetch: bool,
    no_retries: bool,
    objects: tuple[str, ...],
    executed: Path | None,
    result_file: Path | None,
    mark: Path | None,
    kernels: str | None,
    no_track: bool,
    no_push: bool,
    output_format: str,
    **given: Any,
) -> int:
    """Run one instance, as an orchestrator's task does: nothing before it, nothing after it.

    STAGE is one instance: `train`, `train[region=eu]`, or `train@region=eu`, which no shell expands.
    """
    as_json = output_format == "json"
    given["params"] = joined(given.get("params", ()), objects)
    plans: list[Plan] = []
    task = TaskResult()
    places = Places(executed=executed, result=result_file, mark=mark)
    with cancelling() as cancel, listener(as_json=as_json) as on_event:

        def on_plan(plan: Plan) -> None:
            places.refuse(plan)
            plans.append(plan)
            cancel.arm()

        def hear(event: Event) -> None:
            task.hear(event)
            on_event(event)

        result = open_project(given).run_stage(
            stage,
            force=force,
            wait=wait,
            fetch=fetch,
            retries=not no_retries,
            kernels=kernels or "",
            track=not no_track,
            push=not no_push,
            on_event=hear,
            on_plan=on_plan,
            cancel=cancel,
        )
    tell_untold(result)
    task.leave(result, plans[0], places)
    return conclude(result, plans[0].pipeline, on_event, as_json=as_json)
