"""What the how-to pages show to copy runs as it stands there."""

import json
import re
import subprocess
from pathlib import Path

from builders import code, command, write_files, write_notebook

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)


def blocks(page: str, heading: str) -> list[str]:
    """Give the code under a heading, in order."""
    text = (HOW_TO / page).read_text(encoding="utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [block for _, block in BLOCK.findall(text)]


def test_the_notebooks_of_a_matrix(root: Path) -> None:
    settings, table, train, compare = blocks("matrix.md", "Two notebooks to copy")
    files = {"pipeline.yaml": settings, "data/flights.csv": table}
    write_files(root, files | {"notebooks/train.py": train, "notebooks/compare.py": compare})
    checked = command("check", "--strict", cwd=root)
    assert (checked.returncode, checked.stdout) == (0, "3 stages: nothing to complain of\n"), checked.stderr
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((root / "reports/regions.json").read_text()) == {"eu": 2.0, "us": 5.0}
    assert command("run", cwd=root).stdout == "all fresh: 3 stages, nothing to run\n"


def test_a_path_that_is_a_parameter(root: Path) -> None:
    given, read, written, work = blocks("papermill.md", "A path that is a parameter")
    write_notebook(
        root / "notebooks/train.ipynb",
        code(given, "parameters"),
        code(read, "inputs"),
        code(written, "outputs"),
        code(work),
    )
    write_notebook(
        root / "notebooks/clean.ipynb",
        code('clean = "../data/clean.csv"', "outputs"),
        code("open(clean, 'w').write('one\\ntwo\\n')"),
    )
    assert command("check", "--strict", cwd=root).returncode == 0
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (root / "models/model.txt").read_text() == "2"
    other = ("run", "train", "-p", "train.input_path=../data/other.csv")
    refused = command(*other, cwd=root)
    assert refused.returncode == 3
    assert "data/other.csv is not there" in refused.stderr
    write_files(root, {"data/other.csv": "one\n"})
    assert command(*other, cwd=root).returncode == 0
    assert (root / "models/model.txt").read_text() == "1"


def test_bytes_that_clean_kept_come_back(root: Path) -> None:
    write_notebook(
        root / "notebooks/reader.ipynb",
        code('copy = "../out/copy.csv"', "outputs"),
        code("open(copy, 'w').write('made')"),
    )
    assert command("run", cwd=root).returncode == 0
    (root / "out/copy.csv").write_text("by hand")
    (block,) = blocks("clean.md", "Bring back what it removed")[1:2]
    forced, kept, removed, copied = block.splitlines()
    done = command(*forced.removeprefix("$ nbpipeline ").split(), cwd=root)
    words = re.compile(r"(?<= as )\w+")
    said, count = done.stdout.splitlines()
    assert (words.sub("", said), count) == (words.sub("", kept), removed)
    shown, digest = words.findall(kept)[0], words.findall(said)[0]
    assert len(digest) == len(shown)
    subprocess.run(["sh", "-c", copied.removeprefix("$ ").replace(shown, digest)], cwd=root, check=True)
    assert (root / "out/copy.csv").read_text() == "by hand"
