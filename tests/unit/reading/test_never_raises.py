"""Whatever stands in a header, in pipeline.yaml or in a cell: complaints, never an exception."""

import json

from builders import code, write_notebook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nbpipeline.reading import names, schema
from nbpipeline.reading.project import read_project

KEYS = sorted(
    {
        key.name
        for key in (*schema.header_table().keys, *schema.project_table().keys, *schema.entry_table().keys)
    }
    | {"default", "from", "path", "from_file", "cpus", "memory", "inputs", "params", "a", "train", "x y", ""}
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=True)
    | st.sampled_from(
        [
            "",
            "a",
            "train",
            "1h",
            "2GB",
            "{a}",
            "{",
            "../x.csv",
            "/etc/x",
            "s3://b/k",
            "train.a",
            "\0",
            "ü",
            "int",
            "*.ipynb",
            "**",
            "[",
        ]
    )
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5)
SOURCES = st.lists(
    st.sampled_from(
        [
            "a = 1",
            "a = 'x'",
            "a: int = 2",
            "b = f'{a}'",
            "b = a + b",
            "import os",
            "from pathlib import Path",
            "c = Path(a) / b",
            "a, b = 1",
            "after = ['train']",
            "dependencies = 1",
            "%magic",
            "x = !ls",
            "if a:",
            "a = [{'rows': 1}, 2]",
            "\0",
            "del a",
            "*a, b = c",
        ]
    ),
    max_size=4,
)
TAGS = st.sampled_from(
    ["parameters", "inputs", "outputs", "dependencies", "expectations", "metrics", "input", "skip"]
)
AS_THEY_COME = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)


def read(root):
    spec, complaints = read_project(root)
    for one in complaints:
        assert str(one)
        assert one.where is not None
        assert one.mend.endswith((".", "?")), one.mend
        assert one.what.endswith("."), one.what
    for stage in spec.stages:
        names.check_stage(stage)


@AS_THEY_COME
@given(TABLES | VALUES)
def test_headers(root, value):
    raw = {"cell_type": "raw", "metadata": {}, "source": f"---\n{json.dumps({'nbpipeline': value})}\n---"}
    write_notebook(root / "notebooks/train.ipynb", raw, code("a = 1", "parameters"))
    read(root)


@AS_THEY_COME
@given(TABLES | VALUES)
def test_pipeline_yaml(root, value):
    write_notebook(root / "notebooks/train.ipynb", code("a = 1", "parameters"))
    (root / "pipeline.yaml").write_text(json.dumps(value), encoding="utf-8")
    read(root)


@AS_THEY_COME
@given(st.lists(TABLES, max_size=3))
def test_stage_entries(root, entries):
    write_notebook(root / "notebooks/train.ipynb", code("a = 1", "parameters"), code("b = 'x'", "inputs"))
    listed = [{"name": "train", **entry} for entry in entries]
    (root / "pipeline.yaml").write_text(json.dumps({"stages": listed}), encoding="utf-8")
    read(root)


@AS_THEY_COME
@given(st.lists(st.tuples(SOURCES, TAGS), max_size=5))
def test_cells(root, cells):
    write_notebook(root / "notebooks/train.ipynb", *(code("\n".join(lines), tag) for lines, tag in cells))
    read(root)


@AS_THEY_COME
@given(VALUES, VALUES)
def test_notebooks(root, content, metadata):
    folder = root / "notebooks"
    folder.mkdir(exist_ok=True)
    cells = [{"cell_type": "code", "source": "a = 1", "metadata": metadata}]
    for number, one in enumerate(
        [content, {"nbformat": 4, "cells": content}, {"nbformat": 4, "cells": cells, "metadata": metadata}]
    ):
        (folder / f"n{number}.ipynb").write_text(json.dumps(one), encoding="utf-8")
    read(root)
