"""Two stages update one file: whichever of them runs, the file is what both make of it."""

import json
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook

KEEP = "import json, os\nfound = json.load(open(ledger)) if os.path.exists(ledger) else {}\n"


def writer(name: str, after: str, cell: str) -> tuple[dict, ...]:
    head = f"after: [{after}]\noutputs: {{ledger: {{path: ../out/ledger.json, mode: update}}}}"
    return header(head), code('word: str = "a"', "parameters"), code(KEEP + cell)


@pytest.fixture
def ledger(root: Path) -> Path:
    write_files(root, {"pipeline.yaml": "name: ledger\nkernels: plain\n", "data/start.txt": "x"})
    write_notebook(
        root / "notebooks" / "zero.ipynb",
        code('start = "../data/start.txt"', "inputs"),
        code('zero = "../out/zero.txt"', "outputs"),
        code("open(zero, 'w').write(open(start).read())"),
    )
    save = "json.dump(found, open(ledger, 'w'))"
    write_notebook(root / "notebooks" / "one.ipynb", *writer("one", "zero", f"found['one'] = [word]\n{save}"))
    more = f"found.setdefault('two', []).append(word)\n{save}"
    refuse = "if word == 'b' and not os.path.exists('../go'): raise ValueError\n"
    write_notebook(root / "notebooks" / "two.ipynb", *writer("two", "one", refuse + more))
    return root


def run(root: Path, word: str, code: int = 0) -> dict:
    done = command("run", "-p", f"word={word}", cwd=root)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads((root / "out/ledger.json").read_text())


@pytest.mark.heavy
def test_a_later_stage_begins_with_what_the_one_before_left(ledger: Path) -> None:
    assert run(ledger, "a") == {"one": ["a"], "two": ["a"]}
    assert run(ledger, "b", code=1)["two"] == ["a"]
    assert run(ledger, "c")["one"] == ["c"]
    (ledger / "go").touch()
    last = run(ledger, "b")
    assert last["one"] == ["b"], "the one before is of the same word, though it did not run again"
    assert last["two"][-1] == "b"
    assert run(ledger, "b") == last
    edited = ledger / "notebooks/two.ipynb"
    edited.write_text(edited.read_text().replace(".append(word)", ".append(word.upper())"))
    assert run(ledger, "b")["two"] == [*last["two"][:-1], "B"], "it does not update its own update"
