"""The canonical text of code is the same whichever Python reads it: tried on a whole standard library.

The interpreters are those that are found on this machine; nbpipeline need not be installed in them.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import nbpipeline

pytestmark = pytest.mark.heavy

SUPPORTED = [(3, 11), (3, 12), (3, 13)]
READER = """
import ast, hashlib, json, sys, warnings, zlib
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from nbpipeline.reading.syntax import canonical

warnings.simplefilter("ignore")
library, share = Path(sys.argv[2]), int(sys.argv[3])
OF_THE_LANGUAGE = tuple(f"test/test_{one}" for one in (
    "ast", "async", "compile", "comp", "coroutines", "decorators", "dictcomps", "except", "extcall", "fstring", "gener",
    "genexps", "grammar", "keyword", "lambda", "list", "long", "named", "patma", "pep646", "positional", "scope",
    "string", "syntax", "token", "type", "unicode", "unpack", "with", "yield",
))
for path in sorted(library.rglob("*.py")):
    name = path.relative_to(library).as_posix()
    if "site-packages/" in name or (zlib.crc32(name.encode()) % share and not name.startswith(OF_THE_LANGUAGE)):
        continue
    try:
        statements = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        continue  # bad on purpose: the library's own tests of the parser
    texts = {one.lineno: hashlib.blake2b(canonical(one).encode(), digest_size=8).hexdigest() for one in statements}
    print(json.dumps([name, texts]))
"""


def version(python: str) -> tuple[int, int] | None:
    """Ask an interpreter; None for what is none (a shim of a version that is switched off)."""
    asks = [python, "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        major, minor = subprocess.run(asks, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError, ValueError):
        return None
    return int(major), int(minor)


def candidates() -> Iterator[str]:
    yield sys.executable
    yield from filter(None, (shutil.which(f"python{major}.{minor}") for major, minor in SUPPORTED))
    kept = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")) / "versions", Path("~/.local/share/uv/python")]
    for folder in kept:
        yield from map(str, sorted(folder.expanduser().glob("*/bin/python3")))


@pytest.fixture(scope="module")
def pythons() -> dict[tuple[int, int], str]:
    """One interpreter of each supported version that is found, the oldest version first."""
    found: dict[tuple[int, int], str] = {}
    for python in candidates():
        which = version(python)
        if which in SUPPORTED:
            found.setdefault(which, python)
    if len(found) < 2:
        pytest.skip(f"only one supported Python is found on this machine: {', '.join(found.values())}")
    return dict(sorted(found.items()))


def texts(python: str, library: str, share: int) -> subprocess.Popen[str]:
    package = Path(nbpipeline.__file__).parent.parent
    arguments = [python, "-I", "-B", "-c", READER, str(package), library, str(share)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("share", [4, pytest.param(1, marks=pytest.mark.nightly)])
def test_every_python_gives_a_standard_library_the_same_texts(
    pythons: dict[tuple[int, int], str], share: int
) -> None:
    """Every fourth file, and all that are tests of the language itself; at night each of them."""
    oldest, *_ = pythons.values()
    asks = [oldest, "-c", "import os; print(os.path.dirname(os.__file__))"]
    library = subprocess.run(asks, capture_output=True, text=True, check=True).stdout.strip()
    readers = {which: texts(python, library, share) for which, python in pythons.items()}
    found = {
        which: dict(map(json.loads, reader.communicate()[0].splitlines()))
        for which, reader in readers.items()
    }
    assert [reader.returncode for reader in readers.values()] == [0] * len(readers)
    first, *others = found.values()
    assert sum(map(len, first.values())) > 20_000 / share, "a library was read, not an empty folder"
    for which, other in zip(list(found)[1:], others, strict=True):
        both = first.keys() & other.keys()
        assert len(both) > 0.99 * len(first), "all but a few files are Python to both"
        odd = [f"{library}/{name}, line {line}" for name in sorted(both) for line in first[name]
               if first[name][line] != other[name].get(line)]  # fmt: skip
        assert odd == [], f"Python {which} writes these otherwise than {oldest}"


def test_the_comparison_would_see_a_difference(pythons: dict[tuple[int, int], str], tmp_path: Path) -> None:
    """`ast.dump` is no such text: 3.12 adds the type parameters that a function has not."""
    (tmp_path / "one.py").write_text("def f(x): return x\n")
    if (3, 11) not in pythons:
        pytest.skip("Python 3.11 is not found on this machine, and later ones dump this alike")
    dumped = READER.replace("from nbpipeline.reading.syntax import canonical", "canonical = ast.dump")
    seen = {
        subprocess.run(
            [python, "-I", "-c", dumped, "", str(tmp_path), "1"], capture_output=True, text=True, check=True
        ).stdout
        for python in pythons.values()
    }
    assert len(seen) > 1
