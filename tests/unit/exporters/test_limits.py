"""When a target ends a task that should have ended by itself: never before what the stage may take."""

import math
from pathlib import Path
from typing import Any

import pytest
from builders import code, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline import Project, plugins
from nbpipeline.exporters.rendering import limits
from nbpipeline.model.exported import Task


def task(**how: Any) -> Task:
    return Task(id="a", stage="a", **how)


@given(st.floats(0.1, 1e6), st.integers(0, 30), st.floats(0, 1e5), st.sampled_from([1.0, 1.5, 2.0, 10.0]))
def test_it_is_what_all_tries_take_the_checks_before_them_and_an_hour(
    timeout: float, retries: int, delay: float, backoff: float
) -> None:
    one = task(timeout=timeout, retries=retries, retry_delay=delay, retry_backoff=backoff)
    waits = sum(delay * backoff**number for number in range(retries))
    told = limits.behind(one, tries=retries + 1, most=math.inf)
    assert told == pytest.approx(timeout * (retries + 2) + waits + 3600)


@pytest.mark.parametrize(
    ("retries", "delay", "backoff"),
    [(400, 1.0, 10.0), (10**9, 1.0, 1.0000001), (10**9, 5.0, 1.0), (3, 1e300, 1e300), (50, 0.0, 1e300)],
)
def test_it_is_never_more_than_the_target_takes(retries: int, delay: float, backoff: float) -> None:
    one = task(timeout=60.0, retries=retries, retry_delay=delay, retry_backoff=backoff)
    told = limits.whole(one, tries=retries + 1, most=limits.PODS)
    assert told == (7320 - 60 + 51 * 60 - 3600 if not delay else 2**31 - 1)


def test_a_stage_without_a_timeout_is_never_ended() -> None:
    assert limits.behind(task(retries=3), tries=4, most=1.0) is None
    assert limits.longest(task(), 1) is None


@pytest.mark.parametrize("target", sorted(plugins.BUILT_IN["exporters"]))
@pytest.mark.parametrize("head", ["retries: 400\nretry_delay: 1s", "retries: 20\nretry_delay: 1h"])
def test_waits_beyond_all_numbers_are_rendered(target: str, head: str, root: Path) -> None:
    """Their sum is past what a float, or the integers of a target, can hold."""
    write_files(root, {"pipeline.yaml": "name: x\nstore: {path: 's3://bucket/x'}\n"})
    cells = header(f"outputs: {{o: ../o.txt}}\ntimeout: 5m\nretry_backoff: 10\n{head}"), code("1")
    write_notebook(root / "notebooks/a.ipynb", *cells)
    files = Project(root).exporting.rendered(target, allow_loss=True).files
    text = "\n".join(files.values())
    assert "000000000120" not in text
    assert "e+2" not in text.replace("\n", " ")
    assert "=inf" not in text
