"""Each target that can be run on one machine runs the zoo, in an environment of its own, as a local run does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parity
import pytest
import zoo
from builders import command


def _pairs() -> Iterator[Any]:
    for name in parity.targets():
        group = pytest.mark.xdist_group(f"target-{name}")
        for case, why in parity.cases_of(name):
            mark = pytest.mark.heavy if case.name in parity.runner(name).QUICK else pytest.mark.nightly
            marks = [mark, group, pytest.mark.timeout(900), *([pytest.mark.skip(reason=why)] if why else [])]
            yield pytest.param(name, case, marks=marks, id=f"{name}-{case.name}")


@pytest.mark.parametrize(("name", "case"), [*_pairs()])
def test_a_target_means_what_a_local_run_means(name: str, case: zoo.Case, tmp_path: Path) -> None:
    assert parity.compared(name, case, tmp_path) == []


@pytest.mark.heavy
def test_a_run_that_means_something_else_is_found(tmp_path: Path) -> None:
    import nbpipeline

    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        zoo.diamond(tmp_path / name)
    assert command("run", cwd=tmp_path / "one").returncode == 0
    assert command("run", "-p", "factor=4", cwd=tmp_path / "two").returncode == 0
    pipeline = nbpipeline.Project(tmp_path / "one").pipeline
    one, two = zoo.observe(tmp_path / "one"), zoo.observe(tmp_path / "two")
    found = list(zoo.differences(pipeline, one, two))
    assert [text.partition(":")[0] for text in found] == [
        "outputs of data/all.json",
        "outputs of data/left.json",
        "outputs of data/number.json",
        "outputs of data/right.json",
        "parameters of load",
    ]
    late = {**one.spans, "load": (one.spans["load"][0], one.spans["join"][1])}
    turned = zoo.Observed(one.outputs, one.parameters, one.failures, late)
    assert [text for text in zoo.differences(pipeline, one, turned) if text.startswith("order: left")]
