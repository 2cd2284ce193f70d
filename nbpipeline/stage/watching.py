"""Has a Python kernel watch which files of the project it opens, and reads what it saw."""

import ast
import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import field
from functools import cache
from typing import Any

from nbpipeline.stage import audit_hook, audit_native
from nbpipeline.values import dataclass

_START = "exec({start!r}, {{}})"
_BEGIN = """
native, hook = {{"__name__": "nbpipeline"}}, {{"__name__": "nbpipeline"}}
exec(compile({native!r}, "audit_native.py", "exec"), native)
exec(compile({hook!r}, "audit_hook.py", "exec"), hook)
hook["Watch"]({root!r}, {spool!r}, native["Native"]({root!r})).start()
"""

ROOM = """
def _nbpipeline_room(room):
    import zmq
    thread = get_ipython().kernel.iopub_thread
    thread.schedule(lambda: thread.socket.setsockopt(zmq.SNDHWM, room))
try:
    _nbpipeline_room(100_000)
except Exception:
    pass
del _nbpipeline_room
"""
"""Lets a burst of output wait in the kernel: ZeroMQ drops what is past its mark, a thousand by itself."""

QUESTION = (
    f"(lambda answer: (__import__('sys').audit({audit_hook.QUESTION!r}, answer),"
    " __import__('json').dumps(answer))[1])({})"
)
"""Asks the hook, which has no name to be asked by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a kernel saw of files under the project's root; absolute paths."""

    watched: bool = False
    """Whether anything could be seen at all."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path -> `load` (as code, by Python itself), `open` (somehow), `read` or `write`."""
    listed: tuple[str, ...] = ()
    """Folders whose listing was taken."""
    unseen: tuple[str, ...] = ()
    """Libraries and programs that may have opened files unseen."""


@cache
def _texts() -> tuple[str, str]:
    return inspect.getsource(audit_native), inspect.getsource(audit_hook)


def start(root: str, spool: str = "") -> str:
    """Give the code that begins to watch the files under a folder; forked children write to `spool`."""
    native, hook = _texts()
    return _START.format(start=_BEGIN.format(native=native, hook=hook, root=root, spool=spool))


def read(reply: Mapping[str, Any]) -> Sight:
    """Read the kernel's answer; nothing is known where it could not give one."""
    try:
        found = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
        blind = () if found["native"] in {"", "on"} else _texts_of(found["libraries"])
        return Sight(
            watched=True,
            files={str(path): str(how) for path, how in found["files"].items()},
            listed=_texts_of(found["listed"]),
            unseen=(*blind, *_texts_of(found["programs"])),
        )
    except (KeyError, ValueError, SyntaxError, TypeError, AttributeError):
        return Sight()


def _texts_of(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple(map(str, values))
