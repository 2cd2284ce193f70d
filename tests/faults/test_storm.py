"""SIGKILL at random moments, 540 times; `python tests/faults/storm.py --kills 500` does it longer."""

import os
from pathlib import Path

import pytest
from storm import Storm

SEED = int(os.environ.get("NBPIPELINE_TEST_SEED", "20131101"))


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [SEED, SEED + 1])
def test_twenty_kills_lose_nothing(tmp_path: Path, seed: int) -> None:
    counts = Storm(tmp_path, seed=seed, kernels="fork").rage(20)
    assert counts["kills"] == 20
    assert counts["of the runner"]


@pytest.mark.nightly
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kernels", ["fork", "plain"])
def test_hundreds_of_kills_lose_nothing(tmp_path: Path, kernels: str) -> None:
    assert Storm(tmp_path, seed=SEED + 7, kernels=kernels).rage(250)["kills"] == 250
