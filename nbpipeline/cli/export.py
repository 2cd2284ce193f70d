"""`nbpipeline export`."""

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nbpipeline import plugins
from nbpipeline.cli.frame import define, format_option, note, open_project, print_json, settings_options
from nbpipeline.cli.wording import counted
from nbpipeline.errors import ExitCode, UsageError
from nbpipeline.exporters.rendering.features import line

if TYPE_CHECKING:
    from nbpipeline.api.exporting import Export
    from nbpipeline.upkeep.exporting import Compared

_STATES = ("new", "changed", "by_hand", "gone", "left")


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete the names of targets."""
    del ctx, param
    return [one for one in plugins.names("exporters") if one.startswith(incomplete)]


def _further() -> str:
    found = ", ".join(plugins.further("exporters"))
    return f"Targets of other packages: {found}" if found else ""


@define(
    "export",
    example="nbpipeline export airflow\n"
    "nbpipeline export prefect -o deploy/prefect --profile prod\n"
    "nbpipeline export github-actions --check      # in CI: is what is committed up to date?",
    notes="Targets: " + ", ".join(plugins.BUILT_IN["exporters"]),
    further=_further,
)
@click.argument("target", shell_complete=complete_targets)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write [default: the target's own folder, deploy/TARGET for most].",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if what is there is not up to date.")
@click.option("--force", is_flag=True, help="Write over files that were changed by hand.")
@click.option("--allow-loss", is_flag=True, help="Export without what the target cannot say; it is listed.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="An option of the target (see the docs)."
)
@format_option("text", "json")
@settings_options
def command(
    *,
    target: str,
    output: Path | None,
    check: bool,
    force: bool,
    allow_loss: bool,
    settings: tuple[str, ...],
    output_format: str,
    **given: Any,
) -> int:
    """Write the pipeline as files of an orchestrator, to be reviewed and committed; deploys nothing.

    A task is one instance, and calls `nbpipeline run-stage`. What the target cannot say is refused (exit
    code 6) or, with --allow-loss, listed. With `--format json`: {"version", "target", "folder", "new",
    "changed", "by_hand", "gone", "left", "losses": [{"feature", "tasks", "what"}]}.
    """
    exporting = open_project(given).exporting
    export = exporting.rendered(target, output, options=_options(settings), allow_loss=allow_loss)
    found = exporting.compared(export)
    notes = [*export.notes, *_otherwise(exporting.asked_before(export), export.asked)]
    if not check:
        if found.by_hand and not force:
            _ask(export, found)
        exporting.written(export)
    if output_format == "json":
        print_json(_as_json(export, found))
    else:
        again = _again(export, given, output)
        _tell(export, found, again if check else None)
    for one in notes:
        note(one)
    return int(ExitCode.STAGE_FAILED if check and not found.same else ExitCode.OK)


def _options(settings: tuple[str, ...]) -> dict[str, str]:
    for one in settings:
        if not one.partition("=")[2]:
            raise UsageError.of(f"--set {one} sets nothing.", mend="write --set NAME=VALUE")
    return {one.partition("=")[0]: one.partition("=")[2] for one in settings}


def _otherwise(before: Sequence[str], now: Sequence[str]) -> Iterator[str]:
    """Say that an earlier export was asked for otherwise: to leave a word out by mistake changes files."""
    if before != now:
        words = [shlex.join(one) if one else "nothing" for one in (before, now)]
        yield f"the export that stood there was asked for with {words[0]}, this one with {words[1]}"


def _ask(export: "Export", found: "Compared") -> None:
    """Ask before something is lost; where nobody can answer, refuse."""
    what = f"in {export.folder}, {'; '.join(_not_ours(export, found))}"
    if sys.stdin.isatty():
        click.echo(what, err=True)
        if click.confirm("Write over?", err=True):
            return
        raise UsageError.of("nothing was written.", mend="export to another folder: -o DIR")
    raise UsageError.of(
        f"{what}.", mend="move your changes elsewhere and say --force, or export to another folder: -o DIR"
    )


def _not_ours(export: "Export", found: "Compared") -> Iterator[str]:
    """Name what would be lost, and whose it is."""
    own = [one for one in found.by_hand if one not in found.others]
    if own:
        yield f"changed by hand or not of an export: {', '.join(own)}"
    for owner in dict.fromkeys(found.others.values()):
        names = ", ".join(path for path, one in found.others.items() if one == owner)
        root = _shown(Path(os.path.normpath(export.folder / owner.root)))
        yield f"of another pipeline, {owner.name} in {root}: {names}"


def _again(export: "Export", given: Mapping[str, Any], output: Path | None) -> str:
    """Give the command that writes what was compared, from where this one was typed."""
    words = ["nbpipeline", "export", export.target, *export.asked]
    words += ["-o", str(output)] if output else []
    words += ["--project", str(given["folder"])] if str(given["folder"]) != "." else []
    for one in given["params"]:
        words += ["-p", one]
    return shlex.join(words)


def _tell(export: "Export", found: "Compared", again: str | None) -> None:
    """Say what was written; with a command that would write, what would be."""
    written = again is None
    words = {
        "new": "written" if written else "missing",
        "changed": "updated" if written else "not up to date",
        "by_hand": "written over" if written else "changed by hand",
        "gone": "removed" if written else "no longer part of it",
        "left": "no longer part of it, and changed by hand, so it stays",
    }
    for state in _STATES:
        for path in getattr(found, state):
            other = found.others.get(path)
            whose = f"of another pipeline ({other.name})" if other else ""
            said = [words[state] if written or not whose else "", whose]
            click.echo(f"{', '.join(filter(None, said))}: {_shown(export.folder / path)}")
    for loss in export.losses:
        click.echo(f"lost: {line(loss)}", err=True)
    if found.same:
        click.echo(f"{counted(len(export.files), 'file')} in {_shown(export.folder)}: up to date")
    elif not written:
        click.echo(f"{again} brings it up to date", err=True)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _as_json(export: "Export", found: "Compared") -> dict[str, Any]:
    return {
        "target": export.target,
        "folder": str(export.folder),
        **{state: list(getattr(found, state)) for state in _STATES},
        "losses": [
            {"feature": one.feature, "tasks": list(one.tasks), "what": one.what} for one in export.losses
        ],
    }
