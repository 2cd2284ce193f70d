"""`nbpipeline debug`."""

import subprocess
import sys
from typing import Any

import click

from nbpipeline.cli.frame import complete_stages, define, open_project, settings_options


@define("debug", example="nbpipeline run --on-failure keep; nbpipeline debug train")
@click.argument("stage", shell_complete=complete_stages)
@click.option("--fresh", is_flag=True, help="A new kernel, even where a failed one was kept.")
@settings_options
def command(*, stage: str, fresh: bool, **given: Any) -> int:
    """Open a console on the kernel that a failed stage left, or on a new one set up like the stage.

    The kept kernel (`run --on-failure keep`) still holds the stage's variables. Needs the extra `console`.
    """
    with open_project(given).debug(stage, fresh=fresh) as session:
        for line in session.notices:
            click.echo(line)
        click.echo("leave with Ctrl-D")
        return subprocess.call(  # noqa: S603 - our own interpreter and a connection file of ours
            [sys.executable, "-m", "jupyter_console", "--existing", str(session.connection)]
        )
