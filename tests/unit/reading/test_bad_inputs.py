"""Bad inputs: each complaint word for word, every one gathered, nothing raised."""

import json
import os

import pytest
from builders import code, header, notebook_json, write_files, write_notebook

from nbpipeline.pipeline import build
from nbpipeline.reading.project import read_project

RULE = "a name is made of letters A to Z, digits, `_` and `-`, and begins with a letter or `_`"
HANDS = (
    "known right-hand sides: literals, f-strings, names declared before, Path(...), /, +, os.path.join, "
    "lists, tuples and dicts"
)
USED = code("print(a)")


def told(root, **keywords):
    _, complaints = read_project(root, **keywords)
    return [str(one) for one in complaints]


def stage(root, *cells, name="train", **keywords):
    write_notebook(root / f"notebooks/{name}.ipynb", *cells, **keywords)


def only(root):
    found = told(root)
    assert len(found) == 1, found
    return found[0]


# --- files -----------------------------------------------------------------------------------

FILES = [
    (
        "",
        "notebooks/bad.ipynb: the file is empty.\n  mend: save the notebook again in JupyterLab, or delete the file.",
    ),
    (
        '{"cells": [\n<<<<<<< HEAD\n',
        (
            "notebooks/bad.ipynb, line 2: the notebook is not JSON: Expecting value (column 1).\n"
            "  mend: restore the file from version control (a merge's conflict marks are the usual cause)."
        ),
    ),
    (
        "[1, 2]",
        "notebooks/bad.ipynb: the file holds JSON, but no notebook.\n  mend: save the notebook again in JupyterLab, or delete the file.",
    ),
    (
        json.dumps({"nbformat": 3, "worksheets": [], "metadata": {}}),
        (
            "notebooks/bad.ipynb: the notebook is nbformat 3; nbformat 4 is read.\n"
            "  mend: run `jupyter nbconvert --to notebook --inplace notebooks/bad.ipynb`."
        ),
    ),
    (
        json.dumps({"nbformat": 5, "cells": []}),
        (
            "notebooks/bad.ipynb: the notebook is nbformat 5; nbformat 4 is read.\n"
            "  mend: save it with a JupyterLab that writes nbformat 4, or take a newer nbpipeline."
        ),
    ),
    (
        json.dumps({"metadata": {}}),
        (
            "notebooks/bad.ipynb: the file holds JSON, but no notebook: it lacks the number 'nbformat'.\n"
            "  mend: save the notebook again in JupyterLab, or delete the file."
        ),
    ),
    (
        json.dumps({"nbformat": 4, "metadata": {}}),
        (
            "notebooks/bad.ipynb: the file holds JSON, but no notebook: it lacks the list 'cells'.\n"
            "  mend: save the notebook again in JupyterLab, or delete the file."
        ),
    ),
    (
        json.dumps({"nbformat": 4, "cells": [{"cell_type": "code", "source": 1}]}),
        (
            "notebooks/bad.ipynb, cell 1: this is no cell of a notebook: its type or source is missing.\n"
            "  known cell types: code, markdown, raw\n  mend: save the notebook again in JupyterLab."
        ),
    ),
]


FILES.append(
    (
        '{"nbformat": 4, "cells": [], "x": ' + "9" * 5000 + "}",
        (
            "notebooks/bad.ipynb: the notebook holds a number that cannot be read: Exceeds the limit (4300 digits) "
            "for integer string conversion: value has 5000 digits.\n"
            "  mend: clear the notebook's outputs, or write the number as text."
        ),
    )
)


@pytest.mark.parametrize(("text", "words"), FILES)
def test_files_that_are_no_notebooks(root, text, words):
    stage(root, code("x = 1", "parameters"))
    (root / "notebooks/bad.ipynb").write_text(text, encoding="utf-8")
    spec, complaints = read_project(root)
    assert [str(one) for one in complaints] == [words]
    assert [one.name for one in spec.stages] == ["train"]


def test_a_file_that_is_not_utf8(root):
    stage(root, code("x = 1", "parameters"))
    (root / "notebooks/bad.ipynb").write_bytes(b"{\xff}")
    assert (
        only(root) == "notebooks/bad.ipynb: the file is not UTF-8 text (byte 1).\n  mend: save it as UTF-8."
    )


def test_a_notebook_that_leads_nowhere_is_told(root):
    stage(root, code("x = 1", "parameters"))
    (root / "notebooks/gone.ipynb").symlink_to("/nowhere/gone.ipynb")
    (root / "notebooks/loop.ipynb").symlink_to("loop.ipynb")
    (root / "notebooks/folder.ipynb").mkdir()
    (root / "notebooks/text.py").symlink_to("/nowhere/text.py")
    write_files(root, {"pipeline.yaml": "notebooks: [notebooks/*.ipynb, notebooks/*.py]"})
    link = "mend: bring back what it leads to, or take the link away."
    assert told(root) == [
        (
            "notebooks/folder.ipynb: this is a folder; it wants a file.\n"
            "  mend: take it away, or give it another name."
        ),
        f"notebooks/gone.ipynb: this is a link to nowhere: /nowhere/gone.ipynb.\n  {link}",
        f"notebooks/loop.ipynb: this is a link to nowhere: loop.ipynb.\n  {link}",
        f"notebooks/text.py: this is a link to nowhere: /nowhere/text.py.\n  {link}",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_notebook_and_not_waited_for(root):
    stage(root, code("x = 1", "parameters"))
    os.mkfifo(root / "notebooks/pipe.ipynb")
    assert told(root) == [
        "notebooks/pipe.ipynb: this is no plain file.\n  mend: take it away, or give it another name."
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_of_windows_inside_cells(root, mark):
    head = mark + "---\r\nnbpipeline:\r\n  stage: other\r\n---\r\n"
    raw = {"cell_type": "raw", "metadata": {}, "source": head, "id": "h"}
    stage(root, raw, code("x = 1\r\n%matplotlib inline", "parameters"))
    spec, complaints = read_project(root)
    assert complaints == ()
    assert [one.name for one in spec.stages] == ["other"]
    assert spec.stages[0].notebook.cells[1].source == "x = 1\n%matplotlib inline"


def test_no_kernel(root):
    stage(root, code("x = 1", "parameters"), kernel=None)
    (complaint,) = read_project(root)[1]
    assert complaint.warning
    assert str(complaint) == (
        "notebooks/train.ipynb: the notebook names no kernel; the Python that runs nbpipeline will run it.\n"
        "  mend: choose a kernel in JupyterLab and save, or write `kernel: python3` in the header."
    )


def test_a_kernel_in_the_header_is_enough(root):
    stage(root, header("kernel: python3"), kernel=None)
    assert told(root) == []


def test_no_stage_at_all(root):
    assert only(root) == (
        "project: the project has no stage.\n"
        "  mend: tag a notebook's cell with 'parameters' or 'outputs', or run `nbpipeline init`."
    )


# --- headers ---------------------------------------------------------------------------------

RAW = [
    (
        "---\n- nbpipeline: x\n---",
        "line 2: the header is a list; it wants a mapping.\n  mend: write `nbpipeline:` and its keys indented under it, without a `-` before them.",
    ),
    (
        "---\nnbpipeline:\n  - stage: x\n---",
        "line 2: 'nbpipeline' is a list; it wants a mapping.\n  mend: write `key: value` lines, indented under it.",
    ),
    (
        "---\nnbpipeline:\n  stage: [\n---",
        "line 4: the header is no YAML: did not find expected node content, while parsing a flow node.\n  mend: mend the YAML; see the line named.",
    ),
    (
        "---\ntitle: x\nnbpipeline:\n  retries: 1\n  retries: 2\n---",
        "line 5: the header is no YAML: the key 'retries' is given twice.\n  mend: mend the YAML; see the line named.",
    ),
    (
        "---\nnbpipeline: {stage: a b}\n---",
        f"line 2: 'stage' is 'a b'; it wants a stage's name, or false ({RULE}).\n  mend: write, for example, `stage: train_model`.",
    ),
    (
        "---\nnbpipeline:\n  retries: many\n---",
        "line 3: 'retries' is 'many'; it wants a whole number of at least 0.\n  mend: write, for example, `2`.",
    ),
    (
        "---\nnbpipeline:\n  timeout: 1 fortnight\n---",
        "line 3: 'timeout' is '1 fortnight'; it wants a duration.\n  mend: write, for example, `30s`, `10m`, `1h30m` or `24h`.",
    ),
    (
        "---\nnbpipeline:\n  resources: {memory: much}\n---",
        "line 3: 'memory' is 'much'; it wants a size.\n  mend: write, for example, `512MB`, `2GB` or `2GiB`.",
    ),
    (
        "---\nnbpipeline:\n  cache: no\n---",
        "line 3: 'cache' is 'no'; it wants true or false.\n  mend: write, for example, `true`.",
    ),
    (
        "---\nnbpipeline:\n  cwd: root\n---",
        "line 3: 'cwd' is 'root'; it wants one of notebook, project.\n  mend: write, for example, `notebook`.",
    ),
    (
        "---\nnbpipeline:\n  executed: out.txt\n---",
        "line 3: 'executed' is 'out.txt'; it wants a path that ends in .ipynb, .html, .md, .pdf.\n  mend: write, for example, `../out/train.html`.",
    ),
    (
        "---\nnbpipeline:\n  tags: [1]\n---",
        "line 3: item 1 of 'tags' is 1; it wants text.\n  mend: write, for example, a word, in quotes if it looks like a number.",
    ),
    (
        "---\nnbpipeline:\n  after: [-x]\n---",
        f"line 3: item 1 of 'after' is '-x'; it wants a stage's name ({RULE}).\n  mend: write, for example, `train_model`.",
    ),
    (
        "---\nnbpipeline:\n  outputs: {model: {pth: x}}\n---",
        "line 3: unknown key 'pth'.\n  known keys: allow_outside, kind, mode, path, publish, store\n  mend: did you mean 'path'?",
    ),
    (
        "---\nnbpipeline:\n  outputs: {a b: x}\n---",
        "line 3: 'a b' is no name here.\n  the name must be one that Python can assign: letters, digits and `_`, no keyword\n  mend: take another name.",
    ),
    (
        "---\nnbpipeline:\n  inputs: {a: {from: prepare}}\n---",
        "line 3: 'from' is 'prepare'; it wants a reference STAGE.OUTPUT or STAGE[*].OUTPUT.\n  mend: write, for example, `{from: prepare.encoder}`.",
    ),
    (
        "---\nnbpipeline:\n  inputs: {a: 'x{.csv'}\n---",
        "line 3: the path of 'a' cannot be read: 'x{.csv' has a single '{'.\n  mend: write names of axes or parameters in braces, and `{{` for a brace.",
    ),
    (
        "---\nnbpipeline:\n  inputs: {a: {path: x, from: b.c}}\n---",
        "line 3: 'a' has both a path and a reference.\n  mend: keep 'from' where a stage makes it, else 'path'.",
    ),
    (
        "---\nnbpipeline:\n  outputs: {big: {store: false}}\n---",
        "line 3: output 'big' has no path.\n  mend: write `big: PATH`, or assign it in a cell tagged 'outputs'.",
    ),
    (
        "---\nnbpipeline:\n  outputs: {a: m}\n  expect: {a: [{x: 1, y: 2}]}\n---",
        "line 4: item 1 of 'a' is a mapping; a check is one name with its arguments.\n  mend: write each check as its own item: `- not_null: column`.",
    ),
    (
        "---\nnbpipeline:\n  outputs: {model: m}\n  expect: {modle: [exists]}\n---",
        "line 4: the expectations of 'modle' are about no input or output.\n  known names: model\n  mend: did you mean 'model'?",
    ),
    (
        "---\nnbpipeline:\n  matrix: {region: []}\n---",
        "line 3: 'region' is a list; an axis wants a list of at least one value.\n  mend: write, for example, `region: [eu, us]`.",
    ),
    (
        "---\nnbpipeline:\n  matrix: {region: [eu, eu]}\n---",
        "line 3: the axis 'region' has the value 'eu' twice.\n  mend: take one of them out.",
    ),
    (
        "---\nnbpipeline:\n  matrix: {region: ['a,b']}\n---",
        "line 3: item 1 of 'region' is 'a,b'; it wants a plain value without any of `[ ] , =`.\n  mend: write, for example, `region: [eu, us]`.",
    ),
    (
        "---\nnbpipeline:\n  matrix: {region: {from_file: no.yaml}}\n---",
        "line 3: the file 'no.yaml' of axis 'region' cannot be read: it is not there.\n  mend: name a file that lists the values, one a line or as YAML.",
    ),
    (
        "---\nnbpipeline:\n  params: {C: {default: 1, min: 2}}\n---",
        "line 3: the default of parameter 'C' is 1; it wants at least 2.\n  known parameter: C (notebooks/train.ipynb, cell 1, line 3)\n  mend: give another value, or change the declaration.",
    ),
    (
        "---\nnbpipeline:\n  params: {C: {default: x, type: float}}\n---",
        "line 3: the default of parameter 'C' is 'x'; it wants float.\n  known parameter: C (notebooks/train.ipynb, cell 1, line 3)\n  mend: give another value, or change the declaration.",
    ),
    (
        "---\nnbpipeline:\n  test: {inputs: {a: b}}\n---",
        "line 3: 'test' replaces the input 'a', which the stage has not.\n  known inputs: none\n  mend: take it out.",
    ),
]


@pytest.mark.parametrize(("raw", "words"), RAW)
def test_headers(root, raw, words):
    stage(root, {"cell_type": "raw", "metadata": {}, "source": raw}, code("print(1)", "parameters"))
    assert only(root) == f"notebooks/train.ipynb, cell 1, {words}"


def test_a_header_that_is_not_closed(root):
    stage(
        root,
        {"cell_type": "raw", "metadata": {}, "source": "---\nnbpipeline:\n  stage: x"},
        code("a = 1", "parameters"),
    )
    assert only(root) == (
        "notebooks/train.ipynb, cell 1: the header is not closed.\n  mend: write a line `---` after it, as the cell's last."
    )


def test_a_raw_cell_that_nearly_is_a_header(root):
    stage(
        root,
        {"cell_type": "raw", "metadata": {}, "source": "nbpipeline:\n  stage: x"},
        code("a = 1", "parameters"),
    )
    assert only(root) == (
        "notebooks/train.ipynb, cell 1: a raw cell that begins with `nbpipeline:` is no header.\n"
        "  mend: write it between two lines `---`."
    )


def test_two_headers(root):
    stage(root, header("stage: a"), code("x = 1"), header("stage: b"))
    assert only(root) == (
        "notebooks/train.ipynb, cell 3, line 2: this is a second header.\n"
        "  known header: cell 1\n  mend: move its keys to the first one, and delete the cell."
    )


def test_a_header_after_other_front_matter(root):
    stage(root, {"cell_type": "raw", "metadata": {}, "source": "---\ntitle: x\n---"}, header("stage: b"))
    assert only(root) == (
        "notebooks/train.ipynb, cell 2, line 2: this header comes after another front matter, and only the first counts.\n"
        "  known front matter: cell 1\n  mend: move the key 'nbpipeline' to cell 1."
    )


def test_header_and_metadata_differ(root):
    content = notebook_json([header("stage: a")])
    content["metadata"]["nbpipeline"] = {"stage": "b"}
    write_files(root, {"notebooks/train.ipynb": json.dumps(content)})
    assert only(root) == (
        "notebooks/train.ipynb: the notebook's metadata.nbpipeline and its header differ.\n"
        "  known header: cell 1\n  mend: delete metadata.nbpipeline; the header is enough."
    )
    content["metadata"]["nbpipeline"] = {"stage": "a"}
    write_files(root, {"notebooks/train.ipynb": json.dumps(content)})
    assert told(root) == []


# --- tagged cells ----------------------------------------------------------------------------

CELLS = [
    (
        "x = open('f')",
        "inputs",
        f"line 1: the value of 'x' is not known before the run: `open('f')` cannot be read without running the notebook.\n  {HANDS}\n  mend: write it with these; what is computed has its place in a cell without the tag.",
    ),
    (
        "x = 'a'\ny = z",
        "inputs",
        "line 2: the value of 'y' uses 'z', which is neither a parameter nor declared before.\n  known names: x\n  mend: assign 'z' in a cell tagged 'parameters' above.",
    ),
    (
        "data = 'a'\ny = f'{dta}/b'",
        "outputs",
        "line 2: the value of 'y' uses 'dta', which is neither a parameter nor declared before.\n  known names: data\n  mend: did you mean 'data'?",
    ),
    (
        "import pandas as pd\nx = 'a'",
        "inputs",
        "line 1: a cell tagged 'inputs' imports pathlib and os only, not 'pandas'.\n  mend: move the import to a cell without the tag.",
    ),
    (
        "x = 'a'\nif x:\n    y = 'b'",
        "outputs",
        f"line 2: a cell tagged 'outputs' holds assignments `name = value`; this is none.\n  {HANDS}\n  mend: move the statement to a cell without the tag.",
    ),
    (
        "x, y = 'a', 'b'",
        "outputs",
        f"line 1: a cell tagged 'outputs' holds assignments `name = value`; this is none.\n  {HANDS}\n  mend: move the statement to a cell without the tag.",
    ),
    (
        "x = 'a'\nx = 'b'",
        "inputs",
        "line 2: 'x' is declared twice, and not alike.\n  known input: x (notebooks/train.ipynb, cell 1, line 1)\n  mend: take one of the two out, or rename it.",
    ),
    (
        "x = = 1",
        "outputs",
        "line 1: the cell is no Python: invalid syntax.\n  mend: mend the cell; it must run in the notebook as well.",
    ),
    (
        "afer = ['a']",
        "dependencies",
        "line 1: a cell tagged 'dependencies' assigns after and dependencies; here is 'afer'.\n  mend: did you mean 'after'?",
    ),
    (
        "after = [1]",
        "dependencies",
        "line 1: 'after' wants a list of stages' names.\n  mend: write, for example, `after = [\"clean\"]`.",
    ),
    (
        "x = [{'not_null': 'c'}]",
        "expectations",
        "line 1: the expectations of 'x' are about no input or output.\n  known names: none\n  mend: declare it as an input or output, or take them out.",
    ),
]


@pytest.mark.parametrize(("source", "tag", "words"), CELLS)
def test_tagged_cells(root, source, tag, words):
    stage(root, code(source, tag), USED)
    assert only(root) == f"notebooks/train.ipynb, cell 1, {words}"


def test_two_declaring_tags(root):
    stage(root, code("x = 'a'", "inputs", "outputs"))
    assert only(root) == (
        "notebooks/train.ipynb, cell 1: the cell has the tags 'inputs' and 'outputs'; a cell declares one kind of thing.\n"
        "  mend: split it into one cell for each tag."
    )


@pytest.mark.parametrize(
    ("tag", "meant"),
    [
        ("input", "inputs"),
        ("output", "outputs"),
        ("parameter", "parameters"),
        ("Outputs", "outputs"),
        ("expectation", "expectations"),
        ("metric", "metrics"),
        ("tests", "test"),
    ],
)
def test_near_misses_of_tags(root, tag, meant):
    stage(root, code("a = 1", "parameters"), code("x = 1", tag))
    (complaint,) = read_project(root)[1]
    assert complaint.warning
    assert str(complaint) == (
        f"notebooks/train.ipynb, cell 2: the tag {tag!r} means nothing here.\n"
        "  known tags: parameters, inputs, outputs, dependencies, expectations, metrics, test, skip\n"
        f"  mend: did you mean {meant!r}?"
    )


@pytest.mark.parametrize(
    "tag", ["injected-parameters", "hide-input", "remove-output", "raises-exception", "export", "slide"]
)
def test_other_tools_tags_are_left_alone(root, tag):
    stage(root, code("a = 1", "parameters"), code("x = 1", tag))
    assert told(root) == []


def test_an_opaque_parameter_in_a_path(root):
    stage(
        root, code("import os\nyear = os.environ['YEAR']", "parameters"), code("x = f'{year}.csv'", "inputs")
    )
    assert only(root) == (
        "notebooks/train.ipynb, cell 2, line 1: the value of 'x' uses 'year', a parameter that only the run can work out.\n"
        "  mend: give 'year' a plain value, or a type and no value."
    )


def test_a_name_that_only_the_header_declares(root):
    stage(root, header("matrix: {region: [eu]}"), code("x = f'{region}.csv'", "inputs"))
    assert only(root) == (
        "notebooks/train.ipynb, cell 2, line 1: the value of 'x' uses 'region', which only the header declares.\n"
        "  mend: assign 'region' in a cell tagged 'parameters' above, so that the notebook runs by itself."
    )


def test_declarations_that_differ(root):
    stage(
        root,
        header("params: {C: {default: 2, type: int}}"),
        code("C: float = 1.0\nx = 1", "parameters"),
        code("x = 'a'", "inputs"),
    )
    assert told(root) == [
        (
            "notebooks/train.ipynb, cell 1, line 3: the default of parameter 'C' is declared twice, and not alike.\n"
            "  known parameter: C (notebooks/train.ipynb, cell 2, line 1)\n"
            "  mend: keep the default in the notebook's cell, and take it out here."
        ),
        (
            "notebooks/train.ipynb, cell 1, line 3: the type of parameter 'C' is declared twice, and not alike.\n"
            "  known parameter: C (notebooks/train.ipynb, cell 2, line 1)\n"
            "  mend: keep the type in the notebook's cell, and take it out here."
        ),
        (
            "notebooks/train.ipynb, cell 3, line 1: 'x' is declared twice, and not alike.\n"
            "  known parameter: x (notebooks/train.ipynb, cell 2, line 2)\n"
            "  mend: take one of the two out, or rename it."
        ),
    ]


def test_an_input_that_is_an_output(root):
    stage(root, header("inputs: {db: a.db}\noutputs: {db: b.db}"))
    assert only(root) == (
        "notebooks/train.ipynb, cell 1, line 4: 'db' is declared twice, and not alike.\n"
        "  known input: db (notebooks/train.ipynb, cell 1, line 3)\n  mend: take one of the two out, or rename it."
    )


def test_other_languages(root):
    content = notebook_json([code("x <- 'a'", "parameters"), code("y <- 'a'", "inputs")])
    content["metadata"]["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}
    write_files(root, {"notebooks/train.ipynb": json.dumps(content)})
    assert only(root) == (
        "notebooks/train.ipynb, cell 2: a cell tagged 'inputs' is read in Python notebooks only; this one is in r.\n"
        "  mend: declare its inputs in the header, and drop the tag."
    )


# --- names -----------------------------------------------------------------------------------


def test_names_of_files_become_names_of_stages(root):
    for stem in ("my stage", "über", "01-clean", "-dash", 'a"b', "c.d", "it's", "..x"):
        stage(root, code("x = 1", "parameters"), name=stem)
    spec, complaints = read_project(root)
    assert complaints == ()
    assert {one.notebook.path.removeprefix("notebooks/"): one.name for one in spec.stages} == {
        "my stage.ipynb": "my_stage",
        "über.ipynb": "_ber",
        "01-clean.ipynb": "_01-clean",
        "-dash.ipynb": "_-dash",
        'a"b.ipynb': "a_b",
        "c.d.ipynb": "c_d",
        "it's.ipynb": "it_s",
    }


def test_a_clash_of_names(root):
    stage(root, code("x = 1", "parameters"), name="a b")
    stage(root, header("stage: a_b"), name="z")
    assert only(root) == (
        "notebooks/z.ipynb, cell 1, line 2: the stage name 'a_b' is taken.\n"
        "  known stage: a_b (notebooks/a b.ipynb)\n"
        "  mend: write `stage: NAME` with another name in the header of one of them."
    )


# --- what the fuzzer found (tests/fuzz) ------------------------------------------------------

GREAT = "9" * 400


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"store: {{max_size: '{GREAT}GB'}}", "pipeline.yaml, line 1: 'max_size' is '9999"),
        (f"defaults: {{timeout: '{GREAT}h'}}", "pipeline.yaml, line 1: 'timeout' is '9999"),
        (f"defaults: {{timeout: {GREAT}}}", "pipeline.yaml, line 1: 'timeout' is 9999"),
        ("defaults: {timeout: 1e999}", "pipeline.yaml, line 1: 'timeout' is inf"),
        (
            f"stages: [{{name: train, params: {{x: {{min: {GREAT}}}}}}}]",
            "pipeline.yaml, line 1: 'min' is 9999",
        ),
    ],
)
def test_numbers_that_are_too_great(root, text, words):
    stage(root, code("x = 1", "parameters"))
    write_files(root, {"pipeline.yaml": text})
    assert only(root).startswith(words)


LONG = "x" * 300


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"stages: [{{name: train, notebook: {LONG}.ipynb}}]", f"the notebook '{LONG}.ipynb' is not there."),
        (
            f"environment: {{lock: {LONG}}}",
            f"the lock file '{LONG}' cannot be read: the file cannot be read: ",
        ),
        (
            f"stages: [{{name: train, matrix: {{r: {{from_file: {LONG}}}}}}}]",
            f"the file '{LONG}' of axis 'r' cannot ",
        ),
    ],
)
def test_names_that_no_file_can_have(root, text, words):
    stage(root, code("x = 1", "parameters"))
    write_files(root, {"pipeline.yaml": text})
    assert words in only(root)


def test_a_device_lists_no_values(root):
    """It would never come to its end."""
    stage(root, code("x = 1", "parameters"))
    write_files(root, {"pipeline.yaml": "stages: [{name: train, matrix: {r: {from_file: /dev/zero}}}]"})
    assert "the file '/dev/zero' of axis 'r' cannot be read: this is no plain file." in only(root)


DEEP = "1" + " + 1" * 150


def test_expressions_that_are_nested_too_deeply(root):
    """Python's own stack ends at some hundreds of levels."""
    stage(root, code("x = 1", "parameters"), code(f"o = {DEEP}", "outputs"))
    assert "the expression is nested deeper than 100 levels" in only(root)


def test_a_parameter_that_is_nested_too_deeply_counts_by_its_source(root):
    stage(root, code(f"x: {'a | ' * 150}a = {DEEP}", "parameters"), USED)
    spec, complaints = read_project(root)
    assert complaints == ()
    (parameter,) = spec.stages[0].parameters
    assert parameter.opaque
    assert parameter.type is None


def test_a_header_in_metadata_has_the_depth_of_yaml(root):
    stage(root, code("x = 1", "parameters"))
    path = root / "notebooks/train.ipynb"
    content = json.loads(path.read_text())
    content["metadata"]["nbpipeline"] = {"params": {"x": {"help": json.loads("[" * 60 + "]" * 60)}}}
    path.write_text(json.dumps(content))
    assert only(root) == (
        "notebooks/train.ipynb: the notebook's metadata.nbpipeline is nested deeper than 60 levels.\n"
        "  mend: write plain values."
    )


def test_a_hundred_complaints_about_a_cell_are_enough(root):
    stage(root, code("\n".join(f"a{n} = z{n}" for n in range(300)), "outputs"))
    found = told(root)
    assert len(found) == 102
    assert found[-1].startswith(
        "notebooks/train.ipynb, cell 1, line 102: more than 100 things are wrong in the cell; the rest of it was not read."
    )


def test_a_mark_of_a_cell_that_does_not_end(root):
    write_files(root, {"pipeline.yaml": "notebooks: [notebooks/*.py]"})
    write_files(root, {"notebooks/a.py": f'# %% tags=["parameters"] {"x " * 3000}\nC = 1\n'})
    assert only(root) == (
        "notebooks/a.py: jupytext cannot read the file: a line that begins a cell has more than 4,096 characters.\n"
        "  mend: try `jupytext --to ipynb notebooks/a.py` and mend what it names."
    )


@pytest.mark.parametrize(
    "pattern", ["**/*.ipynb", "**/**/*.ipynb", "**/./**//*.ipynb", f"{'**/' * 40}*.ipynb"]
)
def test_any_folder_once_or_many_times(root, pattern):
    (root / "a/b/c/d/e/f/g/h").mkdir(
        parents=True
    )  # ways to share eight levels out among forty marks: millions
    stage(root, code("x = 1", "parameters"))
    write_files(root, {"pipeline.yaml": f"notebooks: ['{pattern}']"})
    spec, _ = read_project(root)
    assert [one.name for one in spec.stages] == ["train"]


@pytest.mark.parametrize(
    "source",
    [f"o = f'{{{GREAT} + 1.5}}'", f"o = f'{{{GREAT}:e}}'", "o = f'{" + " + ".join(["9" * 4300] * 2) + "}'"],
)
def test_sums_that_are_too_great(root, source):
    stage(root, code("x = 1", "parameters"), code(source, "outputs"))
    spec, _ = read_project(root)
    pipeline, complaints = build(spec)
    assert pipeline is None
    assert complaints[0].what.startswith("output 'o'")
