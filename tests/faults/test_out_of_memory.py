"""The system ends a kernel that takes more memory than there is: it is named so, and the old output stands."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from one_stage import build, left_behind, run, word_in

pytestmark = pytest.mark.heavy

LIMIT = 700_000_000
CONTROL = Path("/sys/fs/cgroup")


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group whose processes have little memory together."""
    old = (CONTROL / "memory").is_dir()
    group = CONTROL / ("memory" if old else "") / f"nbpipeline-test-{uuid.uuid4().hex}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"this machine lets nobody limit memory: {error}")
    yield group
    group.rmdir()


@pytest.mark.parametrize("kernels", ["plain", "fork"])
def test_a_kernel_that_takes_too_much(root: Path, little_memory: Path, kernels: str) -> None:
    greedy = (
        f"if word == 'bbbb':\n    held = [bytearray(b'x' * 50_000_000) for _ in range({LIMIT // 40_000_000})]"
    )
    build(root, greedy)
    assert run(root, "aaaa").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "nbpipeline", "run", "-p", "word=bbbb", "--kernels", kernels],
        cwd=root,
        preexec_fn=lambda: (little_memory / "cgroup.procs").write_text(str(os.getpid())),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "notebooks/a.ipynb, cell 4: the kernel died: killed, out of memory?" in done.stdout
    assert word_in(root) == "aaaa"
    assert left_behind(root) == []
    assert run(root, "cccc").returncode == 0
    assert word_in(root) == "cccc"
