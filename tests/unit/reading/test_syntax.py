"""Cells as syntax: what counts as the same code, magics with and without IPython."""

import ast
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.reading import syntax


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = 1", "a=1  # comment"),
        ("x = 'a'", 'x = "a"'),
        ("f(a,\n  b)", "f(a, b)"),
        ("x = u'a'", "x = 'a'"),
        ("%%time\na = 1", "%%time\na=1  # inside a magic's body too"),
        ("!ls", "!ls\n"),
        ("x = 0x10", "x = 16"),
        ("f'{x:}'", "f'{x}'"),
    ],
)
def test_same_code(one, other):
    assert syntax.normalised(one) == syntax.normalised(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("def f():\n  'doc'", "def f():\n  'other'"),
        ("f(*a)", "f(a)"),
        ("{**a, 'b': 1}", "{'b': 1, **a}"),
        ("def f(a, /, b): pass", "def f(a, b): pass"),
        ("%time f()", "f()"),
        ("%pip install a", "%pip install b"),
        ("x: int = 1", "x = 1"),
        ("[1, [2]]", "[[1], 2]"),
    ],
)
def test_other_code(one, other):
    assert syntax.normalised(one) != syntax.normalised(other)


def test_canonical_text_is_pinned():
    """It goes into fingerprints: a change makes every project stale."""
    tree = syntax.parse_cell("def f(a, *, b, c=1):\n  return {**a, 'x': None, -1: f'{a!r:>{b}}'}")
    assert syntax.canonical(tree.body) == (
        "[FunctionDef(name='f',args=arguments(args=[arg(arg='a',),],kwonlyargs=[arg(arg='b',),arg(arg='c',),],"
        "kw_defaults=[None,=0x1,],),body=[Return(value=Dict(keys=[None,='x',UnaryOp(op=USub(),operand==0x1,),],"
        "values=[Name(id='a',),=None,JoinedStr(values=[FormattedValue(value=Name(id='a',),conversion=114,"
        "format_spec=JoinedStr(values=['>',FormattedValue(value=Name(id='b',),conversion=-1,),],),),],),],),),],),]"
    ).replace("['>'", "[='>'")


def test_characters_that_only_a_newer_unicode_knows_are_written_alike():
    assert (
        syntax.normalised("x = '\u2ffc ä'") == "[Assign(targets=[Name(id='x',),],value=='\\u2ffc \\xe4',),]"
    )


def test_empty_texts_that_a_parser_leaves_in_an_f_string_do_not_count():
    tree = syntax.parse_cell("f'{a:{b}}'")
    before = syntax.canonical(tree.body)
    tree.body[0].value.values[0].format_spec.values.append(ast.Constant(value=""))
    assert syntax.canonical(tree.body) == before


def test_other_languages_count_by_their_text():
    assert syntax.normalised("x <- 1  \n\n", "r") == "text:x <- 1"
    assert syntax.normalised("x <- 1", "r") != syntax.normalised("x < -1", "r")
    assert syntax.normalised("x = = 1") == "text:x = = 1"


@pytest.mark.parametrize("source", ["x = = 1", "x = '\0'", "(" * 300 + ")" * 300, "if x:\n!"])
def test_what_no_python_can_parse(source):
    with pytest.raises(SyntaxError):
        syntax.parse_cell(source)


def test_a_long_sum_is_no_trouble():
    assert syntax.canonical(ast.BinOp(left=ast.Constant(value=1), op=ast.Add(), right=ast.Constant(value=2)))
    tree = ast.Constant(value=1)
    for _ in range(20_000):
        tree = ast.UnaryOp(op=ast.USub(), operand=tree)
    assert syntax.canonical(tree).count("USub") == 20_000


MAGICS = [
    "%%time\na = 1\nb = 2",
    "%%time",
    "%%bash\nls",
    "%%capture out\n%time x = 1\n",
    "%%timeit -n 3 \na",
    "%matplotlib inline\nimport x",
    "!ls -l {x}\ny = 1",
    "%time",
    "%time  x = 1  # c",
    "%run a.py\n%cd ..\n!pip install x",
    "files = !ls",
    "df = %sql select 1",
    "if True:\n    !ls",
    "x?",
    "?x",
    "!!ls",
    "%time f(x)\ny = '''\n%no magic\n'''",
    "\n%%time\na = 1",
    "  a = 1\n  b = 2",
]


@pytest.mark.parametrize("source", MAGICS)
def test_magics_read_as_ipython_reads_them(source):
    quick = syntax._quickly(source)
    whole = ast.dump(syntax._parse(syntax._transform(source)))
    assert quick is None or ast.dump(quick) == whole
    syntax.parse_cell(source)


@given(st.text(alphabet="%!ab \n=()x'?", max_size=20))
def test_the_quick_way_agrees_wherever_it_answers(source):
    try:
        syntax._parse(source)
    except SyntaxError:
        pass
    else:
        return  # plain Python, which IPython leaves as it is
    quick = syntax._quickly(source)
    if quick is not None:
        assert ast.dump(quick) == ast.dump(syntax._parse(syntax._transform(source)))


def test_bodies_of_python_magics_stand_in_the_tree():
    tree = syntax.parse_cell("%%time\nimport a\n%timeit -n 10 f(x)\n")
    assert [one.module for one in syntax.imported_modules(tree)] == ["a"]
    names = {node.id: node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert names["f"] == 3
    assert [(magic.name, magic.line) for magic in syntax.magics(tree)] == [("time", 1), ("timeit", 3)]


def test_other_magics_keep_their_bodies():
    (magic,) = syntax.magics(syntax.parse_cell("%%writefile a.py\nimport b\n"))
    assert magic == syntax.Magic(name="writefile", text="a.py", body="import b\n", line=1)


def test_imports():
    source = (
        "import a.b as c, d\n"
        "from . import e\n"
        "from ..f import *\n"
        "def g():\n"
        "    import importlib\n"
        "    importlib.import_module('h.i')\n"
        "    __import__(name)\n"
    )
    found = [(one.module, one.level, one.names) for one in syntax.imported_modules(syntax.parse_cell(source))]
    assert found == [
        ("a.b", 0, ()),
        ("d", 0, ()),
        ("", 1, ("e",)),
        ("f", 2, ("*",)),
        ("importlib", 0, ()),
        ("h.i", 0, ()),
    ]


def test_reading_imports_neither_jupytext_nor_ipython():
    script = (
        "import sys; from nbpipeline.reading import project, names, syntax;"
        "syntax.parse_cell('%matplotlib inline\\nx = 1');"
        "heavy = {'jupytext', 'IPython', 'nbformat', 'papermill', 'pandas', 'jsonschema'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("if x:\n" + "    !ls\n" * 250, "it has too many magics for its length"),
        ("if x:\n    !ls" + " " * 500 + "x\n", "it has a magic, and hundreds of blanks in a row"),
    ],
)
def test_cells_that_would_take_ipython_long_are_no_python(source, why):
    with pytest.raises(SyntaxError, match=why):
        syntax.parse_cell(source)
    assert syntax.normalised(source).startswith("text:if x:")


def test_what_ipython_reads_in_time_is_read():
    assert len(syntax.parse_cell("if x:\n" + "    !ls\n" * 100).body[0].body) == 100
    assert syntax.parse_cell("if x:\n    !ls" + " " * 400 + "x\n").body


def test_long_sql_beside_a_magic_is_no_crowd_of_magics():
    """Lines of a text that begin with a comma look like IPython's `,f a b`."""
    columns = "\n".join(f", column_{number} AS {'x' * 60}" for number in range(100))
    source = f'x = %sql 1\nquery = """SELECT 1\n{columns}\n"""\nfrom features import build'
    tree = syntax.parse_cell(source)
    assert [one.module for one in syntax.imported_modules(tree)] == ["features"]
    with pytest.raises(SyntaxError, match="too many magics"):
        syntax.parse_cell("\n".join(f"y{number} = !echo {'x' * 60}" for number in range(200)))
