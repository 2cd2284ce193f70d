"""Nothing that a user may meet is undocumented, and what the docs show is what there is."""

import importlib.util
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from nbpipeline import ports
from nbpipeline.cli.main import COMMANDS
from nbpipeline.errors import ExitCode
from nbpipeline.model import Action, ReasonKind, Status
from nbpipeline.reading import schema
from nbpipeline.reading.shapes import Table
from nbpipeline.validators import expectations
from nbpipeline.validators.arguments import ARGUMENTS
from nbpipeline.validators.values import TYPES

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
TAGS = ("parameters", "inputs", "outputs", "dependencies", "metrics", "expectations", "test", "skip")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rows(text: str) -> set[str]:
    """First cells of the tables of a page, where they are code."""
    return set(re.findall(r"^\| `([^`]+)`", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", ["keys.md", "commands.md", "python.md", "checks.md", "targets.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    made = generator().PAGES[name]()
    assert page(name) == made, "run: python docs/generate.py"


def test_every_command_has_an_example_and_a_line_of_help() -> None:
    sections = dict(
        re.findall(r"^## (\S+)\n\n```text\n(.*?)^```", page("commands.md"), re.DOTALL | re.MULTILINE)
    )
    assert sections.keys() == set(COMMANDS)
    for name, text in sections.items():
        assert re.search(r"^ *Examples?:$", text, flags=re.MULTILINE), f"{name} --help has no example"
        assert f"nbpipeline {name}" in text.partition("Example")[2], (
            f"{name}: the example shows another command"
        )


def keys_of(table: Table) -> set[str]:
    return {key.name for key in table.keys}


def test_every_key_is_documented() -> None:
    documented = rows(page("keys.md"))
    tables = (schema.header_table(), schema.entry_table(), schema.project_table())
    tables += (schema.INPUT, schema.OUTPUT, schema.PARAMETER, schema.RESOURCES, schema.TEST)
    assert set().union(*map(keys_of, tables)) <= documented


def test_every_reason_and_action_is_documented() -> None:
    documented = rows(page("reasons.md"))
    assert documented == {str(one) for one in (*ReasonKind, *Action)}


def test_every_exit_code_is_documented() -> None:
    found = re.findall(r"^\| (\d+) \| `(\w+)` \|", page("exit-codes.md"), flags=re.MULTILINE)
    assert {(int(code), name) for code, name in found} == {(one.value, one.name) for one in ExitCode}


def test_every_tag_is_documented() -> None:
    assert rows(page("tags.md")) == set(TAGS)


def test_every_check_and_type_is_documented() -> None:
    text = page("checks.md")
    files = {full for full, one in expectations.table().items() if not one.get("databases")}
    assert rows(text) == {*ARGUMENTS, "pandera", *map(expectations.short_name, files)}
    assert all(f"`{kind}`" in text for kind in TYPES)


def test_every_event_and_status_is_documented() -> None:
    text = page("events.md")
    kinds = set(re.findall(r"`(\w+)`", importlib.import_module("nbpipeline.model").Event.__doc__ or ""))
    headings = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^## .*$", text, flags=re.MULTILINE))))
    assert kinds - {"kind", "data"} <= headings
    assert all(f"`{status}`" in text for status in Status)


def test_every_port_is_named_in_the_architecture() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = {"Executor", "Kernels", "Store", "State", "Validator", "Tracker", "Exporter", "Importer"}
    assert all(hasattr(ports, name) and name in text for name in named)


def test_the_layers_drawn_are_those_that_ci_holds() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    block = next(one for one in re.findall(r"```\n(.*?)```", text, flags=re.DOTALL) if one.startswith("cli"))
    drawn = [set(re.split(r"\s{2,}", line)[0].split(" | ")) for line in block.splitlines()]
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = config["tool"]["importlinter"]["contracts"][0]["layers"]
    names = [set(re.findall(r"\w+", layer)) for layer in layers]
    there = {path.stem for path in (ROOT / "nbpipeline").glob("[!_]*.py")}
    there |= {path.parent.name for path in (ROOT / "nbpipeline").glob("*/__init__.py")}
    assert drawn == [layer & there for layer in names if layer & there]
