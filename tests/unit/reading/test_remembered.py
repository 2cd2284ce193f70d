"""What is remembered of notebooks never shows: a project reads the same with it and without."""

import json
import os
import random
from pathlib import Path

import pytest
from builders import code, header, notebook_json, write_notebook
from hypothesis import given, settings
from hypothesis import strategies as st

from nbpipeline import content
from nbpipeline.errors import Complaint, ExitCode
from nbpipeline.location import Location
from nbpipeline.model import Expression, PathValue, SavedCells
from nbpipeline.reading import remembered
from nbpipeline.reading.project import read_project
from nbpipeline.reading.remembered import KINDS, NOTEBOOKS
from nbpipeline.reading.spelling import SpellingError, spelled, spoken
from nbpipeline.state.memory import MemoryState
from nbpipeline.state.sqlite import open_state


@pytest.fixture
def settled(monkeypatch):
    """Every file counts as one that has not changed for long."""
    monkeypatch.setattr(content, "SETTLED", -3600.0)


def project(root):
    write_notebook(
        root / "notebooks/a.ipynb",
        header(
            "description: first\ntags: [x]\nparams: {D: {default: 1, max: 3}}\nmatrix: {region: [eu, us]}"
        ),
        code("C: float = 1.0\nn = 3\nx = compute()", "parameters"),
        code("from pathlib import Path\nraw = Path('../data') / f'raw-{n}.csv'", "inputs"),
        code("model = '../out/model-{region}.bin'", "outputs"),
        code("expect = 1\nraw = [{'not_null': 'a'}]", "expectations"),
        code("print(C)"),
    )
    write_notebook(
        root / "notebooks/b.ipynb", header("inputs: {m: {from: 'a[*].model'}}\noutputs: {t: ../out/t.csv}")
    )
    write_notebook(root / "notebooks/none.ipynb", code("print(1)"), kernel=None)
    write_notebook(root / "notebooks/warned.ipynb", code("o = '../out/w.csv'", "outputs"), kernel=None)
    (root / "pipeline.yaml").write_text(
        "params: {n: 5}\nprofiles: {dev: {params: {n: 6}}}\nstages: [{name: b, dependencies: [warned]}]\n"
    )


def rewritten(path, data):
    """Replace a file's bytes; its times have moved on when this returns, as they do by themselves in time."""
    before = path.stat().st_ctime_ns if path.exists() else 0
    path.write_bytes(data)
    while path.stat().st_ctime_ns == before:
        path.write_bytes(data)


def both(root, cache, **how):
    """Read with the cache and without; they must not differ. Gives what was read."""
    remembered_ = read_project(root, cache=cache, **how)
    plain = read_project(root, **how)
    assert remembered_ == plain
    return plain


@pytest.mark.usefixtures("settled")
def test_the_same_with_and_without(root, monkeypatch):
    project(root)
    state = MemoryState()
    first, _ = both(root, state)
    read = []
    monkeypatch.setattr(remembered, "cells_text", read.append)
    again, _ = both(root, state)
    assert again == first
    assert not read
    stages = {one.name: one for one in read_project(root, cache=state)[0].stages}
    cells = stages["a"].notebook.cells
    assert isinstance(cells, SavedCells)
    assert (len(cells), cells[0].kind, cells[-1].source) == (6, "raw", "print(C)")
    both(root, state, profile="dev")
    both(root, state)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("seed", range(6))
def test_random_edits_are_always_seen(root, seed):
    project(root)
    state = MemoryState()
    chance = random.Random(seed)
    both(root, state)
    for _ in range(12):
        EDITS[chance.choice(sorted(EDITS))](root, chance)
        both(root, state, profile=chance.choice([None, "dev"]))


def same_size_edit(root, chance):
    path = root / "notebooks/a.ipynb"
    data = path.read_bytes()
    old, new = chance.choice(
        [(b"1.0", b"2.0"), (b"2.0", b"1.0"), (b"raw-", b"row-"), (b"print(C)", b"print(n)")]
    )
    was = path.stat()
    rewritten(path, data.replace(old, new))
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))  # its time of change put back


def replaced_by_rename(root, chance):
    beside = root / "new"
    write_notebook(beside, code(f"o = '../out/{chance.randrange(9)}.csv'", "outputs"))
    beside.replace(root / "notebooks/warned.ipynb")


def touched(root, chance):
    os.utime(root / "notebooks/a.ipynb", (chance.randrange(10**9),) * 2)


def pipeline_file_changed(root, chance):
    rewritten(
        root / "pipeline.yaml", f"params: {{n: {chance.randrange(9)}}}\nprofiles: {{dev: {{}}}}\n".encode()
    )


def came_and_went(root, chance):
    path = root / "notebooks/c.ipynb"
    if path.exists():
        path.unlink()
    else:
        write_notebook(path, code("q = '../out/q.csv'", "outputs"))


def made_faulty(root, chance):
    text = chance.choice(['{"nbformat": 4', json.dumps(notebook_json([code("o = f()", "outputs")]))])
    rewritten(root / "notebooks/warned.ipynb", text.encode())


def linked_elsewhere(root, chance):
    link = root / "notebooks/link.ipynb"
    link.unlink(missing_ok=True)
    target = root / f"elsewhere{chance.randrange(2)}.ipynb"
    write_notebook(target, code(f"z = '../out/z{target.stem}.csv'", "outputs"))
    link.symlink_to(target)


EDITS = {
    one.__name__: one
    for one in (
        same_size_edit,
        replaced_by_rename,
        touched,
        pipeline_file_changed,
        came_and_went,
        made_faulty,
        linked_elsewhere,
    )
}


def test_what_changed_just_now_is_read_each_time(root):
    """Within a clock's tick a file may change again and keep its times."""
    project(root)
    state = MemoryState()
    path = root / "notebooks/a.ipynb"
    data = path.read_bytes()
    for number in range(30):
        path.write_bytes(data.replace(b"1.0", f"{number % 10}.0".encode()))
        both(root, state)
    assert "notebooks/a.ipynb" not in state.load(NOTEBOOKS)


@pytest.mark.usefixtures("settled")
def test_another_reader_reads_anew(root, monkeypatch):
    project(root)
    state = MemoryState()
    both(root, state)
    kept = {kind: state.load(kind) for kind in KINDS}
    monkeypatch.setattr(remembered, "source_version", lambda *_: "another")
    remembered._reader.cache_clear()
    try:
        both(root, state)
    finally:
        remembered._reader.cache_clear()
    assert all(state.load(kind).keys() == kept[kind].keys() for kind in KINDS)
    assert all(state.load(kind)[key] != text for kind in KINDS for key, text in kept[kind].items())


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("seed", range(4))
def test_damaged_entries_are_as_good_as_none(root, seed):
    project(root)
    state = MemoryState()
    both(root, state)
    chance = random.Random(seed)
    for kind in KINDS:
        for key, text in state.load(kind).items():
            place = chance.randrange(len(text))
            damaged = chance.choice([text[:place], "", text[:place] + "x" + text[place + 1 :], text + "\n{}"])
            state.save(kind, {key: damaged})
    both(root, state)


@pytest.mark.usefixtures("settled")
def test_values_from_a_file_are_not_remembered(root):
    write_notebook(
        root / "notebooks/a.ipynb", header("matrix: {r: {from_file: r.txt}}\noutputs: {o: 'o{r}.csv'}")
    )
    state = MemoryState()
    for values in (["eu"], ["us", "eu"]):
        (root / "notebooks/r.txt").write_text("\n".join(values))
        assert both(root, state)[0].stages[0].matrix == {"r": tuple(values)}


@pytest.mark.usefixtures("settled")
def test_text_notebooks_and_pairs(root):
    (root / "pipeline.yaml").write_text("notebooks: [notebooks/*]\n")
    folder = root / "notebooks"
    folder.mkdir()
    (folder / "t.py").write_text('# %% tags=["outputs"]\no = "../out/o.csv"\n')
    pair = notebook_json([code("p = '../out/p.csv'", "outputs")])
    pair["metadata"]["jupytext"] = {"formats": "ipynb,py:percent"}
    (folder / "p.ipynb").write_text(json.dumps(pair))
    (folder / "p.py").write_text(
        '# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n\n# %% tags=["outputs"]\np = "../out/q.csv"\n'
    )
    state = MemoryState()
    first = both(root, state)
    assert both(root, state) == first
    rewritten(folder / "p.py", (folder / "p.py").read_bytes().replace(b"q.csv", b"r.csv"))
    assert both(root, state) != first


@pytest.mark.usefixtures("settled")
def test_the_state_keeps_it(root, tmp_path):
    project(root)
    with open_state(tmp_path / "state") as state:
        first = both(root, state)
    with open_state(tmp_path / "state") as state:
        assert len(state.load(NOTEBOOKS)) == 4
        assert both(root, state) == first


# --- the spelling ----------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars | st.builds(PathValue, st.text()),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.sampled_from(list("@(:!=#")), inner)
        | st.builds(lambda args, line: Expression("tuple", tuple(args), line), st.lists(inner), st.integers())
    ),
    max_leaves=12,
)


def types_too(value):
    return repr(value)


@given(values)
@settings(max_examples=200, deadline=None)
def test_what_is_spelled_is_read_back_exactly(value):
    assert types_too(spoken(spelled(value))) == types_too(value)


def test_complaints_are_spelled():
    one = Complaint(where=Location(path="a", cell=1), what="w", mend="m", exit_code=ExitCode.PIPELINE)
    assert spoken(spelled((one,))) == (one,)


@pytest.mark.parametrize("value", [{1}, b"x", 1j, object(), Path("x"), frozenset("a")])
def test_what_has_no_spelling_is_refused(value):
    with pytest.raises(SpellingError):
        spelled(value)


@pytest.mark.parametrize(
    "text", ["", "{", '{"@": "Popen"}', '{"@": "Artifact", "x": 1}', '{"!": 99}', "[" * 100_000]
)
def test_what_cannot_be_read_back_is_refused(text):
    with pytest.raises(SpellingError):
        spoken(text)


KEYS = """---
nbpipeline:
  stage: keys
  params: {names: {default: {2013: eu, true: us}}}
---

```python
print(1)
```
"""


@pytest.mark.usefixtures("settled")
def test_keys_that_are_no_texts_stay_what_they_are(root):
    (root / "notebooks").mkdir()
    (root / "notebooks/keys.md").write_text(KEYS)
    (root / "pipeline.yaml").write_text("notebooks: ['notebooks/*.md']\n")
    state = MemoryState()
    for _ in range(3):
        plain, _ = both(root, state)
        (stage,) = plain.stages
        (parameter,) = stage.parameters
        assert parameter.default.args == ({2013: "eu", True: "us"},)
    assert "notebooks/keys.md" in state.load(remembered.STAGES)


def test_a_file_that_goes_meanwhile_has_not_settled(root):
    assert not remembered.Memory(MemoryState(), root)._settled(root / "gone.ipynb")
