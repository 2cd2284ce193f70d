"""`nbpipeline init`."""

import os
from pathlib import Path

import click

from nbpipeline.authoring.start import Made, from_pipeline, from_template
from nbpipeline.cli.frame import define
from nbpipeline.errors import UsageError


@define(
    "init",
    example="nbpipeline init weather && cd weather && nbpipeline run\nnbpipeline init --from pipeline.yaml",
)
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--template", default="linear", show_default=True, metavar="NAME", help="The project to start from."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A pipeline.yaml: make the notebooks that it names.",
)
@click.option(
    "--project",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="The folder to make it in; the same as the argument.",
)
def command(folder: Path | None, template: str, source: Path | None, project: Path | None) -> int:
    """Make a project that runs, or the notebooks that a pipeline.yaml names.

    Nothing that is there is overwritten.
    """
    target = folder or project or Path()
    if source is None:
        made = from_template(target, template)
    else:
        if folder or project:
            raise UsageError.of(
                "`--from` makes the notebooks beside the pipeline.yaml that it names.",
                mend="leave the folder out, or copy the pipeline.yaml there first",
            )
        made = from_pipeline(source)
    _tell(made)
    return 0


def _tell(made: Made) -> None:
    for path in made.written:
        click.echo(f"made {path.relative_to(made.folder)}")
    for name in made.kept:
        click.echo(f"kept {name}, which is there already")
    here = made.folder == Path.cwd()
    step = "" if here else f"cd {_shell_word(os.path.relpath(made.folder))} && "
    click.echo(f"next: {step}nbpipeline run")


def _shell_word(text: str) -> str:
    import shlex  # noqa: PLC0415 - start-up is counted

    return shlex.quote(text)
