"""Sees which files of the project a Python kernel opens, by an audit hook that leaves no name behind."""

import ast
import json
from collections.abc import Mapping
from typing import Any

_HOOK = """
def _nbpipeline_watch(root):
    import os, sys
    seen = sys.modules.setdefault('_nbpipeline_opened', type(sys)('_nbpipeline_opened')).__dict__
    seen['files'] = files = {{}}
    loaders = ('linecache.py', 'tokenize.py', 'py3compat.py', 'interactiveshell.py', 'runpy.py')
    order = ('load', 'read', 'write')
    def note(path, how='read', folder=None):
        if isinstance(path, (str, bytes, os.PathLike)):
            name = os.fsdecode(path)
            full = os.path.abspath(os.path.join(os.fsdecode(folder), name) if folder else name)
            if full.startswith(root):
                files[full] = max(files.get(full, 'load'), how, key=order.index)
    def opened(path, mode, flags):
        if (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return note(path, 'write')
        frame = sys._getframe(2)
        while frame.f_back and (
            'pathlib' in frame.f_code.co_filename or frame.f_code.co_name == '_modified_open'
        ):  # IPython puts the latter before a cell's own open
            frame = frame.f_back
        caller = frame.f_code.co_filename
        loads = caller.startswith('<frozen ') or caller.endswith(loaders)
        note(path, 'load' if loads else 'read')
    def imported(module, file, *rest):
        if file:
            note(file, 'load')
    def connected(database):
        if isinstance(database, (str, bytes)):
            name = os.fsdecode(database)
            note(name[5:].partition('?')[0] if name.startswith('file:') else name)
    def renamed(old, new, *rest):
        note(new, 'write')
    def started(program, words, folder, environment):
        for word in () if isinstance(words, (str, bytes)) else words:
            if os.fsdecode(word).endswith({endings!r}):
                return note(word, 'load', folder)
    handlers = {{'open': opened, 'import': imported, 'sqlite3.connect': connected, 'os.rename': renamed,
        'subprocess.Popen': started}}
    def hook(event, arguments):
        handler = handlers.get(event)
        if handler is not None:
            try:
                handler(*arguments)
            except Exception:
                pass
    sys.addaudithook(hook)
_nbpipeline_watch({root!r})
del _nbpipeline_watch
"""

_PROGRAMS = (".py", ".ipy", ".ipynb", ".sh", ".R", ".jl")
"""What the first such word of a command is called by: a file of code."""

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

QUESTION = "__import__('json').dumps(__import__('sys').modules['_nbpipeline_opened'].files)"
"""Asks for {absolute path: `load`, `read` or `write`} as JSON; what shows or runs code only loads it."""


def start(root: str) -> str:
    """Give the code that begins to watch the files under a folder."""
    return _HOOK.format(root=root.rstrip("/") + "/", endings=_PROGRAMS)


def read(reply: Mapping[str, Any]) -> dict[str, str]:
    """Read the kernel's answer; nothing where it could not give one."""
    try:
        found = json.loads(ast.literal_eval(reply["data"]["text/plain"]))
    except (KeyError, ValueError, SyntaxError, TypeError):
        return {}
    return {str(path): str(how) for path, how in found.items()}
