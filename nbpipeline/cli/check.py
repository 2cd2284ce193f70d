"""`nbpipeline check`."""

from collections.abc import Iterable, Sequence
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
from nbpipeline.encoding import plain
from nbpipeline.report.wording import table
from nbpipeline.upkeep.access import Access, Declared, notes


@define("check", example="nbpipeline check --strict\nnbpipeline check --io\nnbpipeline check --format json")
@click.option("--strict", is_flag=True, help="Warnings are errors.")
@click.option("--io", is_flag=True, help="Compare with the files that the last successes opened.")
@format_option("text", "json")
@settings_options
def command(*, strict: bool, io: bool, output_format: str, **given: Any) -> int:
    """Say everything that is wrong with the project; starts no kernel.

    With `--format json`: {"version", "stages": [ID], "errors": [...], "warnings": [...], "passed_over":
    [PATH], "needs_magic": {STAGE: [NAME]}, "notices": [TEXT]}, each complaint with where, what, known, mend,
    exit_code. With --io also "io": [{"stage", "run", "watched", "used", "unopened", "undeclared", "listed",
    "unseen"}].
    """
    found = open_project(given).check(strict=strict, io=io)
    if output_format == "json":
        print_json(
            {
                "stages": list(found.stages),
                "errors": [complaint_json(one) for one in found.errors],
                "warnings": [complaint_json(one) for one in found.warnings],
                "passed_over": list(found.passed_over),
                "needs_magic": {stage: list(names) for stage, names in found.needs_magic.items()},
                "notices": list(found.notices),
                **({"io": [_access_json(one) for one in found.accesses or ()]} if io else {}),
            }
        )
        return int(found.exit_code)
    print_complaints([*found.errors, *found.warnings])
    for path in found.passed_over:
        click.echo(f"note: {path} is no stage: it has no header, and no cell with a tag such as `parameters`")
    for stage, names in found.needs_magic.items():
        click.echo(f"note: {stage} runs by hand only with %nbpipeline, which defines {', '.join(names)}")
    for notice in found.notices:
        click.echo(f"note: {notice}")
    if found.accesses:
        _show(found.accesses)
    errors, warnings = counted(len(found.errors), "error"), counted(len(found.warnings), "warning")
    told = f"{errors}, {warnings}" if found.errors or found.warnings else "nothing to complain of"
    click.echo(f"{counted(len(found.stages), 'stage')}: {told}")
    return int(found.exit_code)


def _access_json(access: Access) -> dict[str, Any]:
    """Show what the last success of an instance did with files."""
    return {
        "stage": access.instance.id,
        "run": access.run or None,
        "watched": access.watched,
        "used": [plain(one) for one in access.used],
        "unopened": [plain(one) for one in access.unopened],
        "undeclared": [
            {"how": one.how, "path": one.path, "maker": one.maker or None} for one in access.undeclared
        ],
        "listed": list(access.listed),
        "unseen": list(access.unseen),
    }


def _show(accesses: Sequence[Access]) -> None:
    """Print which declared files were opened and which not, and what there is to say beside it."""
    rows = [
        (
            one.instance.id,
            _names(one.used, "input"),
            _names(one.used, "output"),
            _names(one.unopened, "input"),
            ", ".join(other.path for other in one.undeclared),
        )
        for one in accesses
        if one.watched
    ]
    for note in notes(accesses):
        click.echo(f"note: {note}")
    if rows:
        click.echo(table(("stage", "opened", "wrote", "not opened", "undeclared"), rows))


def _names(declared: Iterable[Declared], side: str) -> str:
    return ", ".join(dict.fromkeys(one.name for one in declared if one.side == side))
