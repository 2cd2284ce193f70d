"""The project that the storm falls upon: every kind of output, each whole or visibly not.

Each output is one word of four letters, written again and again, slowly and in pieces: half a file and a
mixture of two versions show at once.
"""

import json
from pathlib import Path

from builders import code, header, write_files, write_notebook

WORDS = 500
"""How often an output holds its word."""
LETTERS = 4
STAGES = 10
"""Instances of stages in the project."""

WRITE = f"""
import time
def write(path, word, pieces=8):
    with open(path, "w") as file:
        for _ in range(pieces):
            file.write(word * ({WORDS} // pieces))
            file.flush()
            time.sleep(0.001)
        file.write(word * ({WORDS} - pieces * ({WORDS} // pieces)))
def read(path):
    text = open(path).read()
    assert text == text[:{LETTERS}] * {WORDS}, f"half or mixed: {{path}}"
    return text[:{LETTERS}]
"""

UPDATE = f"""
import json, os
found = json.load(open(ledger)) if os.path.exists(ledger) else {{{{}}}}
found[{{name!r}}] = word * {WORDS}
text = json.dumps(found)
with open(ledger, "w") as file:
    for part in range(0, len(text), 1000):
        file.write(text[part : part + 1000])
        file.flush()
        time.sleep(0.001)
"""

# It fails the first time for each word, with half of its output written.
FAILS_ONCE = """
import os, pathlib
mark = pathlib.Path(os.environ["STORM_MARKS"], word)
assert {read(path) for path in parts.values()} == {word}
if not mark.exists():
    mark.touch()
    write(collected, word[:2])
    raise RuntimeError("the first try fails")
write(collected, word)
"""

FINAL = f"""
words = {{read(direct), read(live), read(collected), *(read(f"{{shards}}/{{n}}.txt") for n in range(3))}}
words |= {{text[:{LETTERS}] for text in json.load(open(ledger)).values()}}
assert words == {{word}}, words
write(final, word)
"""


def build(root: Path, kernels: str) -> None:
    """Write the project."""
    word = code('word: str = "aaaa"', "parameters")

    def stage(name: str, head: str, *cells: str) -> None:
        write_notebook(root / "notebooks" / f"{name}.ipynb", header(head), word, *map(code, (WRITE, *cells)))

    stage("source", "outputs: {source: ../out/source.txt}", "write(source, word)")
    stage(
        "direct",
        "inputs: {source: ../out/source.txt}\noutputs: {direct: ../out/direct.txt, "
        "folder: {path: ../out/folder/, kind: directory}}",
        "word = read(source)",
        "write(direct, word)",
        "for n in range(3): write(f'{folder}/{n}.txt', word)",
    )
    stage(
        "live",
        "inputs: {source: ../out/source.txt}\noutputs: {live: {path: ../out/live.txt, publish: atomic}, "
        "shards: {path: ../out/shards/, kind: directory, publish: atomic}}",
        "write(live, read(source))",
        "import os; os.makedirs(shards, exist_ok=True)\n"
        "for n in range(3): write(f'{shards}/{n}.txt', read(source))",
    )
    for name, after in (("ledger_one", "source"), ("ledger_two", "ledger_one")):
        stage(
            name,
            f"inputs: {{source: ../out/source.txt}}\nafter: [{after}]\n"
            "outputs: {ledger: {path: ../out/ledger.json, mode: update}}",
            "word = read(source)",
            UPDATE.format(name=name),
        )
    stage(
        "part",
        "matrix: {n: [1, 2, 3]}\ninputs: {source: ../out/source.txt}\noutputs: {part: '../out/part-{n}.txt'}",
        "write(part, read(source))",
    )
    stage(
        "collect",
        "inputs: {parts: {from: 'part[*].part'}}\nretries: 3\noutputs: {collected: ../out/collected.txt}",
        FAILS_ONCE,
    )
    stage(
        "final",
        "inputs: {direct: ../out/direct.txt, live: ../out/live.txt, shards: ../out/shards/, "
        "ledger: ../out/ledger.json, collected: ../out/collected.txt}\noutputs: {final: ../out/final.txt}",
        "import json",
        FINAL,
    )
    write_files(root, {"pipeline.yaml": f"name: storm\nkernels: {kernels}\n"})


def words(root: Path) -> dict[str, str | None]:
    """Give the word of each output; None for one that is missing, half or mixed."""
    out = root / "out"
    files = [out / f"{name}.txt" for name in ("source", "direct", "live", "collected", "final")]
    files += [out / f"part-{n}.txt" for n in (1, 2, 3)]
    files += [out / folder / f"{n}.txt" for folder in ("folder", "shards") for n in range(3)]
    found = {path.relative_to(out).as_posix(): _word(_text(path)) for path in files}
    try:
        ledger = json.loads(_text(out / "ledger.json"))
    except ValueError:
        ledger = {}
    for name in ("ledger_one", "ledger_two"):
        found[f"ledger.json of {name}"] = _word(ledger.get(name, ""))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def _word(text: str) -> str | None:
    return text[:LETTERS] if text and text == text[:LETTERS] * WORDS else None
