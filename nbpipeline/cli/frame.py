"""What every command has: `--project`, an example in its help, errors told in three parts.

With `--format json` an error also stands on stdout as one JSON object,
`{"version": 1, "kind": "error", "errors": [{"where": {"path", "cell", "line"} | null, "what", "known",
"mend", "exit_code", "warning"}]}`; the text goes to stderr in any case.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

import nbpipeline
from nbpipeline.errors import Complaint, ExitCode, NbpipelineError

if TYPE_CHECKING:
    from nbpipeline.api import Project

Function = TypeVar("Function", bound=Callable[..., Any])

JSON_VERSION = 1
SELECTORS = """Selectors:
  train                  the stage (all its instances), on what is there
  +train                 and what it needs
  train+                 and what needs it
  tag:weekly             every stage with the tag
  notebooks/train.ipynb  the stage of that notebook
  train[region=eu]       one instance; also train@region=eu"""


class Command(click.Command):
    """A command that returns its exit code and tells the tool's errors as they are meant to be read.

    `further` gives what its help says beside, of what is installed on this machine.
    """

    def __init__(self, *given: Any, further: Callable[[], str] = str, **named: Any) -> None:
        """Take what click takes, and `further`."""
        super().__init__(*given, **named)
        self._further = further

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; an `NbpipelineError` becomes text on stderr (and JSON on stdout) and its exit code."""
        try:
            code = super().invoke(ctx)
        except NbpipelineError as error:
            return int(tell(error, as_json=ctx.params.get("output_format") == "json"))
        except BrokenPipeError as error:  # not of our output, which outlives its readers; click would hide it
            raise RuntimeError(str(error)) from error
        return int(code or 0)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what is installed, which is looked for when somebody asks, and the examples."""
        found = self._further()
        if found:
            formatter.write_paragraph()
            formatter.write_text(found)
        super().format_epilog(ctx, formatter)


def define(
    name: str, *, example: str, notes: str = "", further: Callable[[], str] = str
) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function; `example`: one or more real command lines, `notes`: shown as they are.

    `further` is asked for more notes when somebody asks for help.
    """
    title = "Examples" if "\n" in example else "Example"
    blocks = [notes] if notes else []
    blocks.append("\n".join([f"{title}:", *(f"  {line}" for line in example.splitlines())]))
    epilog = "\n\n".join(f"\b\n{block}" for block in blocks)
    return click.command(name, cls=Command, epilog=epilog, further=further)


def tell(error: NbpipelineError, *, as_json: bool = False) -> ExitCode:
    """Print all complaints of an error; gives the exit code."""
    print_complaints(error.complaints)
    if as_json:
        print_json({"kind": "error", "errors": [complaint_json(one) for one in error.complaints]})
    grave = [one.exit_code for one in error.complaints if not one.warning]
    return min(grave, default=error.exit_code)


def print_complaints(complaints: Iterable[Complaint]) -> None:
    """Print complaints to stderr, sorted as they come; a warning says that it is one."""
    for one in complaints:
        click.echo(f"warning: {one}" if one.warning else str(one), err=True)


def complaint_json(complaint: Complaint) -> dict[str, Any]:
    """Give a complaint's parts for scripts."""
    where = complaint.where
    return {
        "where": where and {"path": where.path, "cell": where.cell, "line": where.line},
        "what": complaint.what,
        "known": complaint.known,
        "mend": complaint.mend,
        "warning": complaint.warning,
        "exit_code": int(complaint.exit_code),
    }


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object on one line, with the version of its shape first."""
    click.echo(json_text(values))


def json_text(values: Mapping[str, Any]) -> str:
    """Write one JSON object on one line, with the version of its shape first."""
    return json.dumps({"version": JSON_VERSION, **values}, ensure_ascii=False, default=str)


def note(text: str) -> None:
    """Print what is to be known beside the answer."""
    click.echo(f"note: {text}", err=True)


def say(lines: Iterable[str]) -> None:
    """Print lines, each as soon as it is made."""
    for line in lines:
        click.echo(line)


# --- options that several commands share ----------------------------------------------------


def project_option(function: Function) -> Function:
    """`--project DIR`."""
    return click.option(
        "--project",
        "folder",
        default=".",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="The project's folder (default: the nearest folder upward with a pipeline.yaml).",
    )(function)


def settings_options(function: Function) -> Function:
    """`--project`, `--profile` and `-p`: what the pipeline is read with."""
    function = click.option(
        "-p",
        "--param",
        "params",
        multiple=True,
        metavar="[STAGE.]NAME=VALUE",
        help="Set a parameter, of one stage or of all that declare it.",
    )(function)
    function = click.option("--profile", metavar="NAME", help="A profile of pipeline.yaml.")(function)
    return project_option(function)


def format_option(*choices: str) -> Callable[[Function], Function]:
    """`--format`, the first choice being the default."""
    return click.option(
        "--format",
        "output_format",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="How to print the answer.",
    )


def kernels_option(function: Function) -> Function:
    """`--kernels`: how kernels are started."""
    return click.option(
        "--kernels",
        type=click.Choice(["fork", "plain"]),
        help="`fork`: from a process that has imported what the stages need; `plain`: each anew "
        "[default: pipeline.yaml's, else `fork` on Linux where several stages run].",
    )(function)


def results_options(function: Function) -> Function:
    """`[STAGE|FILE]...`, `--format` and the settings: of commands that carry results of stages."""
    function = format_option("text", "json")(settings_options(function))
    return click.argument("what", nargs=-1, metavar="[STAGE|FILE]...", shell_complete=complete_stages)(
        function
    )


def other_side(flag: str, name: str, metavar: str, text: str) -> Callable[[Function], Function]:
    """Give `--to` or `--from`: where results are carried."""
    return click.option(flag, name, default="", metavar=metavar, help=text)


def selectors_argument(function: Function) -> Function:
    """Zero or more selectors of stages."""
    return click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_stages)(
        function
    )


def selection_options(function: Function) -> Function:
    """`--exclude`, `--only` and `--force`."""
    function = click.option("--force", is_flag=True, help="Run the selected stages even if they are fresh.")(
        function
    )
    function = click.option("--only", is_flag=True, help="Nothing upstream, whatever was typed.")(function)
    return click.option(
        "--exclude",
        multiple=True,
        metavar="SELECTOR",
        help="Leave these out.",
        shell_complete=complete_stages,
    )(function)


def complete_stages(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete names of stages without reading a notebook: from the last plan, and from files' stems."""
    del param
    prefix = "+" if incomplete.startswith("+") else ""
    names = known_names(Path(ctx.params.get("folder") or "."))
    return [CompletionItem(prefix + name) for name in names if name.startswith(incomplete.removeprefix("+"))]


def known_names(folder: Path) -> Sequence[str]:
    """Names of stages as the last run saw them, else the stems of the usual notebooks' folder."""
    start = folder.resolve()
    root = next((one for one in (start, *start.parents) if (one / "pipeline.yaml").is_file()), start)
    plans = sorted(root.glob(".nbpipeline/runs/*/plan.json"))
    try:
        steps = json.loads(plans[-1].read_text(encoding="utf-8"))["stages"] if plans else []
        names = [str(one["stage"]) for one in steps]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        names = []
    return sorted({*names, *(one.stem for one in root.glob("notebooks/*.ipynb"))})


def open_project(given: Mapping[str, Any]) -> "Project":
    """Open the project that `--project`, `--profile` and `-p` name; the API is imported only here."""
    project: Project = nbpipeline.Project(
        given["folder"], profile=given.get("profile"), params=given.get("params", ())
    )
    project.tell = lambda text: click.echo(text if text.endswith(".") else f"{text} ...", err=True)
    return project


def selection(given: Mapping[str, Any]) -> dict[str, Any]:
    """Take the keywords that the API's `plan` and `run` select by."""
    return {name: given[name] for name in ("exclude", "only", "force")}
