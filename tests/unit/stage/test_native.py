"""Libraries that open files past Python: what is seen of them, here with those of the development's environment.

`docs/reference/watching.md` has the table; `tests/e2e/test_native_readers.py` tries the others every night.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipeline.stage import watching
from nbpipeline.stage.watching import Sight

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "watching.md"
READERS = {
    "pandas.read_csv(engine='pyarrow')": "import pandas; pandas.read_csv('{}.csv', engine='pyarrow')",
    "pandas.read_parquet": "import pandas; pandas.read_parquet('{}.parquet')",
    "pyarrow.parquet.read_table": "import pyarrow.parquet; pyarrow.parquet.read_table('{}.parquet')",
    "pyarrow.dataset": "import pyarrow.dataset; pyarrow.dataset.dataset('{}.parquet').to_table()",
    "pyarrow.csv": "import pyarrow.csv; pyarrow.csv.read_csv('{}.csv')",
    "pyarrow.memory_map": "import pyarrow; pyarrow.memory_map('{}.csv').read()",
    "sqlite3, ATTACH": "import sqlite3; db = sqlite3.connect(':memory:'); db.execute(\"attach '{}.db' as d\"); "
    "db.execute('select * from d.sqlite_master')",
}
"""Of each what reads a file; `{}` stands for its path without the suffix."""
WRITERS = {
    "pyarrow.parquet.write_table": "import pyarrow.parquet; "
    "pyarrow.parquet.write_table(pyarrow.table({'x': [1]}), '{}.parquet')",
    "DataFrame.to_parquet": "import pandas; pandas.DataFrame({'x': [1]}).to_parquet('{}.parquet')",
}
ALL = {**READERS, **WRITERS}
HOOK_ALONE = {"pandas.read_csv(engine='pyarrow')"}
"""Those that open their file by Python's own `open`."""


def stem(name: str) -> str:
    return re.sub(r"\W", "_", name)


def seen(root: Path, before: str, source: str) -> Sight:
    """Watch a process of its own as a kernel is watched."""
    program = f"{before}\n{watching.start(str(root), str(root / '.spool'))}\n{source}\nprint(repr({watching.QUESTION}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root / "notebooks", capture_output=True, text=True, check=True
    )
    return watching.read({"data": {"text/plain": done.stdout.splitlines()[-1]}})


def build(root: Path) -> Path:
    import pandas as pd

    for folder in ("data", "notebooks"):
        (root / folder).mkdir(parents=True)
    table = pd.DataFrame({"x": [1.0, 2.0]})
    for name in READERS:
        table.to_csv(root / f"data/{stem(name)}.csv", index=False)
        table.to_parquet(root / f"data/{stem(name)}.parquet")
        (root / f"data/{stem(name)}.db").touch()
    return root


REFUSED = "import sys; system, sys.platform = sys.platform, 'another'\n"
REFUSED += "sys.audit('import', 'pyarrow', None, None, None, None); sys.platform = system\n"
"""Has the watch find itself on a system that tells nothing."""


def whole(root: Path, before: str) -> Sight:
    sources = (one.replace("{}", f"../data/{stem(name)}") for name, one in ALL.items())
    return seen(root, "", before + "\n".join(sources))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """What hook and system see together."""
    found = whole(build(tmp_path_factory.mktemp("native") / "project"), "")
    if found.unseen:
        pytest.skip("fanotify is refused here")
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Sight:
    """What the hook sees where the system says nothing."""
    return whole(build(tmp_path_factory.mktemp("hook") / "project"), REFUSED)


def how(found: Sight, name: str) -> set[str]:
    return {said for path, said in found.files.items() if Path(path).stem == stem(name)}


@pytest.mark.parametrize("name", ALL)
def test_what_the_system_tells(both: Sight, name: str) -> None:
    assert how(both, name) == {"write" if name in WRITERS else "read"}


@pytest.mark.parametrize("name", ALL)
def test_what_the_hook_sees_alone(alone: Sight, name: str) -> None:
    assert bool(how(alone, name)) == (name in HOOK_ALONE)


def test_who_may_have_opened_files_unseen_is_told(alone: Sight) -> None:
    assert alone.unseen == ("pyarrow",)


def test_the_table_of_the_documentation_says_so() -> None:
    table = dict(re.findall(r"^\| `([^`]+)` \| (\w+) \| seen \|", PAGE.read_text(), flags=re.MULTILINE))
    said = {name: table.get(name) for name in ALL}
    assert said == {name: "seen" if name in HOOK_ALONE else "unseen" for name in ALL}


def test_what_others_open_is_not_taken_for_the_own(root: Path) -> None:
    build(root)
    (root / "data/t.csv").touch()
    source = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', 'open(\"../data/\" + \"t.csv\").close()'], check=True)"
    )
    found = seen(root, "import pyarrow", source)
    assert f"{root}/data/t.csv" not in found.files
    assert any(one.startswith("python") for one in found.unseen)


def test_kernels_that_are_forked_from_one_process_are_told_apart(root: Path, both: Sight) -> None:
    """Of a server that has loaded the library and is not watched itself."""
    build(root)
    program = f"""
import os, pyarrow.csv
for number in range(2):
    pid = os.fork()
    if pid == 0:
        exec({watching.start(str(root), str(root / ".spool"))!r})
        open(f'../data/{{number}}.txt', 'w').write('x\\n1\\n')
        pyarrow.csv.read_csv(f'../data/{{number}}.txt')
        pyarrow.csv.read_csv(f'../data/pyarrow_csv.csv') if number else None
        print(repr({watching.QUESTION}), flush=True)
        os._exit(0)
    os.waitpid(pid, 0)
assert eval({watching.QUESTION!r}) == '{{}}', 'the server has no hook'
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root / "notebooks", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = (watching.read({"data": {"text/plain": line}}) for line in done.stdout.splitlines())
    data = [{Path(name).name for name in one.files if "/data/" in name} for one in (first, second)]
    assert data == [{"0.txt"}, {"1.txt", "pyarrow_csv.csv"}]


def test_very_many_files_are_left_to_the_hook(root: Path, both: Sight) -> None:
    build(root)
    for name in ("data/late.csv", "other/t.csv"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x\n1\n")
    source = (
        "import pyarrow.csv as c\n"
        "for n in range(300): open(f'../data/{n}.txt', 'w').close()\n"
        "c.read_csv('../other/t.csv'); c.read_csv('../data/late.csv')"
    )
    found = seen(root, "", source)
    assert len([path for path in found.files if path.endswith(".txt")]) == 300
    assert found.files.get(f"{root}/other/t.csv") == "read", "another folder is still asked about"
    assert f"{root}/data/late.csv" not in found.files, "the crowded one is not"
    assert found.unseen == ("pyarrow",), "and that is said"


def test_an_answer_that_is_none() -> None:
    for text in ("", "'{}'", "'[1]'", "nonsense", repr(json.dumps({"native": "", "files": 3}))):
        assert watching.read({"data": {"text/plain": text}}) == Sight()
    assert watching.read({"status": "error"}) == Sight()
