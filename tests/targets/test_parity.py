"""The quick cases of targets that can be run on one machine; `python tests/parity.py` runs all of them (tests/nightly.sh)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import parity
import pytest
import zoo
from builders import command

from nbpipeline import plugins


def _pairs() -> Iterator[Any]:
    for name in parity.targets():
        marks = [pytest.mark.heavy, pytest.mark.xdist_group(f"target-{name}"), pytest.mark.timeout(900)]
        for quick in getattr(parity.runner(name), "QUICK", ()):
            yield pytest.param(name, zoo.CASES[quick], marks=marks, id=f"{name}-{quick}")


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> parity.Local:
    return parity.Local(tmp_path_factory.mktemp("local"))


@pytest.mark.parametrize(("name", "case"), [*_pairs()])
def test_a_target_means_what_a_local_run_means(
    name: str, case: zoo.Case, local: parity.Local, tmp_path: Path
) -> None:
    assert parity.compared(name, case, tmp_path, local) == []


def test_what_a_target_cannot_run_is_a_case_of_the_zoo() -> None:
    for name in parity.targets():
        target = parity.runner(name)
        assert {*getattr(target, "CANNOT", {}), *getattr(target, "QUICK", ())} <= {*zoo.CASES}


def test_a_target_that_is_only_validated_says_nothing_of_runs() -> None:
    for name in parity.targets():
        target = parity.runner(name)
        if hasattr(target, "validate"):
            assert set(parity.NEVER_RUN) <= set(target.CANNOT), name
            keeps = plugins.load("exporters", name).KEEPS
            assert ("secrets" in target.CANNOT) == ("secrets" not in keeps), name


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
    assert [*zoo.differences(pipeline, one, two, only=("data/right.json", "nosuch"))][1:3] == [
        "outputs of nosuch: not made by the local run",
        found[-1],
    ]
    late = {**one.spans, "load": (one.spans["load"][0], one.spans["join"][1])}
    turned = zoo.Observed(one.outputs, one.parameters, one.failures, late, {"tries": "3"})
    said = [*zoo.differences(pipeline, one, turned)]
    assert [text for text in said if text.startswith("order: left")]
    assert "facts of tries: 3 instead of None" in said


@pytest.mark.parametrize(("third", "waited"), [(27.0, "[True, True]"), (26.9, "[True, False]")])
def test_a_wait_that_is_too_short_is_found(third: float, waited: str, tmp_path: Path) -> None:
    """The second try hangs for twenty seconds: those are no wait."""
    (tmp_path / "project-marks").write_text(f"1.0\n2.0\n{third}\n")
    (tmp_path / "project-last").write_text("20.9\n21.0\n")
    assert zoo.CASES["backoff"].facts(tmp_path / "project") == {"tries": "3", "waited": waited}


@pytest.mark.parametrize("kept", ["s3cr3t/of+the zoo", "s3cr3t%2Fof%2Bthe%20zoo", "czNjcjN0L29mK3RoZSB6b28="])
def test_a_secret_that_is_kept_is_found(kept: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"it is {kept}.")
    (tmp_path / "other").write_text("it is ***.")
    assert [*zoo.leaks(zoo.CASES["secrets"], tmp_path)] == ["a secret stands in log"]


def test_a_target_that_fails_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "parity.md"
    page.write_text("# Parity\n\n| case | holds |\n\n| target |\n")
    monkeypatch.setattr(parity, "PAGE", page)
    monkeypatch.setattr(parity, "targets", lambda: ("bad", "good", "offline"))
    stands = {"bad": SimpleNamespace(), "good": SimpleNamespace(CANNOT={"odd": "it cannot"}), "offline": None}
    monkeypatch.setattr(parity, "runner", stands.get)

    def compared(name: str, case: zoo.Case, *_: object) -> list[str]:
        if name == "bad" and case.name == "matrix":
            raise RuntimeError("no such program")
        return ["outputs of x: 1 instead of 2"] if name == "bad" and case.name == "failing" else []

    monkeypatch.setattr(parity, "compared", compared)
    assert parity.main(["-j", "2"]) == 1
    said = capsys.readouterr()
    assert "RuntimeError: no such program" in said.out
    assert "bad, failing: outputs of x: 1 instead of 2" in said.out
    assert "bad, odd: same (0 s)" in said.err
    assert "good, example: same (0 s)" in said.err
    assert [*parity.earlier(page.read_text())] == ["good", "offline"], (
        "the row of what differs stays as it was"
    )
    assert parity.main(["good", "offline"]) == 0
    first = page.read_text()
    assert "| (1) |" in first
    assert first.endswith("Not run:\n\n1. it cannot\n")
    assert f"| offline | {parity.OFFLINE} |" in first
    assert parity.main(["good"]) == 0
    assert page.read_text() == first


def test_the_page_has_all_targets_and_cases() -> None:
    rows = parity.earlier(parity.PAGE.read_text(encoding="utf-8"))
    assert {*rows} == {parity.title(name) for name in parity.targets()}, "run: python tests/parity.py TARGET"
    for name in parity.targets():
        row = rows[parity.title(name)]
        expected = "valid" if hasattr(parity.runner(name), "validate") else "same"
        if parity.runner(name) is None:
            assert row["version"] == parity.OFFLINE
            continue
        for case, why in parity.cases_of(name):
            # An empty place is a case that is new, or another version of the target: it has not been run yet,
            # which nightly tests do not stand.
            assert row[case.name] in ({f"not run: {why}"} if why else {expected, ""}), (name, case.name)


def empty(rows: Mapping[str, parity.Row]) -> list[str]:
    """Name the targets that have cases which they have not been run with."""
    return [
        name
        for name in parity.targets()
        if parity.runner(name) is not None
        and not all(rows[parity.title(name)].get(case, "") for case in zoo.CASES)
    ]


@pytest.mark.nightly
def test_the_page_has_no_empty_places() -> None:
    left = empty(parity.earlier(parity.PAGE.read_text(encoding="utf-8")))
    assert not left, f"run: python tests/parity.py {' '.join(left)}"


def test_an_empty_place_is_found() -> None:
    rows = {parity.title(name): dict.fromkeys(zoo.CASES, "same") for name in parity.targets()}
    assert empty(rows) == []
    rows["dvc"]["odd"] = ""
    del rows["snakemake"]["fresh"]
    assert empty(rows) == ["dvc", "snakemake"]
