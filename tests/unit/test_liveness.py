"""What still runs."""

import subprocess
import sys

from nbpipeline.liveness import is_alive, outlasting, process_started

WAITING = [sys.executable, "-c", "print(flush=True); import sys; sys.stdin.read()"]


def test_what_has_ended_and_was_not_reaped_is_not_waited_for():
    with subprocess.Popen(WAITING, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as one:
        assert one.stdin is not None
        assert one.stdout is not None
        one.stdout.readline()
        begun = process_started(one.pid)
        assert begun is not None
        assert outlasting([(one.pid, begun)], 0.05) == [(one.pid, begun)]
        assert outlasting([(one.pid, begun - 1)], 60) == []  # a later process has the number
        one.stdin.close()
        one.stdout.read()
        assert outlasting([(one.pid, begun)], 60) == []
        assert not is_alive(one.pid, begun)
