"""Mutation tests in parts: what is still to try."""

import json
import os
from pathlib import Path

import pytest
from mutants import drawn, to_try

NAMES = ["made.plan.x_decide__mutmut_1", "made.plan.x_decide__mutmut_2", "made.graph.x_order__mutmut_1"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two modules, the mutants of both made, one of them tried."""
    for folder in ("made", "mutants/made"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.mutmut]\nonly_mutate = ["made/graph.py", "made/pl*"]\n')
    for name in ("plan", "graph"):
        (tmp_path / f"made/{name}.py").write_text("x = 1\n")
        mutated = tmp_path / f"mutants/made/{name}.py"
        mutated.write_text("x = 2\n")
        made = (tmp_path / f"made/{name}.py").stat().st_mtime_ns
        os.utime(mutated, ns=(made, made + 10**9))
        codes = {one: 1 if one == NAMES[0] else None for one in NAMES if f".{name}." in one}
        mutated.with_name(f"{name}.py.meta").write_text(json.dumps({"exit_code_by_key": codes}))
    return tmp_path


def test_what_matches_and_was_not_tried_is_named(project: Path) -> None:
    assert to_try(project, "made.plan.*") == [NAMES[1]]
    assert to_try(project, "*") == [NAMES[2], NAMES[1]]
    assert to_try(project, NAMES[0]) == []


def test_where_a_source_changed_or_is_new_mutmut_looks_again(project: Path) -> None:
    (project / "mutants/made/graph.py").unlink()
    assert to_try(project, "made.plan.*") == ["made.plan.*"]


def test_a_source_as_old_as_its_mutants_was_only_copied(project: Path) -> None:
    source, mutated = project / "made/plan.py", project / "mutants/made/plan.py"
    os.utime(mutated, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
    assert to_try(project, "made.plan.*") == ["made.plan.*"]


def test_without_mutants_all_are_to_be_made(project: Path) -> None:
    for one in project.glob("mutants/made/*"):
        one.unlink()
    assert to_try(project, "made.*") == ["made.*"]


def test_a_sample_is_another_one_with_another_seed_and_the_same_with_the_same() -> None:
    names = [f"made.x__mutmut_{number}" for number in range(1000)]
    first, again, other = (drawn(names, 100, seed) for seed in ("one", "one", "two"))
    assert first == again != other
    assert len(set(first)) == 100
    assert first == sorted(first, key=names.index)
    assert drawn(names[:5], 100, "one") == drawn(names[:5], None, "") == names[:5]
