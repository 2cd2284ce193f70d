"""`nbpipeline accept`."""

from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options
from nbpipeline.plan.explain import words


@define("accept", example='nbpipeline accept train --because "only the plot\'s colours changed"')
@click.argument("stage", shell_complete=complete_stages)
@click.option("--because", required=True, metavar="TEXT", help="Why the change is harmless; kept on record.")
@settings_options
def command(*, stage: str, because: str, **given: Any) -> int:
    """Mark a change as harmless: the stage is fresh in its present state.

    Written to nbpipeline.accept.yaml, which belongs in version control.
    """
    project = open_project(given)
    accepted = project.accept(stage, because=because)
    stale = {one.instance.id: one.reasons for one in project.plan(stage, only=True).steps if not one.fresh}
    for name in accepted:
        left = "; ".join(words(one) for one in stale.get(name, ()))
        told = f"{name} is still stale: {left}" if name in stale else f"{name} is fresh as it stands"
        click.echo(f"accepted: {told}; see nbpipeline.accept.yaml")
    return 0
