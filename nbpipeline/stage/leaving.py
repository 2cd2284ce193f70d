"""How a Python kernel gets rid of its children before it is asked to end.

ipykernel waits up to half a minute for children that ended but that nobody reaped, and for helpers of
multiprocessing that ignore its signals. So pools are closed the way their own exit handlers would do it,
what stays is ended from outside, and the dead are reaped.
"""

from collections.abc import Iterable

from nbpipeline.model import Imported

CLOSE_POOLS = """
def _nbpipeline_leave():
    import sys
    util = sys.modules.get('multiprocessing.util')
    if util is not None:
        util._run_finalizers(0)
try:
    _nbpipeline_leave()
finally:
    del _nbpipeline_leave
"""

REAP = """
def _nbpipeline_reap():
    import os, sys
    for name in ('multiprocessing', 'joblib.externals.loky.backend'):
        tracker = getattr(sys.modules.get(name + '.resource_tracker'), '_resource_tracker', None)
        if hasattr(tracker, '_stop'):
            tracker._stop()
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except (ChildProcessError, AttributeError):
        pass
try:
    _nbpipeline_reap()
finally:
    del _nbpipeline_reap
"""

FLUSH = """
def _nbpipeline_flush():
    import gc, io
    for one in gc.get_objects():
        if issubclass(type(one), (io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)):
            try:
                one.flush()
            except Exception:
                pass
try:
    _nbpipeline_flush()
finally:
    del _nbpipeline_flush
"""
"""Writes out what files that a cell left open still hold: a kernel that hangs while it ends would lose it."""

QUIET = """
def _nbpipeline_quiet():
    import sys
    from IPython import get_ipython
    kernel = get_ipython().kernel
    for name in ('_publish_status', '_publish_status_and_flush'):
        said = getattr(kernel, name)
        setattr(kernel, name, lambda status, channel, *rest, said=said: (
            None if channel == 'control' else said(status, channel, *rest)
        ))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        stream.flush = lambda: None
try:
    _nbpipeline_quiet()
except Exception:
    pass
finally:
    del _nbpipeline_quiet
"""
"""Keeps the kernel from writing to its output thread once it was asked to end.

ipykernel 7 answers the request in one thread, then flushes its streams and says that it is idle, while its
main thread already closes the thread that would do so: about one time in twenty it then waits ten seconds,
or for ever.
"""

WANDB = """
def _nbpipeline_finish():
    import sys
    wandb = sys.modules.get('wandb')
    if wandb is not None:
        wandb.teardown(exit_code=None if getattr(sys, 'last_type', None) is None else 1)
try:
    _nbpipeline_finish()
except Exception:
    pass
finally:
    del _nbpipeline_finish
"""
"""Ends W&B's runs that the notebook has left open: their data is still in a process that W&B has started."""

PATIENCE = 3.0
"""Seconds that the kernel has for each."""
LAST_WORDS = 60.0
"""Seconds for `last_words`: W&B may have to send what it holds."""


def last_words(imports: Iterable[Imported]) -> str:
    """Write what a kernel with these imports runs before its children are ended."""
    return WANDB if any(one.module.partition(".")[0] == "wandb" for one in imports) else ""
