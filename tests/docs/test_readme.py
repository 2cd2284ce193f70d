"""What the README and the docs show can be pasted: blocks parse, links lead somewhere, two commands stand first."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from nbpipeline.cli.main import COMMANDS
from nbpipeline.reading import yaml12

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "data" / "README.md")
    if path.name != "ISSUE.md"
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for path in PAGES:
        name = path.relative_to(ROOT).as_posix()
        found += [
            (name, text) for kind, text in BLOCK.findall(path.read_text(encoding="utf-8")) if kind == language
        ]
    return found


def anchors(path: Path) -> set[str]:
    """The anchors that a page's headings get."""
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_two_commands_of_one_line_stand_first() -> None:
    commands = [text.strip() for kind, text in BLOCK.findall(README) if kind == "sh"][:2]
    assert len(commands) == 2
    for one in commands:
        assert "\n" not in one
        assert one.startswith("python3 -m venv .venv && ")
        assert "sudo" not in one
        assert subprocess.run(["bash", "-n", "-c", one], check=False).returncode == 0
    assert "nbpipeline run" in commands[0]
    assert "pytest" in commands[1]


def test_times_of_both_commands_are_said() -> None:
    assert "TIMES" not in README
    assert len(re.findall(r"\d+ (?:s|seconds|minutes)\b", README)) >= 2


@pytest.mark.parametrize(("page", "text"), blocks("python"))
def test_python_parses(page: str, text: str) -> None:
    magic_free = re.sub(r"^%.*$", "", text, flags=re.MULTILINE)
    ast.parse(magic_free, filename=page)


@pytest.mark.parametrize(("page", "text"), blocks("yaml"))
def test_yaml_parses(page: str, text: str) -> None:
    for part in text.removeprefix("---\n").split("\n---"):
        for document in re.split(r"^(?=inputs: \{model: \")", part, flags=re.MULTILINE):
            yaml12.load(document)


@pytest.mark.parametrize(("page", "text"), blocks("json"))
def test_json_parses(page: str, text: str) -> None:
    for line in text.splitlines():
        json.loads(line)


@pytest.mark.parametrize(("page", "text"), [*blocks("console"), *blocks("sh")])
def test_commands_exist(page: str, text: str) -> None:
    for name in re.findall(r"(?:^|\$ |&& |bin/)nbpipeline ([a-z][\w-]*)", text, flags=re.MULTILINE):
        assert name in COMMANDS, f"{page} shows `nbpipeline {name}`"


@pytest.mark.parametrize(("page", "text"), [*blocks("console"), *blocks("sh")])
def test_nothing_takes_nbpipeline_from_an_index(page: str, text: str) -> None:
    """There, that name is somebody else's package."""
    for words in re.findall(r"\bpip install ([^#\n]*)", text):
        assert not re.search(r"(?:^|\s)['\"]?nbpipeline(?:\[[^\s\]]*\])?['\"]?(?:[=<>~ ]|$)", words), (
            f"{page}: {words}"
        )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = BLOCK.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in anchors(linked), f"{target}: no such heading"


def test_every_page_is_linked() -> None:
    linked = set()
    for path in PAGES:
        for target in re.findall(r"\]\(([^)\s#]+)", path.read_text(encoding="utf-8")):
            linked.add((path.parent / target).resolve())
    assert {path for path in PAGES if path.name != "README.md"} <= linked


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_lock_files_name_no_index_and_no_path(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert not re.search(r"://|^-|file:|^/", text, flags=re.MULTILINE)
    assert re.search(r"^papermill==", text, flags=re.MULTILINE)
