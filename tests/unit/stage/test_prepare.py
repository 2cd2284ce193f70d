import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stages import artifact, instance

from nbpipeline.errors import ReadingError
from nbpipeline.model import Cell, Injection, PathValue
from nbpipeline.stage.prepare import executed_copy, literal, python_assignments

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(VALUES)
def test_a_python_literal_gives_back_an_equal_value(value: Any) -> None:
    assert repr(eval(literal(value))) == repr(value)  # noqa: S307 - that it may be evaluated is the point


def test_paths_bring_their_import() -> None:
    source = python_assignments(
        {"a": PathValue("../x y/'q'"), "all": {"eu": [PathValue("e")]}, "n": math.inf}
    )
    assert source == (
        "# Injected by nbpipeline\nfrom pathlib import Path\n\n"
        "a = Path(\"../x y/'q'\")\nall = {'eu': [Path('e')]}\nn = float(\"inf\")"
    )
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 - the same
    assert names["a"] == Path("../x y/'q'")


def test_no_import_without_paths() -> None:
    assert python_assignments({"C": 0.5}) == "# Injected by nbpipeline\nC = 0.5"


@pytest.mark.parametrize(
    ("language", "expected"), [("R", 'C = 0.5\nwhere = "../x"'), ("julia", 'C = 0.5\nwhere = "../x"')]
)
def test_other_languages_by_papermill(language: str, expected: str) -> None:
    values = {"C": 0.5, "where": PathValue("../x")}
    stage = instance(
        ["1"], language=language, kernel="any", parts={"injections": (Injection(after=0, values=values),)}
    )
    source = executed_copy(stage, test=False)["cells"][0]["source"]
    assert source.replace("<-", "=").splitlines()[1:] == expected.splitlines()


def test_a_language_that_papermill_cannot_write() -> None:
    stage = instance(
        ["1"], language="cobol", kernel="any", parts={"injections": (Injection(after=0, values={"C": 1}),)}
    )
    with pytest.raises(ReadingError) as caught:
        executed_copy(stage, test=False)
    assert str(caught.value).startswith(
        "notebooks/train.ipynb, cell 1: values cannot be injected into a notebook in 'cobol'."
    )


def test_cells_keep_ids_and_injections_stand_after_their_cell() -> None:
    injections = (Injection(after=1, values={"a": 1}), Injection(after=2, values={"b": 2}))
    stage = instance(["a = 0", "b = 0"], parts={"injections": injections})
    copy = executed_copy(stage, test=False)
    assert [cell["id"] for cell in copy["cells"]] == ["c1", "injected-after-1", "c2", "injected-after-2"]
    assert [cell["metadata"]["nbpipeline"]["cell"] for cell in copy["cells"]] == [1, 0, 2, 0]
    assert copy["metadata"]["kernelspec"] == {
        "name": "python3",
        "display_name": "python3",
        "language": "python",
    }


def test_missing_and_doubled_ids_are_made_unique() -> None:
    stage = instance(["a", "b", "c"])
    ids = ["", "same", "same"]
    cells = tuple(replace(cell, id=one) for cell, one in zip(stage.spec.notebook.cells, ids, strict=True))
    notebook = replace(stage.spec.notebook, cells=cells)
    copy = executed_copy(replace(stage, spec=replace(stage.spec, notebook=notebook)), test=False)
    assert [cell["id"] for cell in copy["cells"]] == ["cell-1", "same", "cell-3"]


def test_other_kinds_of_cells_are_copied() -> None:
    stage = instance(["x = 1"])
    text = Cell(
        index=2,
        kind="markdown",
        source="![](attachment:a.png)",
        id="m",
        attachments={"a.png": {"image/png": "AA"}},
    )
    notebook = replace(stage.spec.notebook, cells=(*stage.spec.notebook.cells, text))
    copy = executed_copy(replace(stage, spec=replace(stage.spec, notebook=notebook)), test=False)
    assert copy["cells"][1]["attachments"] == {"a.png": {"image/png": "AA"}}
    assert "outputs" not in copy["cells"][1]


def test_an_atomic_output_is_injected_under_its_hidden_name() -> None:
    model = artifact("model", "models/m.parquet", publish="atomic", cell=1)
    copy = executed_copy(instance(["model = '../models/m.parquet'"], outputs=[model]), test=False, run="r1")
    assert copy["cells"][1]["source"].endswith("model = '../models/.nbpipeline-r1.m.parquet'")


def test_an_atomic_output_of_the_header_follows_the_last_declaration() -> None:
    model = artifact("model", "models/m.parquet", publish="atomic")
    stage = instance(["x = 1", "y = 1"], outputs=[model, artifact("other", "o.txt", cell=2)])
    copy = executed_copy(stage, test=False, run="r1")
    assert [cell["id"] for cell in copy["cells"]] == ["c1", "c2", "injected-after-2"]
