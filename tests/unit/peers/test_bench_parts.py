"""Each part that measures nbpipeline alone, at its smallest: real commands, and ones that fail or do the wrong thing."""

import sys
from pathlib import Path

import pytest

from benchmarks import audit, large, long, scale, watched
from benchmarks.environments import Environment
from benchmarks.results_file import Results

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures by Linux's /proc")


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """The environment of the tests, as if the benchmark had made it."""
    place = tmp_path / "environment"
    (place / "home").mkdir(parents=True)
    (place / "venv").symlink_to(Path(sys.prefix))
    return Environment(name="", folder=place)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results.json")


def program(tmp_path: Path, **texts: str) -> Environment:
    """An environment whose commands are shell scripts."""
    place = tmp_path / "made"
    (place / "home").mkdir(parents=True)
    (place / "venv" / "bin").mkdir(parents=True)
    for name, text in texts.items():
        path = place / "venv" / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    return Environment(name="", folder=place)


def taken(results: Results) -> list[tuple[str, str, int, str]]:
    return [(one.runner, one.phase, one.number, one.status) for one in results.samples]


def test_the_quick_commands(
    tmp_path: Path, environment: Environment, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SETTLING", 0.0)
    scale.time_scale(results, tmp_path, environment, [3], 1)
    commands = ("first plan", "plan", "run", "--help")
    assert taken(results) == [(command, "3 stages", 1, "right") for command in commands]
    assert all(one.wall > 0 and one.cpu > 0 and one.alone > 2**20 for one in results.samples)
    before = list(results.samples)
    scale.time_scale(results, tmp_path, environment, [3], 1)
    assert results.samples == before


def test_quick_commands_that_fail_or_run_something(
    tmp_path: Path, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale, "SETTLING", 0.0)
    failing = program(tmp_path / "a", nbpipeline='echo "no $1 here"; exit 4')
    scale.time_scale(results, tmp_path, failing, [3], 1)
    assert {one.status for one in results.samples} == {"failed"}
    assert results.samples[0].complaint == "exit code 4\nno plan here\n"
    results.samples.clear()
    busy = program(tmp_path / "b", nbpipeline="""echo '{"stages": [{"stage": "s00001", "fresh": false}]}'""")
    scale.time_scale(results, tmp_path, busy, [3], 1)
    assert {one.runner: one.complaint for one in results.samples if one.status == "wrong"} == {
        "plan": "not what they have to be: s00001",
        "run": "not what they have to be: s00001, some stage ran",
    }


def test_a_run_of_many_stages(tmp_path: Path, environment: Environment, results: Results) -> None:
    long.time_runs(results, tmp_path, environment, sizes=[3], repeat=1, jobs=2)
    assert taken(results) == [("run", "3 stages", 1, "right")]
    sample = results.samples[0]
    assert 0 < sample.alone < sample.rss
    assert sample.written > 0
    before = list(results.samples)
    long.time_runs(results, tmp_path, environment, sizes=[3], repeat=1, jobs=2)
    assert results.samples == before


def test_a_run_that_leaves_something_out_is_wrong(tmp_path: Path, results: Results) -> None:
    lazy = program(tmp_path, nbpipeline="printf 0 >data/s00000.txt; printf 7 >data/s00001.txt")
    long.time_runs(results, tmp_path, lazy, sizes=[3], repeat=1, jobs=2)
    assert results.samples[0].complaint == "not what they have to be: s00001, s00002"


@pytest.mark.nightly
def test_a_large_notebook_by_both(tmp_path: Path, environment: Environment, results: Results) -> None:
    sizes = [large.Size(cells=cells, output=2000) for cells in (2, 3)]
    made = {large.OURS: environment, large.PEER: environment}
    large.time_notebooks(results, tmp_path, made, sizes=sizes, most=2, repeat=1)
    assert taken(results) == [
        ("nbpipeline", "2 cells", 1, "right"),
        ("papermill", "2 cells", 1, "right"),
        ("nbpipeline", "3 cells", 1, "right"),
    ]
    assert all(one.written > 2 * 2000 for one in results.samples)
    before = list(results.samples)
    large.time_notebooks(results, tmp_path, made, sizes=sizes, most=2, repeat=1)
    assert results.samples == before


def test_a_large_notebook_without_all_outputs_is_wrong(tmp_path: Path, results: Results) -> None:
    lazy = program(tmp_path, papermill=f"cp {large.NOTEBOOK} executed.ipynb", nbpipeline="true")
    sizes = [large.Size(cells=2, output=2000)]
    made = {large.OURS: lazy, large.PEER: lazy}
    large.time_notebooks(results, tmp_path, made, sizes=sizes, most=2, repeat=1)
    assert [one.complaint for one in results.samples] == [
        "not what they have to be: 0 executed notebooks",
        "not what they have to be: the outputs of 2 cells, data/done.txt",
    ]


def test_watched_files(
    tmp_path: Path, environment: Environment, results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "WORKS", (audit.parses,))
    monkeypatch.setattr(watched, "TURNS", 1)
    watched.time_watching(results, tmp_path, environment, files=20, repeat=2)
    assert taken(results) == [("parses", way, number, "right") for number in (1, 2) for way in audit.WAYS]
    assert all(one.cpu > 0 for one in results.samples)
    before = list(results.samples)
    watched.time_watching(results, tmp_path, environment, files=20, repeat=2)
    assert results.samples == before


def test_watched_files_where_it_cannot_be_measured(tmp_path: Path, results: Results) -> None:
    broken = program(tmp_path, python="echo no module >&2; exit 1")
    watched.time_watching(results, tmp_path, broken, files=20, repeat=1)
    assert taken(results) == [(one.__name__, "bare", 1, "failed") for one in audit.WORKS]
    assert results.samples[0].complaint == "exit code 1\nno module\n"


def test_files_are_in_memory_only_where_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MEMORY", str(tmp_path))
    assert audit.quiet_place(1) == str(tmp_path)
    assert audit.quiet_place(2**50) is None
    monkeypatch.setattr(audit, "MEMORY", str(tmp_path / "nowhere"))
    assert audit.quiet_place(1) is None
