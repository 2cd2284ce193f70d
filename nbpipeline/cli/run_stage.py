"""`nbpipeline run-stage`."""

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
from nbpipeline.cli.progress import listener
from nbpipeline.cli.signals import cancelling
from nbpipeline.cli.summary import conclude, tell_untold
from nbpipeline.model import Plan
from nbpipeline.run.summary import exit_code


@define("run-stage", example="nbpipeline run-stage train@region=eu -p train.C=0.5")
@click.argument("stage", shell_complete=complete_stages)
@click.option("--force", is_flag=True, help="Run it even if it is fresh.")
@click.option("--wait", is_flag=True, help="Wait for another run that holds it.")
@kernels_option
@click.option("--no-track", is_flag=True, help="Tell no tracker of this run.")
@format_option("text", "json")
@settings_options
def command(
    *,
    stage: str,
    force: bool,
    wait: bool,
    kernels: str | None,
    no_track: bool,
    output_format: str,
    **given: Any,
) -> int:
    """Run one instance, as an orchestrator's task does: nothing before it, nothing after it.

    STAGE is one instance: `train`, `train[region=eu]`, or `train@region=eu`, which no shell expands.
    """
    as_json = output_format == "json"
    plans: list[Plan] = []
    with cancelling() as cancel, listener(as_json=as_json) as on_event:

        def on_plan(plan: Plan) -> None:
            plans.append(plan)
            cancel.arm()

        result = open_project(given).run_stage(
            stage,
            force=force,
            wait=wait,
            kernels=kernels or "",
            track=not no_track,
            on_event=on_event,
            on_plan=on_plan,
            cancel=cancel,
        )
    tell_untold(result)
    return int(exit_code(result)) if as_json else conclude(result, plans[0].pipeline)
