"""Which plots differ between two executions, in `diff` and on its page."""

import base64
import json
import sys
from pathlib import Path

import pytest
from builders import code, notebook_json

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from pipelines import MAYBE, RUN, do, plan_of
from test_history import NEW, OLD, Training
from test_run_report import EVIL, Page

from nbpipeline.errors import StorageError
from nbpipeline.report import comparison, diff_page
from nbpipeline.report.plot_changes import plot_changes
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore


def picture(name: str) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + name.encode()


def notebook(path: Path, *cells: str) -> Path:
    """Each cell is given as the names of its plots, a letter each."""
    made = []
    for names in cells:
        data = [{"image/png": base64.b64encode(picture(name)).decode()} for name in names]
        outputs = [{"output_type": "display_data", "data": one, "metadata": {}} for one in data]
        made.append({**code("plot()"), "outputs": outputs})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(notebook_json(made)))
    return path


def changes(tmp_path, old, new):
    found = plot_changes(notebook(tmp_path / "old.ipynb", *old), notebook(tmp_path / "new.ipynb", *new))
    assert found.known
    return [(one.place, *(side and side.data[-1:].decode() for side in one)) for one in found.pairs]


def test_plots_are_compared_by_cell_and_what_only_moved_is_no_change(tmp_path):
    assert changes(tmp_path, ["ab", "c"], ["ab", "c"]) == []
    assert changes(tmp_path, ["ab", "c"], ["xb", "c"]) == [((1, 1), "a", "x")]
    assert changes(tmp_path, ["ab", "c"], ["", "ab", "c"]) == []
    assert changes(tmp_path, ["a"], ["a", "b"]) == [((2, 1), None, "b")]
    assert changes(tmp_path, ["a", "b"], ["b"]) == [((1, 1), "a", None)]
    assert changes(tmp_path, ["aa"], ["a"]) == [((1, 2), "a", None)]


def test_what_cannot_be_looked_at_is_told_and_what_was_not_executed_has_no_plots(tmp_path):
    there = notebook(tmp_path / "old.ipynb", "a")
    assert not plot_changes(there, tmp_path / "gone.ipynb").known
    assert plot_changes(there, None).known
    assert plot_changes(tmp_path / "gone.ipynb", tmp_path / "gone.ipynb").known


class Plotting(Training):
    """Leaves a notebook with plots."""

    def __init__(self, *given, plots="a", **more):
        super().__init__(*given, **more)
        self.plots = plots

    def __call__(self, job, *rest):
        result = super().__call__(job, *rest)
        notebook(Path(job.folder) / "attempt-1.ipynb", self.plots)
        return result


@pytest.fixture
def state():
    return MemoryState()


@pytest.fixture
def store(root):
    return LocalStore(root / "store")


@pytest.fixture
def runs(root, state):
    plan = plan_of({"clean": RUN, "train": MAYBE}, ["clean>train"])
    one = do(plan, Plotting(state, OLD, auc=0.7, finished=1.0, plots="ab"), root, state=state).run
    two = do(plan, Plotting(state, NEW, auc=0.8, finished=2.0, plots="axc"), root, state=state).run
    return one, two


def test_diff_names_the_plots_that_differ(root, state, store, runs):
    found = comparison.diff(state, store, root, *runs)
    (clean, train) = found.data["stages"]
    assert [(one["cell"], one["number"]) for one in train["plots"]] == [(1, 2), (1, 3)]
    assert [one["before"] is None for one in train["plots"]] == [False, True]
    assert clean["plots"] == train["plots"]
    assert "  plot of cell 1, plot 2: changed\n  plot of cell 1, plot 3: new\n" in found.text
    assert found.data["plots_unknown"] == []


def test_diff_says_which_plots_it_could_not_compare(root, state, store, runs):
    (root / ".nbpipeline/runs" / runs[0] / "train/attempt-1.ipynb").unlink()
    found = comparison.diff(state, store, root, *runs)
    assert found.data["plots_unknown"] == ["train"]
    assert "plots not compared, an executed notebook is gone or damaged: train" in found.text
    page = Page(diff_page.write_diff(state, store, root, *runs, "p", root / "diff.html"))
    assert "Plots were not compared" in page.said


def test_the_page_shows_both_plots(root, state, store, runs, monkeypatch):
    page = Page(diff_page.write_diff(state, store, root, *runs, EVIL, root / "diff.html"))
    for said in (
        "2 of 2 stages differ.",
        "parameter C: 1.0 -> 0.5",
        "auc 0.7 0.8 +0.1",
        "before after",
        EVIL,
    ):
        assert said in page.said, said
    assert "script" not in page.tags
    assert page.text.count("<img ") == 2 * 3
    uris = [base64.b64encode(picture(name)).decode() for name in "bxc"]
    assert all(one in page.text for one in uris)
    assert base64.b64encode(picture("a")).decode() not in page.text
    files = [one for one in page.hrefs if not one.startswith("#")]
    assert len(files) == 4
    assert all((root / one).is_file() for one in files)
    monkeypatch.setattr(diff_page, "LARGEST_PICTURE", 10)
    page = Page(diff_page.write_diff(state, store, root, *runs, "p", root / "diff.html"))
    assert "2 more differ; they are left out here" in page.said
    with pytest.raises(StorageError, match="cannot be written"):
        diff_page.write_diff(state, store, root, *runs, "p", root / "nowhere/diff.html")
