"""What each input of the fuzzer has to satisfy while it is read, and how a breach is seen.

`watched` runs one reading under a limit of processor time and of memory, and under an audit hook that lets through what
reading needs (files of the project and of libraries, opened for reading; `ast.parse`; imports of libraries) and
refuses what executes, writes or connects. What is refused does not happen: the hook raises in its place.
"""

import os
import resource
import signal
import sys
import sysconfig
import tempfile
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 2.0
"""Processor time that one input may take."""
MEGABYTES = 200
"""Memory that one input may take beside what stood there before."""

_PACKAGE = str(Path(find_spec("nbpipeline").origin).parent)
_HERE = str(Path(__file__).parent)
LIBRARIES = tuple(
    {
        *(os.path.realpath(path) for path in sysconfig.get_paths().values()),
        *sysconfig.get_paths().values(),
        *(os.path.realpath(prefix) for prefix in (sys.prefix, sys.base_prefix)),
        _PACKAGE,
        "/usr/share/zoneinfo",
        "/proc/self",
    }
)
_MAKERS = frozenset({f"{_PACKAGE}/values.py", "dataclasses.py", "collections/__init__.py", "attr/_make.py"})
"""What compiles methods of classes, out of nothing that a project says."""
_FORBIDDEN = (
    *(
        "subprocess.",
        "socket.",
        "os.exec",
        "os.fork",
        "os.posix_spawn",
        "os.spawn",
        "os.startfile",
        "os.system",
    ),
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink"),
    *(
        "os.truncate",
        "os.utime",
        "os.putenv",
        "os.unsetenv",
        "os.kill",
        "os.killpg",
        "os.setxattr",
        "os.chdir",
    ),
    *(
        "shutil.",
        "tempfile.",
        "pickle.",
        "marshal.load",
        "ctypes.dlopen",
        "urllib.",
        "http.",
        "ftplib.",
        "pty.",
    ),
    *(
        "webbrowser.",
        "builtins.input",
        "builtins.breakpoint",
        "cpython.run_",
        "sqlite3.",
        "code.__new__",
        "signal.",
    ),
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Find:
    """One breach: what kind it is, and where, so that the same one is told once."""

    kind: str
    """`raised`, `executed`, `slow`, `large`, `complaint`, `differs`, `outside`, `crashed`."""
    where: str
    detail: str

    @property
    def signature(self) -> str:
        return f"{self.kind}: {self.where}"


class Breach(Exception):  # noqa: N818 - the oracle's own word, told apart from errors of what is tried
    """An input does not satisfy the oracle."""

    def __init__(self, find: Find) -> None:
        super().__init__(f"{find.signature}\n{find.detail}")
        self.find = find


class _Refused(BaseException):
    """Raised in place of what must not happen; no `except Exception` of a reader may hide it."""


class _TooLong(BaseException):
    """Raised where the time is up."""


class _Watch:
    """What the hook sees of one reading."""

    def __init__(self, root: Path, allowed: frozenset[str]) -> None:
        self.root = os.path.realpath(root)
        self.modules = {path.stem for path in Path(root).rglob("*.py")}
        self.allowed = allowed
        self.seen: Find | None = None
        self.late = ""

    def refuse(self, kind: str, event: str, detail: str) -> None:
        if self.seen is None:
            stack = "".join(traceback.format_stack(sys._getframe(2), limit=12))
            self.seen = Find(kind, f"{event} by {_blamed(sys._getframe(2))}", f"{detail}\n{stack}")
        raise _Refused(event)


_watch: _Watch | None = None
_installed = False


def _blamed(frame: Any) -> str:
    """Name the innermost function of nbpipeline on the stack."""
    first = f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            return f"{path.removeprefix(_PACKAGE)[1:]}:{frame.f_code.co_name}"
        frame = frame.f_back
    return first


def _within(path: str, folders: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(f"{one}/") for one in folders)


def _is_library(filename: object) -> bool:
    name = filename.decode(errors="replace") if isinstance(filename, bytes) else str(filename)
    return name.startswith("<frozen") or _within(name, LIBRARIES)


def _is_maker(filename: str) -> bool:
    return _is_library(filename) and any(filename.endswith(one) for one in _MAKERS)


NAMED_BY_AUTHORS = frozenset(
    {"reading/stage.py:_from_file", "reading/files.py:read_text", "liveness.py:process_started"}
)
"""What may read elsewhere: a file that an author names (an axis' values, a lock file, a listed notebook); `/proc`."""


def _judge_exec(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    code = args[0]
    if not (_is_library(code.co_filename) or _is_maker(caller.f_code.co_filename)):
        watch.refuse("executed", "exec", repr(code))


def _judge_compile(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    source, filename = args
    by = caller.f_code.co_filename
    # These make a tree and a table of names, of which nothing can be executed.
    parses = _is_library(by) and by.endswith(("/ast.py", "/symtable.py"))
    if not (parses or _is_maker(by) or _is_library(filename)):
        watch.refuse("executed", "compile", f"{filename!r}: {str(source)[:200]!r}")


def _judge_open(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if isinstance(path, int):
        return
    name = os.path.realpath(os.fsdecode(path))
    if _is_pseudo(os.fsdecode(path), caller):
        return
    if (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & _WRITING):
        watch.refuse("executed", "open for writing", f"{name} {mode} {flags}")
    if not (_within(name, (watch.root, *LIBRARIES)) or _blamed(caller) in NAMED_BY_AUTHORS):
        watch.refuse("outside", "open", name)


def _is_pseudo(path: str, caller: Any) -> bool:
    """Whether Python's parser looks for the source of `<unknown>`, to show the line of a SyntaxError."""
    return path.startswith("<") and caller.f_code.co_filename.endswith(("/ast.py", "/symtable.py"))


def _judge_import(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    if str(args[0]).partition(".")[0] in watch.modules:
        watch.refuse("executed", "import", str(args[0]))


def _judge_listing(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    if isinstance(args[0], str | bytes | os.PathLike):
        name = os.path.realpath(os.fsdecode(args[0]))
        searched = {
            os.path.realpath(one or ".") for one in sys.path
        }  # for a plug-in of a name that is not ours
        if name not in searched and not _within(name, (watch.root, *LIBRARIES)):
            watch.refuse("outside", "listing", name)


def _judge_unmarshalling(watch: _Watch, caller: Any, args: tuple[Any, ...]) -> None:
    if not caller.f_code.co_filename.startswith("<frozen importlib"):
        watch.refuse("executed", "marshal.loads", repr(args)[:200])


_JUDGES: dict[str, Callable[[_Watch, Any, tuple[Any, ...]], None]] = {
    "exec": _judge_exec,
    "compile": _judge_compile,
    "open": _judge_open,
    "import": _judge_import,
    "marshal.loads": _judge_unmarshalling,
    "os.listdir": _judge_listing,
    "os.scandir": _judge_listing,
}


def _hook(event: str, args: tuple[Any, ...]) -> None:
    global _watch  # noqa: PLW0603 - a hook can never be taken off again, so it is told whom it serves
    watch = _watch
    if watch is None or event in watch.allowed:
        return
    judge = _JUDGES.get(event)
    if judge is None and not event.startswith(_FORBIDDEN):
        return
    _watch = None  # the judge may itself do what is judged
    try:
        if judge is None:
            watch.refuse("executed", event, repr(args)[:300])
        else:
            judge(watch, sys._getframe(1), args)
    finally:
        _watch = watch


def _on_time(_: int, frame: Any) -> None:
    if _watch is not None:
        _watch.late = _blamed(frame)
    raise _TooLong


@contextmanager
def _limited(watch: _Watch, seconds: float) -> Iterator[None]:
    global _watch, _installed  # noqa: PLW0603 - see _hook
    if not _installed:
        sys.addaudithook(_hook)
        _installed = True
    before = signal.signal(signal.SIGPROF, _on_time)
    _watch = watch
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        _watch = None
        signal.signal(signal.SIGPROF, before)


def _resident() -> int:
    """Memory that the process has; where only Linux tells, the most that it ever had."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - once for each input
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return _last_peak()


def _peak() -> int:
    """Bytes that the process held at most; `ru_maxrss` would count what its parent held when it was started."""
    lines = Path("/proc/self/status").read_text().splitlines() if _LINUX else []
    told = next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)
    _peaks[0] = told or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _peaks[0]


_LINUX = Path("/proc/self/status").exists()


_peaks = [0]


def _last_peak() -> int:
    """What the process had at most when it was last asked; the first time it is asked now."""
    return _peaks[0] or _peak()


def watched(
    work: Callable[[], Any],
    root: Path,
    *,
    errors: tuple[type[BaseException], ...] = (),
    allowed: frozenset[str] = frozenset(),
    seconds: float = SECONDS,
) -> Any:
    """Run `work`; gives its result, or the error that is one of `errors`. Raises Breach.

    `allowed` are audit events that this reader may cause all the same.
    """
    watch = _Watch(root, allowed)
    resident, peak = _resident(), _last_peak()
    found: Any = None
    keeps, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of a module that is imported here first
    try:
        with _limited(watch, seconds):
            found = work()
    except errors as error:
        found = error
    except _TooLong as error:
        raise Breach(Find("slow", watch.late, f"more than {seconds} s\n{_told(error)}")) from None
    except (_Refused, Exception) as error:  # noqa: BLE001 - what a reader raises is what is asked for
        if watch.seen is None:
            raise Breach(
                Find("raised", f"{type(error).__name__} in {_raised_in(error)}", _told(error))
            ) from None
    finally:
        sys.dont_write_bytecode = keeps
    if watch.seen is not None:
        raise Breach(watch.seen)
    if watch.late:  # a reader has kept the limit's own exception to itself
        raise Breach(Find("slow", watch.late, f"more than {seconds} s"))
    now = _peak()
    grown = now - resident
    if now > peak and grown > MEGABYTES << 20:
        raise Breach(Find("large", "memory", f"{grown >> 20} MB"))
    return found


def _told(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    return text if len(text) < 6000 else f"{text[:2500]}\n...\n{text[-2500:]}"


def _raised_in(error: BaseException) -> str:
    """Name the innermost function of nbpipeline that the error came through."""
    found = "?"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            found = f"{path.removeprefix(_PACKAGE)[1:]}:{frame.f_code.co_name}"
    return found


# --- what is said ----------------------------------------------------------------------------

_STEERING = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Control characters, halves of characters that cannot be printed, ends of lines and paragraphs."""
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
"""What turns the direction of writing round."""


def is_tellable(text: str) -> bool:
    """Whether a part of a message is one line that steers no terminal."""
    return not any(one in _TURNING or unicodedata.category(one) in _STEERING for one in text)


def judge_complaints(complaints: Any) -> None:
    """Each complaint says where, what and the mend, on two or three lines of printable text. Raises Breach."""
    for one in complaints:
        parts = {"where": str(one.where or ""), "what": one.what, "mend": one.mend}
        lacking = [name for name, text in parts.items() if not text.strip()]
        lines = str(one).split("\n")
        if lacking or len(lines) != (3 if one.known else 2) or not all(map(is_tellable, lines)):
            told = f"lacks {lacking}" if lacking else "steers"
            words = " ".join(word for word in one.what.split() if word.isalpha())
            raise Breach(Find("complaint", f"{told}: {words[:60]}", repr(one)))


# --- the same twice --------------------------------------------------------------------------


def shape(value: Any) -> Any:
    """Give what two readings are compared by: types count (1 is not True), a set's order does not, NaN equals itself."""
    if is_dataclass(value) and not isinstance(value, type):
        return (type(value).__name__, *(shape(getattr(value, one.name)) for one in fields(value)))
    if isinstance(value, dict):
        return ("dict", *((shape(key), shape(one)) for key, one in value.items()))
    if isinstance(value, set | frozenset):
        return ("set", *sorted(map(repr, value)))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(shape, value))
    if hasattr(value, "digest") and hasattr(value, "__iter__"):  # cells that are made when they are asked for
        return ("tuple", *map(shape, value))
    return f"{type(value).__name__} {value!r}"


def judge_same(one: Any, other: Any, how: str) -> None:
    """Two readings are equal. Raises Breach."""
    if repr(one) == repr(other):
        return
    first, second = shape(one), shape(other)
    if first != second:
        raise Breach(Find("differs", how, f"{_difference(first, second)}"))


def _difference(one: Any, other: Any) -> str:
    while isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        pairs = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
        if not pairs:
            break
        one, other = pairs[0]
    return f"{str(one)[:600]}\n!=\n{str(other)[:600]}"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a project to be read."""
    return tempfile.TemporaryDirectory(prefix="nbpipeline-fuzz-")
