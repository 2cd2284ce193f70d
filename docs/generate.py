"""Write the parts of the reference that follow from code: `python docs/generate.py`.

keys.md comes from the table that also drives the reader and the JSON Schemas, commands.md from the commands'
own help, targets.md from what exporters say of themselves, the methods in python.md from their docstrings.
tests/docs holds that the files are what this script would write.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from nbpipeline import plugins
from nbpipeline.api import Project
from nbpipeline.cli.main import SETTINGS, cli
from nbpipeline.exporters.rendering.features import FEATURES
from nbpipeline.reading import schema
from nbpipeline.reading.schedule import Checked
from nbpipeline.reading.shapes import Anything, Key, ListOf, MapOf, Placed, Scalar, Short, Table
from nbpipeline.validators import expectations

FOLDER = Path(__file__).parent / "reference"
WIDTH = 100
METHODS, END = "<!-- methods: made by docs/generate.py -->", "<!-- end of methods -->"
NAMES, NAMES_END = "<!-- expectations: made by docs/generate.py -->", "<!-- end of expectations -->"
MADE = "<!-- Made by docs/generate.py; change the code that it reads, and run it again. -->\n"

KEYS_HEAD = """# Keys of the header and of pipeline.yaml

A header is YAML between `---` lines in a raw cell, with everything under the one key `nbpipeline:`. It is
read as YAML 1.2 (core schema): `no` and `on` are text, `1e-3` is a number, `12:30` is text. An unknown
key is an error that names the nearest known one. `null` takes back what a lower layer says.

Layers, the later over the earlier: `defaults` < header < `params` and `stages` < profile < command line
(`-p`).

Names of stages are made of letters A to Z, digits, `_` and `-`, and begin with a letter or `_`. Where a
list is wanted, one value alone may stand without it.

Editors can use the JSON Schemas `nbpipeline/reading/schemas/stage.json` and `project.json`; they are made
from the same table as this page.
"""


def wants(shape: Any) -> str:
    """Say in a few words what a shape takes."""
    match shape:
        case Scalar() | Checked():
            said = str(shape.wants).partition(" (")[0]
        case Anything():
            said = "anything"
        case ListOf():
            said = f"a list of: {wants(shape.item)}"
        case MapOf():
            said = f"names, each with: {wants(shape.item)}"
        case Placed():
            said = wants(shape.item)
        case Short():
            said = f"{wants(shape.short)} (short for `{{{shape.key}: ...}}`), or a mapping, see below"
        case Table():
            said = "a mapping, see below"
        case _:
            said = (shape.__doc__ or "").strip().splitlines()[0].rstrip(".")
            said = said[0].lower() + said[1:]
    return said


def tables_in(shape: Any) -> Iterator[Table]:
    """Find the tables that a shape leads to, without those of further keys."""
    match shape:
        case Table():
            yield shape
        case ListOf() | MapOf() | Placed():
            yield from tables_in(shape.item)
        case Short():
            yield shape.table


def cell(text: str) -> str:
    """Escape what would break a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def default(key: Key) -> str:
    """Show a key's default, empty where there is none."""
    return "" if key.default is None else f"`{json.dumps(key.default)}`"


def rows(keys: tuple[Key, ...]) -> list[str]:
    """Write keys as the rows of a table."""
    head = ["| key | takes | default | |", "|---|---|---|---|"]
    return head + [
        f"| `{key.name}` | {cell(wants(key.shape))} | {cell(default(key))} | {cell(key.help)} |"
        for key in keys
    ]


def section(title: str, keys: tuple[Key, ...], *, without: frozenset[str] = frozenset()) -> list[str]:
    """Write a table of keys, and below it the tables that they lead to."""
    lines = [f"## {title}", "", *rows(keys), ""]
    for key in keys:
        if key.name in without:
            continue
        for table in tables_in(key.shape):
            lines += [f"### `{key.name}`", "", *rows(table.keys), ""]
    return lines


def keys_page() -> str:
    """Give the text of keys.md."""
    header = schema.header_table().keys
    stage_keys = {key.name for key in header}
    project = schema.project_table().keys
    entry = next(table for key in project if key.name == "stages" for table in tables_in(key.shape)).keys
    own = tuple(key for key in entry if key.name not in stage_keys)
    lines = [MADE, KEYS_HEAD]
    lines += section("Header of a stage (under `nbpipeline:`)", header)
    lines += section("pipeline.yaml", project, without=frozenset({"stages", "defaults", "profiles"}))
    lines += [
        "### `stages`",
        "",
        "Each item has these keys, and those of a header but for `stage`.",
        "",
        *rows(own),
        "",
    ]
    lines += ["### `defaults`", "", "These keys of a header:", ""]
    lines += [", ".join(f"`{key.name}`" for key in schema.SETTINGS) + ".", ""]
    lines += ["### `profiles`", "", "Each profile is a mapping with any of these keys:", ""]
    profile = next(table for key in project if key.name == "profiles" for table in tables_in(key.shape))
    lines += [", ".join(f"`{key.name}`" for key in profile.keys) + "."]
    return "\n".join(lines) + "\n"


def help_of(name: str, command: click.Command, parent: click.Context) -> str:
    """Give what `nbpipeline NAME --help` prints."""
    with click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **SETTINGS) as context:
        return command.get_help(context).rstrip()


TARGETS_HEAD = """# Targets of `nbpipeline export`, and what each keeps

Every task calls `nbpipeline run-stage`; the one job of GitHub Actions and of GitLab CI calls
`nbpipeline run`. Both are the code path of a local run, so checks, trackers and the skipping of what is
fresh are the same everywhere. An empty place is a loss: the export is refused (exit code 6) where the
pipeline asks for it, or lists it with `--allow-loss`. [How to export](../how-to/export.md) has the steps,
[parity.md](parity.md) what was run.
"""


def targets_page() -> str:
    """Give the text of targets.md."""
    exporters = {name: plugins.load("exporters", name) for name in sorted(plugins.BUILT_IN["exporters"])}
    lines = [
        MADE,
        TARGETS_HEAD,
        "| target | written for | by default in | options of `--set` |",
        "|---|---|---|---|",
    ]
    for name, one in exporters.items():
        options = "; ".join(f"`{option}`: {text}" for option, text in one.OPTIONS.items())
        lines.append(f"| [`{name}`](#{name}) | {cell(one.TITLE)} | `{one.FOLDER}` | {cell(options)} |")
    for name, one in exporters.items():
        lines += ["", f"## `{name}`", "", "| what a pipeline says | how it is kept |", "|---|---|"]
        lines += [
            f"| {cell(feature.title)} | {cell(one.KEEPS.get(key, ''))} |" for key, feature in FEATURES.items()
        ]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Give the text of commands.md."""
    parent = click.Context(cli, info_name="nbpipeline", terminal_width=WIDTH, **SETTINGS)
    lines = [
        MADE,
        "# Commands",
        "",
        "What `nbpipeline COMMAND --help` prints. [Exit codes](exit-codes.md), [selectors](selectors.md) and",
        "the [JSON](json.md) that `--format json` prints have pages of their own.",
        "",
        "```text",
        cli.get_help(parent).rstrip(),
        "```",
    ]
    for name in cli.list_commands(parent):
        command = cli.get_command(parent, name)
        assert command is not None, name  # noqa: S101 - the list and the table are one
        lines += ["", f"## {name}", "", "```text", help_of(name, command, parent), "```"]
        lines += sections_within(name, command, parent)
    return "\n".join(lines) + "\n"


def sections_within(name: str, command: click.Command, parent: click.Context) -> list[str]:
    """Give the help of a group's own commands."""
    if not isinstance(command, click.Group):
        return []
    inner = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH, **SETTINGS)
    lines = []
    for each in command.list_commands(inner):
        found = command.get_command(inner, each)
        assert found is not None, each  # noqa: S101 - the list and the table are one
        lines += ["", f"### {name} {each}", "", "```text", help_of(each, found, inner), "```"]
    return lines


def checks_page() -> str:
    """Give the text of checks.md: as it is, with the table of Great Expectations' names made anew."""
    before, _, rest = (FOLDER / "checks.md").read_text(encoding="utf-8").partition(NAMES)
    _, _, after = rest.partition(NAMES_END)
    rows = ["| short name | Great Expectations' name | arguments |", "|---|---|---|"]
    for full, entry in expectations.table().items():
        if not entry.get("databases"):
            given = ", ".join(f"`{one}`" for one in shown_arguments(entry))
            rows.append(f"| `{expectations.short_name(full)}` | `{full}` | {given} |")
    return f"{before}{NAMES}\n" + "\n".join(rows) + f"\n{NAMES_END}{after}"


def shown_arguments(entry: Any) -> Iterator[str]:
    """Name an expectation's arguments, short where they are; those that nearly all have are told beside."""
    short = {long: name for name, long in expectations.SHORT_ARGUMENTS.items()}
    for name in entry["arguments"]:
        if name not in ("row_condition", "condition_parser"):
            yield "columns" if name == "column_set" else short.get(name, name)
    if entry["mostly"]:
        yield "mostly"


def methods() -> Iterator[str]:
    """Write the public methods and properties of `Project` as rows."""
    for name, member in vars(Project).items():
        if name.startswith("_"):
            continue
        called = "" if isinstance(member, property) else f"({', '.join(arguments(member))})"
        yield f"| `{name}{called}` | {cell((inspect.getdoc(member) or '').partition(chr(10) * 2)[0])} |"


def arguments(function: Callable[..., Any]) -> Iterator[str]:
    """Name a method's arguments, with their defaults where these say something."""
    for one in list(inspect.signature(function).parameters.values())[1:]:
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        bare = one.default is one.empty or one.default in (None, ())
        yield f"{stars}{one.name}" + ("" if bare else f"={one.default!r}")


def python_page() -> str:
    """Give the text of python.md with the table of methods as it should be."""
    text = (FOLDER / "python.md").read_text(encoding="utf-8")
    head, start, rest = text.partition(METHODS)
    table = "\n".join(["| method | |", "|---|---|", *methods()])
    return f"{head}{start}\n{table}\n{END}{rest.partition(END)[2]}"


PAGES = {
    "python.md": python_page,
    "checks.md": checks_page,
    "keys.md": keys_page,
    "commands.md": commands_page,
    "targets.md": targets_page,
}


if __name__ == "__main__":
    for page, make in PAGES.items():
        (FOLDER / page).write_text(make(), encoding="utf-8")
        print(f"wrote {FOLDER / page}")
