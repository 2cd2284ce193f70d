"""`nbpipeline doctor`."""

from typing import Any

import click

from nbpipeline.cli.frame import define, format_option, open_project, print_json, project_option
from nbpipeline.errors import ExitCode

_MARKS = {"good": "ok  ", "mended": "done", "bad": "BAD ", "warning": "note"}


@define(
    "doctor",
    example="nbpipeline doctor\nnbpipeline doctor --no-fix --format json\nnbpipeline doctor --alerts",
)
@click.option(
    "--fix/--no-fix",
    default=True,
    show_default=True,
    help="Mend what can be mended, saying so; or only look.",
)
@click.option("--alerts", is_flag=True, help="Send a test alert to all of `alerts:` in pipeline.yaml.")
@format_option("text", "json")
@project_option
def command(*, fix: bool, alerts: bool, output_format: str, **given: Any) -> int:
    """Say what is wrong with the installation, and mend what can be mended.

    Looks at Python, kernels, the history, the store, outputs that a dead run left aside, locks, disk space
    and what git ignores. Exits 1 when something is wrong that it could not mend.
    """
    findings = open_project(given).doctor(fix=fix, alerts=alerts)
    if output_format == "json":
        print_json(
            {
                "findings": [
                    {"subject": one.subject, "state": one.state, "what": one.what, "mend": one.mend}
                    for one in findings
                ]
            }
        )
    else:
        for one in findings:
            click.echo(f"{_MARKS[one.state]}  {one.subject}: {one.what}")
            if one.mend:
                click.echo(f"      mend: {one.mend}")
    bad = any(one.state == "bad" for one in findings)
    return int(ExitCode.STAGE_FAILED if bad else ExitCode.OK)
