"""`nbpipeline check`."""

from typing import Any

import click

from nbpipeline.cli.frame import (
    complaint_json,
    define,
    format_option,
    open_project,
    print_complaints,
    print_json,
    settings_options,
)
from nbpipeline.cli.wording import counted


@define("check", example="nbpipeline check --strict\nnbpipeline check --format json")
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@format_option("text", "json")
@settings_options
def command(*, strict: bool, output_format: str, **given: Any) -> int:
    """Say everything that is wrong with the project; starts no kernel.

    With `--format json`: {"version", "stages": [ID], "errors": [...], "warnings": [...], "passed_over":
    [PATH], "needs_magic": {STAGE: [NAME]}}, each complaint with where, what, known, mend, exit_code.
    """
    found = open_project(given).check(strict=strict)
    if output_format == "json":
        print_json(
            {
                "stages": list(found.stages),
                "errors": [complaint_json(one) for one in found.errors],
                "warnings": [complaint_json(one) for one in found.warnings],
                "passed_over": list(found.passed_over),
                "needs_magic": {stage: list(names) for stage, names in found.needs_magic.items()},
            }
        )
        return int(found.exit_code)
    print_complaints([*found.errors, *found.warnings])
    for path in found.passed_over:
        click.echo(f"note: {path} is no stage: it has no header, and no cell with a tag such as `parameters`")
    for stage, names in found.needs_magic.items():
        click.echo(f"note: {stage} runs by hand only with %nbpipeline, which defines {', '.join(names)}")
    errors, warnings = counted(len(found.errors), "error"), counted(len(found.warnings), "warning")
    told = f"{errors}, {warnings}" if found.errors or found.warnings else "nothing to complain of"
    click.echo(f"{counted(len(found.stages), 'stage')}: {told}")
    return int(found.exit_code)
