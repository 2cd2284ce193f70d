"""Pictures in executed notebooks, told apart by what they show."""

import base64
import json

import pytest
from builders import code, markdown, notebook_json

from nbpipeline.report import plots
from nbpipeline.report.plots import plots_of

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"one").decode()
OTHER = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"two").decode()
DRAWING = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def shows(*data, **metadata):
    cell = code("plot()", **metadata)
    return {**cell, "outputs": [{"output_type": "display_data", "data": one, "metadata": {}} for one in data]}


def written(folder, *cells):
    path = folder / "attempt-1.ipynb"
    path.write_text(json.dumps(notebook_json(cells)))
    return path


def test_pictures_have_their_place_and_the_heading_above(tmp_path):
    path = written(
        tmp_path,
        markdown("# First\ntext\n## Loss"),
        shows(
            {"image/png": PNG},
            {"text/plain": "no picture"},
            {"image/png": [OTHER[:8], OTHER[8:]]},
            nbpipeline={"cell": 7},
        ),
        shows({"image/svg+xml": [DRAWING], "image/png": PNG}),
    )
    found = plots_of(path)
    assert found.trouble == ""
    assert [(one.cell, one.number, one.kind, one.heading) for one in found.found] == [
        (7, 1, "image/png", "Loss"),
        (7, 2, "image/png", "Loss"),
        (3, 1, "image/svg+xml", "Loss"),
    ]
    assert len({one.digest for one in found.found}) == 3
    assert found.found[0].uri == f"data:image/png;base64,{PNG}"
    assert found.found[2].data.decode() == DRAWING


@pytest.mark.parametrize(
    "data", ["not base64!", base64.b64encode(b"<svg onload=x>").decode(), "", 5, None, {"a": 1}, '"><script>']
)
def test_what_is_no_picture_is_none(tmp_path, data):
    assert plots_of(written(tmp_path, shows({"image/png": data}))).found == ()


def test_what_cannot_be_read_is_told(tmp_path, monkeypatch):
    gone = plots_of(tmp_path / "attempt-1.ipynb")
    assert gone.trouble == "the executed notebook is gone"
    path = written(tmp_path, shows({"image/png": PNG}))
    monkeypatch.setattr(plots, "LARGEST_NOTEBOOK", 10)
    assert plots_of(path).trouble == "no plots were looked for: the notebook has 0 MB"
    for text in ('{"cells": [{', "[]", '{"cells": 3}', '{"cells": [3]}', "[" * 100_000):
        monkeypatch.undo()
        path.write_text(text)
        assert plots_of(path).trouble == "the executed notebook is damaged"


def test_the_same_drawing_made_again_is_the_same_and_another_is_not(tmp_path):
    """Matplotlib names an SVG's parts at random and writes the date."""
    import matplotlib as mpl

    mpl.use("agg")
    from io import StringIO

    import matplotlib.pyplot as plt

    def drawn(values):
        figure, axes = plt.subplots()
        axes.plot(values)
        text = StringIO()
        figure.savefig(text, format="svg")
        plt.close(figure)
        return text.getvalue()

    first, again, other = drawn([1, 2, 3]), drawn([1, 2, 3]), drawn([1, 3, 2])
    assert first != again
    found = plots_of(
        written(tmp_path, *(shows({"image/svg+xml": one}) for one in (first, again, other)))
    ).found
    assert found[0].digest == found[1].digest != found[2].digest
