"""Folders that code adds to `sys.path`, worked out without running it."""

import ast

import pytest

from nbpipeline.fingerprint.import_paths import added_paths

GIVEN = {
    "'../lib'": "../lib",
    "'/opt/lib'": "/opt/lib",
    "str(Path('..') / 'lib')": "../lib",
    "str(pathlib.Path('../src').resolve())": "../src",
    "str(Path.cwd().parent / 'lib')": "../lib",
    "str(Path.cwd().parents[1])": "../..",
    "str(Path('..').parent)": ".",
    "str(Path('..').resolve().parent / 'lib')": "../../lib",
    "str(Path().absolute() / 'lib')": "lib",
    "Path('..', 'lib').as_posix()": "../lib",
    "str(Path('..').joinpath('lib'))": "../lib",
    "os.path.join('..', 'lib')": "../lib",
    "os.path.abspath('../lib')": "../lib",
    "os.path.abspath(os.path.join(os.getcwd(), os.pardir, 'lib'))": "../lib",
    "os.path.dirname(os.getcwd())": "..",
    "os.path.normpath('../a/../lib')": "../lib",
    "os.getcwd() + '/../lib'": "../lib",
    "os.fspath(LIB)": "../lib",
    "os.path.join('..', name)": None,
    "folder.joinpath('lib')": None,
    "tempfile.mkdtemp()": None,
    "LOOP": None,
    "f()": None,
    "Path.cwd().parents[n]": None,
    "str(Path.cwd().parents['1'])": None,
    "str(unknown.parent)": None,
    "str(Path('a/b').parents[1])": ".",
    "str(Path('a/b').parents[2])": "a/b",
    "str(Path('a/b').parents[7])": "a/b",
    "str(Path('../lib').with_suffix('.d'))": None,
    "3": None,
}


@pytest.mark.parametrize(("given", "expected"), GIVEN.items())
def test_what_is_added(given: str, expected: str | None) -> None:
    names = "ROOT = Path.cwd().parent\nLIB = ROOT / 'lib'\nLOOP = LOOP + 'x'\n"
    for statement in (f"sys.path.append({given})", f"sys.path.insert(0, {given})"):
        found = added_paths(ast.parse(names + statement))
        assert found == (() if expected is None else (expected,))


WAYS = {
    "sys.path += ['../a', b]": ("../a",),
    "sys.path.extend(('../a', '../b'))": ("../a", "../b"),
    "sys.path = ['../a'] + sys.path": ("../a",),
    "sys.path = ['../a', *sys.path]": ("../a",),
    "sys.path[0:0] = ['../a']": ("../a",),
    "site.addsitedir('../a')": ("../a",),
    "if '../a' not in sys.path:\n    sys.path.append('../a')": ("../a",),
    "for one in folders: sys.path.append(one)": (),
    f"sys.path.append(f(0x{'f' * 5000}).x('../a'))": (),
    "os.path.append('../a')": (),
    "names.append('../a')": (),
    "path = ['../a']": (),
}


@pytest.mark.parametrize(("code", "expected"), WAYS.items())
def test_ways_to_add(code: str, expected: tuple[str, ...]) -> None:
    assert added_paths(ast.parse(code)) == expected
