"""Files that a cell runs as programs: `%run x.py`, `!python x.py`, `%%bash`, `subprocess.run([...])`."""

import ast
import shlex
from collections.abc import Iterator

from nbpipeline.patterns import regex
from nbpipeline.reading.syntax import Magic, magics

_SHELLS = frozenset({"bash", "sh", "script", "sx", "system", "!"})
_CALLS = frozenset(
    {"system", "getoutput", "getstatusoutput", "run", "call", "check_call", "check_output", "Popen"}
)
_SCRIPT = r"(?:py|ipy|sh|bash|R|r|jl|pl|js|rb)"
_COMMAND = regex(
    rf"(?:^|[;&|(\n])\s*(?:[\w./{{}}-]*(?:python[\d.]*|executable}}?|bash|sh|zsh|source|Rscript|julia|perl|node|ruby|\.)"
    rf"\s+(?:-\w+\s+)*)?[\"']?([\w./~@+-]+\.{_SCRIPT})\b(?![\w./])"
)
_ENDING = regex(rf".+\.{_SCRIPT}")


def programs(tree: ast.AST) -> tuple[str, ...]:
    """List the files, as paths from the kernel's folder, in order and each once."""
    found = [name for one in magics(tree) for name in _of_magic(one)]
    found += [name for node in ast.walk(tree) if isinstance(node, ast.Call) for name in _of_call(node)]
    return tuple(dict.fromkeys(found))


def _of_magic(magic: Magic) -> Iterator[str]:
    if magic.name == "run":
        name = _run_file(magic.text)
        if name:
            yield name
    elif magic.name in _SHELLS:
        yield from _COMMAND.findall(magic.text if magic.body is None else magic.body)


def _of_call(node: ast.Call) -> Iterator[str]:
    """Read what is called with a command line, or a list of one's words."""
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called not in _CALLS or not node.args:
        return
    match node.args[0]:
        case ast.Constant(value=str(line)):
            yield from _COMMAND.findall(line)
        case ast.List(elts=words) | ast.Tuple(elts=words):
            texts = (one.value for one in words if isinstance(one, ast.Constant))
            names = (one for one in texts if isinstance(one, str) and _ENDING.fullmatch(one))
            yield from [name for name in [next(names, "")] if name]
        case _:
            return


def _run_file(text: str) -> str:
    """Find the file in what follows `%run`."""
    try:
        words = shlex.split(text)
    except ValueError:
        return ""
    name = next((word for word in words if not word.startswith("-")), "")
    return name if not name or "." in name.rpartition("/")[2] else f"{name}.py"
