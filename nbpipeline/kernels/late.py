"""Variables that a kernel gets after its start: one that waited does not know yet which stage it is for."""

import re
from collections.abc import Mapping

from nbpipeline.kernels.marks import MARK, process_name

_LATE = re.compile(r"NBPIPELINE_|JPY_SESSION_NAME$|MLFLOW_|WANDB_|OTEL_")
"""Variables that nothing reads before the first cell."""

_CODE = """
def _nbpipeline_late(changes, name, session):
    import os, sys
    for key, value in changes.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
    if session:
        get_ipython().user_ns['__session__'] = session
    if sys.platform.startswith('linux'):
        import ctypes
        ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)
_nbpipeline_late({changes!r}, {name!r}, {session!r})
del _nbpipeline_late
"""


def stable(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Leave out the variables that a kernel may get late; sorted."""
    return tuple(sorted(one for one in environment.items() if not _LATE.match(one[0])))


def late_code(environment: Mapping[str, str], before: Mapping[str, str], own: Mapping[str, str]) -> str:
    """Give the code that turns the variables `before`, which a kernel was started with, into those asked for.

    Those of its kernelspec's `own` stay.
    """
    changes = {
        name: environment.get(name)
        for name in sorted({*before, *environment} - own.keys())
        if before.get(name) != environment.get(name)
    }
    session = environment.get("JPY_SESSION_NAME", "")
    return _CODE.format(changes=changes, name=process_name(environment.get(MARK, "")), session=session)
