"""`nbpipeline completion`."""

import click

from nbpipeline.cli.frame import define


@define(
    "completion",
    example='eval "$(nbpipeline completion bash)"      # in ~/.bashrc\n'
    "nbpipeline completion fish > ~/.config/fish/completions/nbpipeline.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.option("--project", hidden=True, expose_value=False, help="Taken by every command; of no use here.")
def command(shell: str) -> int:
    """Print the completion script of a shell: commands, options, names of stages."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - of use here alone

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - the choices are click's own shells
        return 1
    script = kind(click.get_current_context().find_root().command, {}, "nbpipeline", "_NBPIPELINE_COMPLETE")
    click.echo(script.source_template % script.source_vars())
    return 0
