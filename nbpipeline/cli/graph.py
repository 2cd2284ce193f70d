"""`nbpipeline graph`."""

from pathlib import Path
from typing import Any

import click

from nbpipeline.cli.frame import (
    define,
    json_text,
    open_project,
    selectors_argument,
    settings_options,
)
from nbpipeline.errors import StorageError, UsageError
from nbpipeline.model import Plan

_FORMATS = ("text", "mermaid", "svg", "html", "json")
_SUFFIXES = {
    ".txt": "text",
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
    help="Write it there instead of printing it: .svg, .html, .mmd, .md, .txt or .json.",
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
    chosen = output_format or (_format_of(target) if target else "text")
    project = open_project(given)
    if chosen == "json":
        text = json_text(graph_data(project.plan(*selectors)))
    else:
        text = project.graph(chosen, *selectors, planned=not no_plan)
    if target is None:
        click.echo(text)
    else:
        _write(target, text + "\n" * (not text.endswith("\n")))
    return 0


def _format_of(target: Path) -> str:
    """Tell the format by the file's ending. Raises UsageError for an ending that stands for none of ours."""
    suffix = target.suffix.lower()
    if suffix and suffix not in _SUFFIXES:
        raise UsageError.of(
            f"no format goes with the name {target}.",
            known=f"known endings: {', '.join(_SUFFIXES)}",
            mend="choose one of these, or add --format",
        )
    return _SUFFIXES.get(suffix, "text")


def graph_data(plan: Plan) -> dict[str, Any]:
    """Give stages and edges as `graph --format json` prints them."""
    ids = {one.instance.id for one in plan.steps}
    return {
        "stages": [
            {
                "stage": one.instance.id,
                "notebook": one.instance.spec.notebook.path,
                "description": one.instance.spec.description,
                "inputs": {bound.name: list(bound.paths) for bound in one.instance.inputs},
                "outputs": {bound.name: list(bound.paths) for bound in one.instance.outputs},
                "action": one.action.value,
            }
            for one in plan.steps
        ],
        "edges": [
            {"upstream": one.upstream, "downstream": one.downstream, "kind": one.kind, "path": one.path}
            for one in plan.pipeline.edges
            if {one.upstream, one.downstream} <= ids
        ],
    }


def _write(target: Path, text: str) -> None:
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError.of(
            f"{target} cannot be written: {error.strerror or error}.", mend="choose another place for it"
        ) from error
    click.echo(f"made {target}")
