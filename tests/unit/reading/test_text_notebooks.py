"""Text notebooks through jupytext, and pairs."""

import os

import pytest
from builders import code, header, notebook_json, write_files, write_notebook

from nbpipeline.reading.project import read_project

SPEC = "notebooks: ['notebooks/*']\n"
PERCENT = """
# ---
# jupyter:
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# nbpipeline:
#   stage: fit
#   retries: 2
# ---

# %% [markdown]
# # A title

# %% tags=["parameters"]
C: float = 1.0

# %% tags=["outputs"]
model = "../model.joblib"

# %%
# %matplotlib inline
print(C)
"""
MARKDOWN = """
---
jupyter:
  kernelspec:
    name: python3
    display_name: Python 3
    language: python
nbpipeline:
  stage: fit
  retries: 2
---

# A title

```python tags=["parameters"]
C: float = 1.0
```

```python tags=["outputs"]
model = "../model.joblib"
```
"""
RMD = """
---
title: x
nbpipeline:
  stage: fit
  retries: 2
---

```{python tags=["parameters"]}
C: float = 1.0
```

```{python tags=["outputs"]}
model = "../model.joblib"
```
"""
MYST = """
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
    format_version: 0.13
kernelspec:
  name: python3
  display_name: Python 3
nbpipeline:
  stage: fit
  retries: 2
---

# A title

```{code-cell}
:tags: [parameters]

C: float = 1.0
```

```{code-cell}
:tags: [outputs]

model = "../model.joblib"
```
"""


@pytest.mark.parametrize(
    ("name", "text"), [("a.py", PERCENT), ("a.md", MARKDOWN), ("a.Rmd", RMD), ("b.md", MYST)]
)
def test_text_formats(root, name, text):
    write_files(root, {f"notebooks/{name}": text, "pipeline.yaml": SPEC})
    spec, complaints = read_project(root)
    assert complaints == ()
    (stage,) = spec.stages
    assert (stage.name, stage.retries, stage.notebook.path) == ("fit", 2, f"notebooks/{name}")
    assert [one.name for one in (*stage.parameters, *stage.outputs)] == ["C", "model"]
    assert stage.notebook.format == name.rpartition(".")[2]
    again, _ = read_project(root)
    assert again.stages == spec.stages  # no random cell ids


def test_r_scripts(root):
    text = """
    # ---
    # nbpipeline:
    #   stage: fit
    #   outputs: {model: ../model.rds}
    # ---

    # %% tags=["parameters"]
    C <- 1
    """
    write_files(root, {"notebooks/a.R": text, "pipeline.yaml": SPEC})
    spec, complaints = read_project(root)
    assert complaints == ()
    (stage,) = spec.stages
    assert (stage.notebook.language, stage.parameters, [one.name for one in stage.outputs]) == (
        "r",
        (),
        ["model"],
    )


def test_modules_and_prose_beside_notebooks_are_no_stages(root):
    write_files(
        root,
        {
            "notebooks/module.py": "inputs = 1\n",
            "notebooks/README.md": "# The nbpipeline\n\nsome words\n",
            "notebooks/notes.md": "# Notes\n\n```python\nx = 1\n```\n",
            "notebooks/a.py": PERCENT,
            "pipeline.yaml": SPEC,
        },
    )
    spec, complaints = read_project(root)
    assert complaints == ()
    assert [one.name for one in spec.stages] == ["fit"]


def test_a_listed_script_without_cells(root):
    write_files(
        root, {"notebooks/a.py": "x = 1\n", "pipeline.yaml": "stages: [{name: a, notebook: notebooks/a.py}]"}
    )
    assert [str(one) for one in read_project(root)[1]] == [
        (
            "notebooks/a.py: the file has no cells.\n"
            "  mend: begin each cell with `# %%`, or take the file out of the notebooks."
        )
    ]


def test_a_text_that_jupytext_refuses(root):
    text = "# ---\n# jupyter:\n#   kernelspec:\n#     name: 1\n# nbpipeline:\n# ---\n\n# %%\nx = 1\n"
    write_files(root, {"notebooks/a.py": text, "pipeline.yaml": SPEC})
    (complaint,) = read_project(root)[1]
    assert str(complaint).startswith("notebooks/a.py: jupytext cannot read the file: ")
    assert complaint.mend == "try `jupytext --to ipynb notebooks/a.py` and mend what it names."


def test_a_listed_file_of_another_kind(root):
    write_files(root, {"a.txt": "x", "pipeline.yaml": "stages: [{name: a, notebook: a.txt}]"})
    assert [str(one) for one in read_project(root)[1]] == [
        (
            "a.txt: files that end in '.txt' are no notebooks.\n"
            "  known endings: .R, .Rmd, .ipynb, .md, .py\n"
            "  mend: name a notebook, or convert the file with jupytext."
        )
    ]


# --- pairs -----------------------------------------------------------------------------------

PAIRED = """
# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# nbpipeline:
#   stage: fit
# ---

# %% tags=["parameters"]
C = {value}
"""


def pair(root, *, text="1", saved="1", formats="ipynb,py:percent"):
    import json

    content = notebook_json([header("stage: fit"), code(f"C = {saved}", "parameters")])
    content["metadata"]["jupytext"] = {"formats": formats}
    write_files(root, {"notebooks/a.ipynb": json.dumps(content), "notebooks/a.py": PAIRED.format(value=text)})
    for name, time in (("a.ipynb", 1_000_000_000), ("a.py", 1_000_000_000)):
        os.utime(root / "notebooks" / name, (time, time))


def default_of(root):
    spec, complaints = read_project(root)
    (stage,) = spec.stages
    return stage.parameters[0].default.args[0], stage.notebook.path, [str(one) for one in complaints]


@pytest.mark.parametrize("patterns", ["['notebooks/*']", "['notebooks/*.ipynb']", "['notebooks/*.py']"])
def test_a_pair_is_one_stage(root, patterns):
    pair(root)
    write_files(root, {"pipeline.yaml": f"notebooks: {patterns}"})
    path = "notebooks/a.py" if ".py" in patterns and "ipynb" not in patterns else "notebooks/a.ipynb"
    assert default_of(root) == (1, path, [])


def test_the_text_of_a_pair_counts(root):
    pair(root, text="2")
    words = "notebooks/a.ipynb: the notebook and its pair notebooks/a.py differ; a.py is read.\n  mend: run `jupytext --sync notebooks/a.ipynb`."
    assert default_of(root) == (2, "notebooks/a.ipynb", [words])


def test_a_notebook_newer_than_its_text_counts(root):
    pair(root, text="2")
    os.utime(root / "notebooks/a.ipynb", (1_000_000_100, 1_000_000_100))
    words = "notebooks/a.ipynb: the notebook and its pair notebooks/a.py differ; a.ipynb is read.\n  mend: run `jupytext --sync notebooks/a.ipynb`."
    assert default_of(root) == (1, "notebooks/a.ipynb", [words])


def test_two_files_that_are_no_pair_clash(root):
    pair(root, formats="ipynb")
    (root / "notebooks/a.py").write_text(
        PAIRED.lstrip().format(value=1).replace("ipynb,py:percent", "py:percent")
    )
    write_files(root, {"pipeline.yaml": SPEC})
    (complaint,) = read_project(root)[1]
    assert complaint.what == "the stage name 'fit' is taken."


# --- text notebooks that no pattern matches --------------------------------------------------

TAGGED = '# %% tags=["parameters"]\nx = 1\n'
FENCED = '```python tags=["outputs"]\nx = "../x.csv"\n```\n'
HEADED = "# %% [raw]\n# ---\n# nbpipeline:\n#   stage: other\n# ---\n\n# %%\nprint(1)\n"


def overlooked(root, files):
    write_notebook(root / "notebooks/train.ipynb", code("x = 1", "parameters"))
    write_files(root, files)
    _, complaints = read_project(root)
    assert all(one.warning for one in complaints)
    return [str(one) for one in complaints]


@pytest.mark.parametrize(("name", "text"), [("fit.py", TAGGED), ("fit.md", FENCED), ("fit.py", HEADED)])
def test_a_stage_that_no_pattern_matches_is_told(root, name, text):
    suffix = name.removeprefix("fit")
    assert overlooked(root, {f"notebooks/{name}": text}) == [
        (
            f"notebooks/{name}: this looks like a stage, but no pattern of 'notebooks' matches it.\n"
            f"  mend: write `notebooks: [notebooks/*.ipynb, notebooks/*{suffix}]` in pipeline.yaml, "
            "or name the file under `exclude:`."
        )
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"notebooks/train.py": TAGGED},
        {"notebooks/tools.py": "def outputs():\n    return 'parameters, nbpipeline'\n"},
        {
            "notebooks/README.md": "Cells tagged `parameters`:\n\n```python\nx = 1\n```\n\nnbpipeline runs them.\n"
        },
        {"notebooks/fit.py": TAGGED, "pipeline.yaml": "exclude: [notebooks/fit.py]"},
        {"notebooks/fit.py": TAGGED, "pipeline.yaml": "stages: [{notebook: notebooks/fit.py}]"},
        {"notebooks/fit.py": TAGGED, "pipeline.yaml": 'notebooks: ["notebooks/*.py", "notebooks/*.ipynb"]'},
        {"elsewhere/fit.py": TAGGED},
    ],
)
def test_modules_prose_pairs_and_what_is_listed_are_not(root, files):
    assert overlooked(root, files) == []
