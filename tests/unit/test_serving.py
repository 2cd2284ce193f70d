"""What tests start ends with them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from serving import ended, heard

CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', {!r}])"
WRITES = "import os, time; open({!r}, 'w').write(str(os.getpid())); time.sleep(600)"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def begun(pipe: Path) -> NoReturn:
    """Start a process with a child, and fail once the child is at work; the error has its number."""
    words = [sys.executable, "-c", CHILD.format(WRITES.format(str(pipe)))]
    with ended(subprocess.Popen(words)) as process:
        raise LookupError(process, psutil.Process(int(heard(pipe, process))))


def test_a_failed_test_leaves_no_process(pipe: Path) -> None:
    with pytest.raises(LookupError) as caught:
        begun(pipe)
    process, child = caught.value.args
    assert process.poll() is not None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_what_ends_without_a_word_is_not_waited_for(pipe: Path) -> None:
    words = [sys.executable, "-c", ""]
    with ended(subprocess.Popen(words)) as process, pytest.raises(AssertionError, match="it has ended"):
        heard(pipe, process)


def test_what_says_nothing_is_waited_for_as_long_as_it_may(pipe: Path) -> None:
    words = [sys.executable, "-c", "input()"]
    silent = subprocess.Popen(words, stdin=subprocess.PIPE)
    with ended(silent) as process, pytest.raises(AssertionError, match="in time"):
        heard(pipe, process, seconds=0)
