"""A project of one stage that writes one table of one word, and what befalls it in its last cells."""

import json
import subprocess
from pathlib import Path
from typing import Any

from builders import code, command, header, write_files, write_notebook

WRITE = "open(table, 'w').write(word * 1000)"


def build(root: Path, *cells: str, head: str = "", name: str = "a") -> Path:
    """Write the project; `word` is a parameter, `cells` come after the table was written."""
    write_files(root, {"pipeline.yaml": "name: one\n"})
    write_notebook(
        root / "notebooks" / f"{name}.ipynb",
        header(f"outputs: {{table: ../out/{name}.txt}}\n{head}"),
        code('word: str = "aaaa"', "parameters"),
        *map(code, (WRITE, *cells)),
    )
    return root


def run(root: Path, word: str, *arguments: str, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run the stage for a word."""
    return command("run", "-p", f"word={word}", *arguments, cwd=root, **how)


def word_in(root: Path, name: str = "a") -> str | None:
    """Give the word of the table; None where it is missing, half or mixed."""
    path = root / "out" / f"{name}.txt"
    text = path.read_text() if path.exists() else ""
    return text[:4] if text and text == text[:4] * 1000 else None


def actions(root: Path, word: str, **how: Any) -> dict[str, str]:
    """Ask the plan what it would do."""
    done = command("plan", "-p", f"word={word}", "--format", "json", cwd=root, **how)
    assert done.returncode == 0, done.stderr
    return {one["stage"]: one["action"] for one in json.loads(done.stdout)["stages"]}


def left_behind(root: Path) -> list[str]:
    """Name asides, journals and owners' marks that should not be there when nothing runs."""
    state = root / ".nbpipeline"
    hidden = [one for one in root.rglob(".*nbpipeline-*") if one.parent != state]
    found = [*hidden, *state.glob("journals/*"), *state.glob("asides/*"), *state.glob("locks/*.owner")]
    return sorted(one.relative_to(root).as_posix() for one in found)
