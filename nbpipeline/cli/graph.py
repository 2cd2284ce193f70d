"""`nbpipeline graph`."""

from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import (
    define,
    open_project,
    print_json,
    selectors_argument,
    settings_options,
)
from nbpipeline.errors import StorageError

_FORMATS = ("text", "mermaid", "svg", "html", "json")
_SUFFIXES = {
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".mmd": "mermaid",
    ".md": "mermaid",
    ".json": "json",
}


@define(
    "graph", example="nbpipeline graph\nnbpipeline graph -o pipeline.svg\nnbpipeline graph --format mermaid"
)
@click.option("--format", "output_format", type=click.Choice(_FORMATS), help="[default: by FILE, else text]")
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write it there instead of printing it.",
)  # fmt: skip
@click.option("--no-plan", is_flag=True, help="Only the stages, not what is stale.")
@selectors_argument
@settings_options
def command(
    *, selectors: tuple[str, ...], output_format: str | None, target: Path | None, no_plan: bool, **given: Any
) -> int:
    """Draw the pipeline: its stages, what passes between them, and what is stale.

    The HTML and SVG files stand alone. With `--format json`: {"version", "stages": [{"stage", "notebook",
    "description", "inputs", "outputs", "action"}], "edges": [{"upstream", "downstream", "kind", "path"}]}.
    """
    chosen = output_format or _SUFFIXES.get(target.suffix.lower() if target else "", "text")
    text = open_project(given).graph(chosen, *selectors, planned=not no_plan)
    if isinstance(text, dict):
        print_json(text)
    elif target is None:
        click.echo(text)
    else:
        _write(target, text)
    return 0


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError.of(
            f"{target} cannot be written: {error.strerror or error}.", mend="choose another place for it"
        ) from error
    click.echo(f"made {target}")
