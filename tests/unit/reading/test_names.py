"""Static checks of one notebook: undefined names, unused outputs, order."""

import warnings

import pytest
from builders import code, header, notebook_json, write_notebook

from nbpipeline.reading.names import check_stage, header_only_names
from nbpipeline.reading.notebook import notebook_of
from nbpipeline.reading.project import read_project


def checked(root, *cells):
    write_notebook(root / "notebooks/train.ipynb", *cells)
    spec, complaints = read_project(root)
    assert complaints == ()
    found = check_stage(spec.stages[0])
    assert all(one.warning for one in found)
    return [str(one) for one in found]


PARAMETERS = code("C = 1", "parameters")


@pytest.mark.parametrize(
    "source",
    [
        "x = [y for y in range(3) if y]",
        "def f(a, *b, c=C, **d):\n    return a, b, c, d, later\nlater = 1",
        "class A:\n    x = 1\n    y = x",
        "import os.path as p, sys\nfrom json import loads as l\np, sys, l",
        "with open('x') as f, open('y') as (g, h):\n    f, g, h",
        "try:\n    unknown_guarded = C\nexcept ValueError as e:\n    e",
        "for i, (j, *k) in []:\n    i, j, k",
        "match C:\n    case {'a': a, **rest} | [a, *rest]:\n        a, rest",
        "if (n := 1):\n    n",
        "lambda q: q + C",
        "display(C); get_ipython(); In, Out, _, _1, _i2, __name__",
        "def f():\n    global made\n    made = 1\nmade",
        "x: Unknown = 1\ndef f(a: Unknown) -> Unknown: ...",
        "%%time\nz = C\nz",
        "%%capture out\nprint(1)\nout",
        "%%bash --out result\nls",
        "files = !ls\nfiles",
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nC",
        "import numpy as np\nnp.zeros(C)",
        "del C",
        "await C",
        "[a for a in [b for b in [1]] for c in [a]]",
    ],
)
def test_names_that_are_defined(root, source):
    assert checked(root, PARAMETERS, code(source)) == []


@pytest.mark.parametrize(
    ("source", "name", "line"),
    [
        ("fetaures", "fetaures", 1),
        ("x = 1\nprint(y)", "y", 2),
        ("def f():\n    return nowhere", "nowhere", 2),
        ("class A:\n    x = nowhere", "nowhere", 2),
        ("%%time\nx = 1\nnowhere()", "nowhere", 3),
        ("%timeit nowhere()", "nowhere", 1),
        ("%matplotlib inline\nnowhere", "nowhere", 2),
        ("__file__", "__file__", 1),
        ("[nowhere for x in [1]]", "nowhere", 1),
    ],
)
def test_names_that_are_not(root, source, name, line):
    assert checked(root, PARAMETERS, code(source)) == [
        (
            f"notebooks/train.ipynb, cell 2, line {line}: the name {name!r} is undefined here.\n"
            "  mend: assign or import it in a cell above."
        )
    ]


def test_undefined_names_are_explained(root):
    assert checked(
        root,
        PARAMETERS,
        code("features = 1\nfetaures\nhelper, below", ""),
        code("helper = 1", "skip"),
        code("below = 1"),
    ) == [
        (
            "notebooks/train.ipynb, cell 2, line 2: the name 'fetaures' is undefined here.\n"
            "  mend: did you mean 'features'?"
        ),
        (
            "notebooks/train.ipynb, cell 2, line 3: the name 'below' is undefined here.\n"
            "  known: cell 4 assigns it, but comes later\n"
            "  mend: move cell 4 up."
        ),
        (
            "notebooks/train.ipynb, cell 2, line 3: the name 'helper' is undefined here.\n"
            "  known: cell 3 assigns it, but is tagged 'skip'\n"
            "  mend: take the tag off cell 3, or assign 'helper' elsewhere."
        ),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "from numpy import *",
        "%run setup.py",
        "%load_ext sql_magic",
        "exec('a = 1')",
        "globals()['a'] = 1",
        "%store -r a",
        "%%cython\nx",
    ],
)
def test_what_may_define_anything_silences(root, source):
    assert checked(root, PARAMETERS, code("def f():\n    return a"), code(source), code("a")) == []


def test_names_before_it_are_still_told(root):
    (told,) = checked(root, PARAMETERS, code("nowhere"), code("from numpy import *"))
    assert told.startswith("notebooks/train.ipynb, cell 2, line 1: the name 'nowhere'")


def test_skip_and_test_cells_are_not_checked(root):
    assert checked(root, PARAMETERS, code("nowhere", "skip"), code("assert nowhere", "test")) == []


def test_a_cell_that_is_no_python(root):
    assert checked(root, PARAMETERS, code("x = 1\ny = = 2"), code("nowhere")) == [
        (
            "notebooks/train.ipynb, cell 2, line 2: the cell is no Python: invalid syntax.\n"
            "  mend: mend the cell, or tag it 'skip'."
        )
    ]


def test_unused_declarations(root):
    assert checked(
        root,
        header("inputs: {old: ../data/old.csv}\noutputs: {log: ../log.txt, model: ../m.joblib}"),
        code("raw = '../raw.csv'\nused = '../used.csv'", "inputs"),
        code("import nbpipeline\nprint(used); open('../log.txt'); nbpipeline.stage().outputs.model"),
    ) == [
        (
            "notebooks/train.ipynb, cell 2, line 1: input 'raw' is declared, but no cell reads it by its name.\n"
            "  mend: use `raw` in the cell that reads it, or take the declaration out."
        ),
        (
            "notebooks/train.ipynb, cell 1, line 3: input 'old' is declared, but no cell reads it by its name.\n"
            "  mend: use `old` in the cell that reads it, or take the declaration out."
        ),
    ]


def test_uses_in_magics_and_other_declarations_count(root):
    cells = [
        code("folder = '../data'\nraw = f'{folder}/x'", "inputs"),
        code("out = 'o'", "outputs"),
        code("!cp {raw} $out"),
    ]
    assert checked(root, *cells) == []


def test_an_impossible_order(root):
    cells = [dict(code(f"x{n} = 1"), execution_count=count) for n, count in enumerate([1, 5, None, 3, 4])]
    assert checked(root, PARAMETERS, *cells) == [
        (
            "notebooks/train.ipynb, cell 5: the saved outputs were not made from top to bottom: "
            "cell 5 is In [3], cell 3 above it In [5].\n"
            "  mend: restart the kernel, run all cells and save."
        )
    ]
    assert (
        checked(
            root,
            PARAMETERS,
            dict(code("a = 1", "skip"), execution_count=9),
            dict(code("b = 1"), execution_count=2),
        )
        == []
    )


def test_header_only_names(root):
    write_notebook(
        root / "notebooks/train.ipynb",
        header("params: {C: 1, D: 2}\ninputs: {a: a.csv}"),
        code("D = 3\nprint(C, D)"),
    )
    (stage,) = read_project(root)[0].stages
    assert header_only_names(stage) == ("C",)
    assert [one.what for one in check_stage(stage)] == [
        "input 'a' is declared, but no cell reads it by its name."
    ]


def test_other_languages_are_not_read(root):
    content = notebook_json([code("x <- nowhere")])
    content["metadata"]["kernelspec"]["language"] = "R"
    notebook = notebook_of(content, "a.ipynb")
    write_notebook(root / "notebooks/train.ipynb", header(""))
    import dataclasses

    stage = dataclasses.replace(read_project(root)[0].stages[0], notebook=notebook)
    assert check_stage(stage) == ()
    assert header_only_names(stage) == ()


def test_numbers_that_python_reads_and_cannot_write(root):
    huge = "0x" + "f" * 5000
    cells = (
        code(f"C = {huge}\nD: Literal[{huge}, 1] = 1", "parameters"),
        code(f"%matplotlib inline\nprint(C, D, {huge}, undefined)"),
    )
    assert checked(root, *cells) == [
        (
            "notebooks/train.ipynb, cell 2, line 2: the name 'undefined' is undefined here.\n"
            "  mend: assign or import it in a cell above."
        )
    ]
    spec, _ = read_project(root)
    assert [(one.opaque, one.type) for one in spec.stages[0].parameters] == [
        (True, None),
        (False, "Literal[..., 1]"),
    ]


def test_python_s_own_warnings_are_not_told(root):
    """They are told where the cell runs; a look at names would print them beside everything else."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert checked(root, PARAMETERS, code("x = '\\d'\nassert (1, 2)\nx is 1")) == []
    assert told == []


@pytest.mark.parametrize("depth", [*range(900, 990, 5)])
def test_functions_within_functions_end_no_look(root, depth):
    """Where they are too deep for Python's parser too, is told as no Python."""
    found = checked(root, PARAMETERS, code(f"f = {'lambda: ' * depth}C"))
    assert found == [] or "the cell is no Python" in found[0]
