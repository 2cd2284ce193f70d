"""What watching files costs a cell: `python benchmarks/audit.py`.

Each piece of work runs in a fork of its own, by turns without the hook, with it, and with what Linux tells of
native libraries beside it, and is measured in CPU time (user and system), garbage collection off. A hook that
does nothing stands beside them: it is what any audit hook written in Python costs. The files are in memory,
where there is room: what a disk does in between varies more than what is looked for. Of each way the fastest
turn counts: other work on the machine can only add. `python -m benchmarks --parts audit` keeps what is found.
"""

import argparse
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from nbpipeline.stage import watching

Work = Callable[[], object]
BARE = "bare"
WAYS = (BARE, "empty hook", "hook", "hook and system")
MODULES = 500
STATS = 10  # a file
TABLES = 10  # files to a table
MEMORY = "/dev/shm"  # noqa: S108 - where Linux has it
ROOM = 16_384  # bytes, ample for one file


def opens(folder: Path, files: int) -> Work:
    """Open, read and close many small files, each once."""
    paths = [str(folder / f"{number}.json") for number in range(files)]

    def work() -> None:
        for path in paths:
            with open(path) as file:  # noqa: PTH123 - what most cells write
                file.read()

    return work


def again(folder: Path, files: int) -> Work:
    """Open, read and close one small file as often."""
    path = str(folder / "0.json")

    def work() -> None:
        for _ in range(files):
            with open(path) as file:  # noqa: PTH123
                file.read()

    return work


def parses(folder: Path, files: int) -> Work:
    """Parse many small JSON files: a cell that does something with what it reads."""
    paths = [str(folder / f"{number}.json") for number in range(files)]

    def work() -> None:
        for path in paths:
            with open(path) as file:  # noqa: PTH123
                json.load(file)

    return work


def tables(folder: Path, files: int) -> Work:
    """Read small tables with pandas, a tenth as many: the least that most cells do with a file."""
    import pandas as pd  # noqa: PLC0415 - before anything is watched

    paths = [str(folder / f"{number}.csv") for number in range(files // TABLES)]

    def work() -> None:
        for path in paths:
            pd.read_csv(path)

    return work


def writes(folder: Path, files: int) -> Work:
    """Write many small files over."""
    paths = [str(folder / f"{number}.json") for number in range(files)]
    text = (folder / "0.json").read_text()

    def work() -> None:
        for path in paths:
            with open(path, "w") as file:  # noqa: PTH123
                file.write(text)

    return work


def stats(folder: Path, files: int) -> Work:
    """Ask for the size of a file, ten times as often."""
    path = str(folder / "0.json")

    def work() -> None:
        for _ in range(STATS * files):
            os.stat(path)  # noqa: PTH116

    return work


def imports(folder: Path, files: int) -> Work:
    """Import many modules."""
    del files
    sys.path.insert(0, str(folder / "modules"))

    def work() -> None:
        for number in range(MODULES):
            __import__(f"module_{number}")

    return work


WORKS = (opens, again, parses, tables, writes, stats, imports)


def operations(name: str, files: int) -> int:
    """Say how many files, or modules, or sizes, a piece of work asks for."""
    return {"imports": MODULES, "stats": STATS * files, "tables": files // TABLES}.get(name, files)


def quiet_place(files: int) -> str | None:
    """Name a folder in memory with room for so many files; nothing where there is none."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM * files:
        return MEMORY
    return None


def prepare(folder: Path, files: int) -> None:
    """Make the files, of half a kilobyte each, and the modules, compiled."""
    text = json.dumps({f"name {number}": number / 7 for number in range(16)})
    for number in range(files):
        (folder / f"{number}.json").write_text(text)
    rows = "".join(f"{number},{number / 7},name {number}\n" for number in range(20))
    for number in range(files // TABLES):
        (folder / f"{number}.csv").write_text(f"a,b,c\n{rows}")
    (folder / "modules").mkdir()
    for number in range(MODULES):
        source = "".join(f"def f{one}(x):\n    return x + {one}\n" for one in range(20))
        (folder / "modules" / f"module_{number}.py").write_text(f"import os\n{source}")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "modules")], check=True)


def watch(way: str, folder: Path) -> None:
    """Begin to watch in this process."""
    if way == "empty hook":
        sys.addaudithook(lambda _event, _arguments: None)
    elif way != BARE:
        exec(watching.start(str(folder), str(folder / ".opened")), {})  # noqa: S102 - as a kernel does
    if way == "hook and system":
        sys.audit("import", "pyarrow", None, None, None, None)


@contextmanager
def alone() -> Iterator[None]:
    """Keep the collector out of the measurement."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def measured(work: Work, way: str, folder: Path) -> float:
    """Do the work in a fork; gives its CPU seconds."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        watch(way, folder)
        with alone():
            began = time.process_time()
            work()
            took = time.process_time() - began
        os.write(writer, str(took).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        took = float(told.read())
    os.waitpid(pid, 0)
    return took


def measure(work: Work, folder: Path, repeat: int) -> Mapping[str, float]:
    """Give the fewest CPU seconds of each way, taken by turns, another way first in each."""
    measured(work, BARE, folder)
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(repeat):
        first = turn % len(WAYS)
        for way in (*WAYS[first:], *WAYS[:first]):
            taken[way].append(measured(work, way, folder))
    return {way: min(found) for way, found in taken.items()}


def main() -> int:
    """Measure everything and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000, help="how many files (default: 20,000)")
    parser.add_argument("--repeat", type=int, default=25, help="measurements of each (default: 25)")
    parser.add_argument("--only", choices=[one.__name__ for one in WORKS], help="one piece of work")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory(dir=quiet_place(given.files)) as made:
        folder = Path(made)
        prepare(folder, given.files)
        for one in (one for one in WORKS if given.only in (None, one.__name__)):
            found[one.__name__] = measure(one(folder, given.files), folder, given.repeat)
    if given.json:
        print(json.dumps({"files": given.files, "repeat": given.repeat, "seconds": found}))
        return 0
    print(f"{'work':10}{'bare, s':>10}" + "".join(f"{way:>18}" for way in WAYS[1:]))
    for name, seconds in found.items():
        bare = seconds[BARE]
        rest = "".join(f"{(seconds[way] / bare - 1):>+17.1%} " for way in WAYS[1:])
        print(f"{name:10}{bare:>10.3f}{rest}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
