"""The executed notebook on disk: nbformat's own bytes, at a cost that follows what changed."""

import json
import os
import random
from pathlib import Path

import pytest
from nbformat import v4

from nbpipeline.masking.secrets import Masker
from nbpipeline.stage import notebook_file, recorder
from nbpipeline.stage.notebook_file import (
    NotebookFile,
    changed_beside,
    masked_cell,
    part_of,
    settle,
    v4_node,
)

SECRET = "hunter2hunter2"


def stream(text, name="stdout"):
    return v4_node({"output_type": "stream", "name": name, "text": text})


def notebook(cells):
    made = [
        {
            "id": f"c{n}",
            "cell_type": "code",
            "metadata": {"n": n},
            "source": f"print({n})\n# ü",
            "outputs": [],
            "execution_count": None,
        }
        for n in range(cells)
    ]
    return v4_node(
        {"cells": made, "metadata": {"kernelspec": {"name": "x"}}, "nbformat": 4, "nbformat_minor": 5}
    )


def as_nbformat_writes(book, masker=None):
    masker = masker or Masker(())
    whole = {**book, "cells": [masked_cell(cell, masker) for cell in book["cells"]]}
    return v4.writes(v4_node(whole)) + "\n"


def run_cell(file, book, index, text):
    cell = book["cells"][index]
    cell["outputs"] = [stream(text)]
    cell["execution_count"] = index + 1
    file.touch(cell)
    return cell


@pytest.fixture
def large(monkeypatch):
    """Every file counts as a large one."""
    monkeypatch.setattr(notebook_file, "WHOLE_BELOW", 0)


@pytest.mark.parametrize("cells", [0, 1, 3])
def test_the_bytes_are_those_of_nbformat(tmp_path, cells):
    book = notebook(cells)
    file = NotebookFile(tmp_path / "a.ipynb", Masker(()))
    file.save(book)
    assert (tmp_path / "a.ipynb").read_text() == as_nbformat_writes(book)
    for index in range(cells):
        run_cell(file, book, index, f"line {index}\nsecond — line\n")
        file.save(book)
        assert (tmp_path / "a.ipynb").read_text() == as_nbformat_writes(book)
    book["metadata"]["widgets"] = {"state": {"a": [1]}}
    file.finish(book)
    assert (tmp_path / "a.ipynb").read_text() == as_nbformat_writes(book)
    assert [one.name for one in tmp_path.iterdir()] == ["a.ipynb"]


@pytest.mark.usefixtures("large")
def test_random_histories_end_in_nbformats_bytes(tmp_path):
    chance = random.Random(7)
    for number in range(20):
        book = notebook(chance.randrange(1, 12))
        path = tmp_path / f"{number}.ipynb"
        file = NotebookFile(path, Masker([SECRET]))
        for _ in range(30):
            index = chance.randrange(len(book["cells"]))
            run_cell(file, book, index, chance.choice(["", "x" * chance.randrange(5000), f"a {SECRET} b"]))
            if chance.random() < 0.6:
                file.save(book)
        book["cells"].insert(
            0, v4_node({"cell_type": "markdown", "id": "e", "metadata": {}, "source": "error"})
        )
        file.finish(book)
        assert path.read_text() == as_nbformat_writes(book, Masker([SECRET]))
        assert SECRET not in path.read_text()
        assert not part_of(path).exists()


@pytest.mark.parametrize("cells", [50, 200])
def test_the_cost_is_linear_in_cells_and_bytes(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(notebook_file, "WHOLE_BELOW", 10_000)
    book = notebook(cells)
    file = NotebookFile(tmp_path / "a.ipynb", Masker(()))
    file.save(book)
    for index in range(cells):
        run_cell(file, book, index, "y" * 2000)
        file.save(book)
    file.finish(book)
    final = (tmp_path / "a.ipynb").stat().st_size
    assert file.encoded == 2 * cells  # each before and after it ran, however many saves there were
    assert file.written < 8 * final


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("torn", [False, True])
def test_what_a_death_leaves_is_put_together(tmp_path, torn):
    book = notebook(40)
    path = tmp_path / "attempt-1.ipynb"
    file = NotebookFile(path, Masker([SECRET]))
    file.save(book)
    run_cell(file, book, 0, f"first {SECRET}\n")
    run_cell(file, book, 1, "second\n")
    file.save(book)
    assert part_of(path).exists()
    assert SECRET not in part_of(path).read_text()
    if torn:
        with part_of(path).open("a") as lines:
            lines.write('[2, "{\\n')
    settle(tmp_path)
    assert path.read_text() == as_nbformat_writes(book, Masker([SECRET]))
    assert [one.name for one in tmp_path.iterdir()] == ["attempt-1.ipynb"]


@pytest.mark.usefixtures("large")
def test_cells_beside_an_older_file_are_not_taken(tmp_path):
    book = notebook(40)
    path = tmp_path / "a.ipynb"
    file = NotebookFile(path, Masker(()))
    file.save(book)
    run_cell(file, book, 0, "older\n")
    file.save(book)
    left = part_of(path).read_bytes()
    run_cell(file, book, 0, "newer\n")
    file.finish(book)
    part_of(path).write_bytes(left)  # the machine died between the two steps
    settle(tmp_path)
    assert path.read_text() == as_nbformat_writes(book)
    assert not part_of(path).exists()


@pytest.mark.parametrize("left", ["", "no JSON\n", '[1, [[0, 1]]]\n[7, "x"]\n', "[]\n"])
def test_what_cannot_be_put_together_is_left(tmp_path, left):
    (tmp_path / "a.ipynb").write_text("{}")
    left = left.replace("[1,", f"[{(tmp_path / 'a.ipynb').stat().st_ino},")
    (tmp_path / "a.ipynb.part").write_text(left)
    settle(tmp_path)
    assert (tmp_path / "a.ipynb").read_text() == "{}"


def test_a_display_that_is_updated_changes_an_earlier_cell():
    cells = notebook(3)["cells"]
    message = {"msg_type": "update_display_data", "content": {"transient": {"display_id": "d"}}}
    assert changed_beside(message, cells, {"d": {1: [0]}}) == [cells[1]]
    assert changed_beside(message, cells, {}) == []
    assert changed_beside({"msg_type": "stream", "content": {}}, cells, {"d": {1: [0]}}) == []


def cut_short(path):
    path.write_bytes(path.read_bytes()[:10])


def saved_elsewhere(path):
    text = json.dumps(json.loads(path.read_text()))
    path.unlink()
    path.write_text(text)


def of_the_same_length(path):
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("end", ["save", "finish"])
@pytest.mark.parametrize("foreign", [Path.unlink, cut_short, saved_elsewhere, of_the_same_length])
@pytest.mark.parametrize("beside", [False, True])
def test_what_others_do_to_the_file_is_written_over(tmp_path, foreign, end, beside):
    book = notebook(40)
    path = tmp_path / "a.ipynb"
    file = NotebookFile(path, Masker(()))
    for index in range(40):
        run_cell(file, book, index, "earlier\n")
    file.save(book)
    if beside:
        run_cell(file, book, 1, "beside\n")
        file.save(book)
        assert part_of(path).exists()
    foreign(path)
    run_cell(file, book, 0, "text\n")
    getattr(file, end)(book)
    assert path.read_text() == as_nbformat_writes(book)
    assert [one.name for one in tmp_path.iterdir()] == ["a.ipynb"]


def test_a_cell_without_a_source_is_not_left_out(tmp_path):
    with pytest.raises(OSError, match="the executed notebook was taken away by somebody else"):
        notebook_file._replaced(tmp_path / "a.ipynb", [(14, 20)], b"\n}")
    assert list(tmp_path.iterdir()) == []


def test_a_lone_surrogate_is_written_as_json_says_it(tmp_path):
    book = notebook(1)
    file = NotebookFile(tmp_path / "a.ipynb", Masker(()))
    run_cell(file, book, 0, "a \ud800 b")
    file.finish(book)
    read = json.loads((tmp_path / "a.ipynb").read_text(encoding="utf-8"))
    assert "".join(read["cells"][0]["outputs"][0]["text"]) == "a \ud800 b"


@pytest.mark.parametrize(("took", "pause"), [(0.0, 2.0), (1.0, 5.0), (60.0, 10.0)])
def test_a_slow_disk_makes_saves_rarer_but_not_rare(tmp_path, monkeypatch, took, pause):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

    clock, saved = Clock(), []

    def save(_self, _notebook):
        saved.append(clock.now)
        clock.now += took

    monkeypatch.setattr(recorder, "time", clock)
    monkeypatch.setattr(NotebookFile, "save", save)
    book = notebook(1)
    kept = recorder.Recorder(tmp_path / "a.ipynb", tmp_path / "log", Masker(()))
    for later in (0.0, pause - 0.5, 0.6):
        clock.now += later
        kept.touched(book["cells"][0])
        kept.save(book)
    kept.close()
    assert saved == pytest.approx([100.0, 100.0 + took + pause + 0.1])
