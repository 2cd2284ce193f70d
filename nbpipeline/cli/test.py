"""`nbpipeline test`."""

from typing import Any

import click

from nbpipeline.cli.frame import define, open_project, selectors_argument, settings_options
from nbpipeline.cli.progress import listener
from nbpipeline.cli.signals import cancelling
from nbpipeline.cli.summary import failure_lines
from nbpipeline.cli.wording import counted
from nbpipeline.errors import ExitCode
from nbpipeline.model import Status
from nbpipeline.report.wording import duration


@define("test", example="nbpipeline test train\nnbpipeline test")
@selectors_argument
@settings_options
def command(*, selectors: tuple[str, ...], **given: Any) -> int:
    """Run stages alone, on their test inputs, with their `test` cells.

    Inputs and parameters come from the header's `test:`, where it gives them. Outputs go to a scratch folder
    under .nbpipeline/tests; nothing is recorded, and real outputs are not touched. Without SELECTOR, every
    stage that has a `test:` or a `test` cell.
    """
    project = open_project(given)
    with cancelling() as cancel, listener(as_json=False) as on_event:
        cancel.arm()
        trials = project.test(*selectors, on_event=on_event, cancel=cancel)
    for trial in trials:
        for notice in trial.result.notices:
            click.echo(f"{trial.result.instance}: note: {notice}", err=True)
        if trial.result.failure:
            for line in failure_lines(trial.result, trial.result.failure, trial.folder):
                click.echo(line)
    good = [one for one in trials if one.result.status is Status.SUCCEEDED]
    seconds = sum(one.result.seconds for one in trials)
    if not trials:
        click.echo("nothing to test: no stage has a `test:` key or a cell tagged `test`")
        return 0
    click.echo(f"{len(good)} of {counted(len(trials), 'stage')} passed in {duration(seconds)}")
    if cancel.level:
        return int(ExitCode.INTERRUPTED)
    codes = {Status.CHECK_FAILED: ExitCode.CHECK_FAILED, Status.SUCCEEDED: ExitCode.OK}
    bad = [codes.get(one.result.status, ExitCode.STAGE_FAILED) for one in trials if one not in good]
    return int(min(bad, default=ExitCode.OK))
