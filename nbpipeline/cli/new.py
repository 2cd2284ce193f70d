"""`nbpipeline new`."""

import os
from typing import Any

import click

from nbpipeline.authoring.wiring import new_stage
from nbpipeline.cli.frame import complete_stages, define, open_project, project_option


@define("new", example="nbpipeline new compare --after train --after baseline")
@click.argument("stage")
@click.option(
    "--after",
    multiple=True,
    metavar="STAGE",
    shell_complete=complete_stages,
    help="A stage whose outputs the new one reads; may be given several times.",
)
@project_option
def command(*, stage: str, after: tuple[str, ...], **given: Any) -> int:
    """Make the notebook of a new stage, wired to others' outputs.

    Its tagged cells name the outputs of the stages given as `--after`, and it runs as it stands.
    """
    path = new_stage(open_project(given), stage, after)
    click.echo(f"made {os.path.relpath(path)}")
    click.echo(f"next: open it in JupyterLab; nbpipeline run +{stage}")
    return 0
