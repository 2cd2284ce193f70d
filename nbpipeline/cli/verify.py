"""`nbpipeline verify`."""

from typing import Any

import click

from nbpipeline.cli.carrying import carrying
from nbpipeline.cli.frame import define, format_option, open_project, print_json, project_option
from nbpipeline.cli.wording import counted
from nbpipeline.errors import ExitCode
from nbpipeline.report.wording import size

_WORDS = {
    "mended": "put right from the other side",
    "dropped": "removed; its stage runs again when it is wanted",
    "left": "left as it is",
}


@define(
    "verify",
    example="nbpipeline verify\nnbpipeline verify --remote\nnbpipeline verify --no-fix --format json",
)
@click.option("--remote", is_flag=True, help="Also what is far away; all of it is read over the network.")
@click.option(
    "--fix/--no-fix",
    default=True,
    show_default=True,
    help="Put right what is damaged from the other side, or remove it; or only look.",
)
@format_option("text", "json")
@project_option
def command(*, remote: bool, fix: bool, output_format: str, **given: Any) -> int:
    """Check all that the local store holds by its digests and, with --remote, the store that a team shares.

    Wrong bytes are never used in any case. Exits 1 when something was damaged and could not be put right.
    With `--format json`: {"version", "checked", "bytes", "damaged": [{"where", "digest", "path", "done"}]}.
    """
    with carrying("read") as moved:
        found = open_project(given).sharing.verify(remote=remote, fix=fix, moved=moved)
    damaged = [one for part in found for one in part.damaged]
    checked, count = sum(one.checked for one in found), sum(one.bytes for one in found)
    if output_format == "json":
        told = [
            {"where": one.where, "digest": one.digest, "path": one.path, "done": one.done} for one in damaged
        ]
        print_json({"checked": checked, "bytes": count, "damaged": told})
    else:
        for one in damaged:
            name = f"{one.path} ({one.digest[:12]})" if one.path else one.digest[:12]
            click.echo(f"damaged: {one.where}: {name}: {_WORDS[one.done]}")
        click.echo(f"{counted(checked, 'object')} checked, {size(count)}: {len(damaged) or 'none'} damaged")
    return int(ExitCode.OK if all(one.good for one in found) else ExitCode.STAGE_FAILED)
