"""Lines that another process writes."""

import os

import pytest

from nbpipeline.lines import Lines


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        yield Lines(source), writing


def test_lines_come_one_by_one_though_several_are_written_at_once(pipe):
    lines, writing = pipe
    os.write(writing, b'{"stage": "a"}\n{"stage": "b"}\n')
    assert [lines.next(30), lines.next(30)] == [b'{"stage": "a"}', b'{"stage": "b"}']
    assert (lines.next(0.01), lines.ended) == (None, False)
    os.write(writing, b"half")
    assert lines.next(0.01) is None
    os.write(writing, b" and whole\nhalf")
    assert lines.next(30) == b"half and whole"
    os.close(writing)
    assert (lines.next(30), lines.ended) == (None, True)
    assert lines.next(30) is None
