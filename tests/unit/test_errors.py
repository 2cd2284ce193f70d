"""Errors cross to other processes whole."""

import pickle

import pytest

from nbpipeline.errors import BusyError, Complaint, ExitCode, NbpipelineError, PipelineError, UsageError
from nbpipeline.location import Location

ONE = Complaint(
    where=Location(path="a.ipynb", cell=1), what="this.", mend="that", exit_code=ExitCode.PIPELINE
)


@pytest.mark.parametrize(
    "error",
    [BusyError.of("held.", mend="wait"), PipelineError([ONE, ONE]), UsageError(ONE), NbpipelineError(())],
)
def test_an_error_comes_back_whole_from_another_process(error: NbpipelineError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(back) is type(error)
    assert (str(back), back.complaints) == (str(error), error.complaints)


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\n", r"\n"), ("\r", r"\r"), ("\x1b", r"\x1b"), ("\x9b", r"\x9b"), ("\u2028", r"\u2028"), ("ä", "ä")],
)
def test_a_complaint_s_parts_stand_on_a_line_each_whatever_a_path_holds(character: str, shown: str) -> None:
    path = f"da{character}ta.csv"
    one = Complaint(
        where=Location(path=path), what=f"{path} is odd.", known=f"known: {path}", mend=f"move {path}"
    )
    path = f"da{shown}ta.csv"
    assert str(one) == f"{path}: {path} is odd.\n  known: {path}\n  mend: move {path}"


@pytest.mark.parametrize("odd", ["\x1b[31m", "\n  mend: nothing", "\u202e", "\x9b", "\ud800", "\u2028"])
def test_nothing_in_a_complaint_steers_a_terminal(odd):
    told = str(Complaint(where=Location(path=f"n{odd}"), what=f"w{odd}.", known=f"k{odd}", mend=f"m{odd}."))
    assert len(told.split("\n")) == 3
    assert all(line.isprintable() for line in told.split("\n"))
    assert repr(odd)[1:-1] in told
