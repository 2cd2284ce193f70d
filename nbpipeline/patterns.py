"""Regular expressions that are compiled when they are first used.

A command that finds nothing to do imports thirty of them and uses three; compiling all takes 4 ms.
"""

import re
from typing import Any, cast

_METHODS = ("findall", "finditer", "fullmatch", "match", "search", "split", "sub", "subn")


def regex(text: str, flags: int = 0) -> re.Pattern[str]:
    """Stand for `re.compile(text, flags)`. Its methods raise `re.error` for a text that is no expression."""
    return cast("re.Pattern[str]", _Late(text, flags))


class _Late:
    """A pattern that is not compiled yet; afterwards its methods are the pattern's own."""

    def __init__(self, text: str, flags: int) -> None:
        self.pattern, self.flags = text, flags

    def __getattr__(self, name: str) -> Any:
        made = re.compile(self.pattern, self.flags)
        for method in _METHODS:
            setattr(self, method, getattr(made, method))
        return getattr(made, name)
