"""What modules are told that ask, while the fork server imports them, whether there is a notebook.

As the server, it uses the standard library and IPython alone, and no syntax newer than Python 3.9's.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import IPython
from IPython.core import getipython


def watch(note: Callable[[], None]) -> Callable[[], None]:
    """Answer as a kernel would, and note who wants more of it; gives what ends this.

    `get_ipython` of builtins gives a shell that is a kernel's by its name and by having a `kernel`: that is
    all that pandas asks for. Nobody can be given the shell itself: there is none yet.
    """

    class ZMQInteractiveShell:
        kernel = None

        def __getattr__(self, name: str) -> Any:
            note()
            raise AttributeError(name)

    def get_ipython() -> Any:
        note()
        return asked()

    def restore() -> None:
        IPython.get_ipython = getipython.get_ipython = asked
        del builtins.get_ipython  # type: ignore[attr-defined]

    asked = getipython.get_ipython
    IPython.get_ipython = getipython.get_ipython = get_ipython
    builtins.get_ipython = ZMQInteractiveShell  # type: ignore[attr-defined]
    return restore
