"""Sent to kernels as text: notes which files of a project their process opens, by an audit hook.

An audit hook stays for the life of its process and hears every event of the interpreter. So this one leaves
at once what is no file; it holds texts alone, never raises, and leaves no name behind: it answers through
`sys.audit(QUESTION, answer)`. It imports nothing that a kernel has not loaded, and nothing of nbpipeline.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

QUESTION = "nbpipeline.seen"
LOAD, OPEN, READ, WRITE = range(1, 5)
"""How a file was opened, the later over the earlier: as code, somehow, to be read, to be written."""
_NAMES = ("", "load", "open", "read", "write")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_LOADERS = ("linecache.py", "tokenize.py", "py3compat.py", "runpy.py", "pkgutil.py", "interactiveshell.py")
_LISTERS = ("audit_native.py", "pkgutil.py", "pkg_resources/__init__.py", "importlib/metadata/__init__.py")
CODE = (".py", ".ipy", ".pyc", ".so", ".pyd", ".ipynb", ".sh", ".R", ".jl", ".sql")
_COMPILED = ".pyc"
"""Opened by imports alone; to ask who does would be half of what an import pays for being watched."""
_PROGRAMS = (".py", ".ipy", ".ipynb", ".sh", ".R", ".jl")
"""What the first such word of a command is called by: a file of code."""
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
_STARTERS = (
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.popen_spawn_win32",
    "multiprocessing.popen_forkserver",
    "joblib.externals.loky.backend.popen_loky_posix",
    "loky.backend.popen_loky_posix",
)
"""Modules that a process has loaded once it started Python processes anew, which no hook follows."""
_NO_NAMES = ("", os.curdir, os.pardir)
_MOST = 50_000
"""Texts remembered only to be quick."""
_MOST_PROGRAMS = 20
_CROWD = 200
"""Files of one folder that Python opened, past which the system is not asked about that folder any more."""


class Watch:
    """What was seen so far."""

    def __init__(self, root: str, spool: str, native: Any) -> None:
        """Watch the files under `root`; forked children write what they see to `spool`.

        `native` is an `audit_native.Native`.
        """
        self.root = os.path.join(root, "")
        self.real = os.path.join(os.path.realpath(root), "")
        self.files: dict[str, int] = {}
        self.listed: set[str] = set()
        self.programs: set[str] = set()
        self.native = native
        self._spool = spool
        self._child = self._forked = False
        self._folders: dict[str, str] = {}
        self._crowds: dict[str, int] = {}
        self._read: set[str] = set()
        self._waiting: list[str] = []
        """Paths that were read, as texts; what they mean is worked out later, out of the cell's loops."""
        self._room = _MOST
        """How many may wait."""

    def start(self) -> None:
        """Add the hook, in this process and in its forks."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_child)
        sys.addaudithook(self._hook())
        if any(name in sys.modules for name in self.native.LIBRARIES):
            self._ask_system()

    def _hook(self) -> Callable[[str, tuple[Any, ...]], None]:
        handlers: dict[str, Callable[..., None]] = {
            "import": self._imported,
            "os.chdir": self._moved,
            "os.exec": lambda program, words, *_: self._started(program, words, None),
            "os.fork": self._forks,
            "os.link": self._linked,
            "os.listdir": self._looked,
            "os.posix_spawn": lambda program, words, *_: self._started(program, words, None),
            "os.rename": lambda _old, new, _of=-1, at=-1: self._noted(new, WRITE, at),
            "os.scandir": self._looked,
            "os.symlink": lambda _old, new, at=-1: self._noted(new, WRITE, at),
            "os.system": lambda line: self._started("sh", ["sh", "-c", line], None),
            "os.truncate": lambda path, *_: self._noted(path, WRITE),
            "sqlite3.connect": self._connected,
            "subprocess.Popen": lambda program, words, folder, *_: self._started(program, words, folder),
            QUESTION: self._asked,
        }
        read, waiting, find = self._read, self._waiting, handlers.get
        opened, settle, writes, code = self._opened, self._settle, _WRITES, CODE

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            try:
                if event == "open":
                    path, _, flags = arguments
                    if flags & writes or type(path) is not str:
                        opened(path, flags)
                    elif path not in read:
                        if path.endswith(code):
                            opened(path, flags)
                        else:
                            read.add(path)
                            waiting.append(path)
                            if len(waiting) >= self._room:
                                settle()
                    return
                handler = find(event)
                if handler is not None:
                    handler(*arguments)
            except Exception:  # noqa: BLE001, S110 - nothing that a cell does may fail for being watched
                pass

        return hook

    # --- what is heard -----------------------------------------------------------------------

    def _opened(self, path: Any, flags: int) -> None:
        """Note a file that is written, or code: who reads it tells whether it is run."""
        full = self._under(path)
        if full:
            if flags & _WRITES:
                self.note(full, WRITE)
            elif full.endswith(_COMPILED) or (full.endswith(CODE) and self._called_by(_LOADERS)):
                self.note(full, LOAD)
            else:
                self.note(full, READ)
            self._count(full)

    def _settle(self) -> None:
        """Work out what the paths mean that were read since, while relative ones still mean the same."""
        waiting, under, files, folders = self._waiting, self._under, self.files, self._folders
        while waiting:
            path = waiting.pop()  # several threads may be here, so one at a time
            head, _, tail = path.rpartition("/")
            folder = folders.get(head)
            if folder is None or tail in _NO_NAMES:
                full = under(path)
            elif folder:
                full = folder + tail
            else:
                continue
            if full and files.get(full, 0) < READ:
                self.note(full, READ)
                self._count(full)
        if len(self._read) >= _MOST:
            self._read.clear()

    def _noted(self, path: Any, how: int, at: int = -1) -> None:
        full = self._under(path, os.readlink(f"/proc/self/fd/{at}") if at >= 0 else None)
        if full:
            self.note(full, how)

    def _linked(self, old: Any, new: Any, of: int = -1, at: int = -1) -> None:
        self._noted(old, READ, of)
        self._noted(new, WRITE, at)

    def _imported(self, module: str, file: Any = None, *_: Any) -> None:
        if file:
            self._noted(file, LOAD)
        if module in self.native.LIBRARIES:
            self._ask_system()

    def _moved(self, *_: Any) -> None:
        """Forget what relative paths meant; the texts are the same, the files are not."""
        self._settle()
        self._folders.clear()
        self._read.clear()

    def _connected(self, database: Any) -> None:
        self._ask_system()
        if isinstance(database, (str, bytes, os.PathLike)):
            name = os.fsdecode(database)
            self._noted(name[5:].partition("?")[0] if name.startswith("file:") else name, OPEN)

    def _looked(self, path: Any = None, *_: Any) -> None:
        """Note a folder whose listing was taken, but for the search for modules."""
        if isinstance(path, int):
            return
        full = self._under(os.path.join(os.fsdecode(path or os.curdir), ""))
        if full and not self._called_by(_LISTERS):
            self.listed.add(full)

    def _started(self, program: Any, words: Any, folder: Any) -> None:
        """Note what a command line names: the first file of code is run, others are read or written."""
        said = [os.fsdecode(one) for one in ([words] if isinstance(words, (str, bytes)) else words)]
        if not said:
            return
        if os.path.basename(said[0]) in _SHELLS and len(said) > 2 and said[1].startswith("-"):  # noqa: PLR2004
            said = list(split_line(said[2]))
        self._program(os.path.basename(said[0] or os.fsdecode(program)))
        how = LOAD
        for word in said:
            full = self._under(word, os.fsdecode(folder) if folder else None)
            code = word.endswith(_PROGRAMS)
            if full and (code or how == LOAD or not full.endswith(CODE)):
                self.note(full, LOAD if code and how == LOAD else OPEN)
            if code:
                how = OPEN

    def _forks(self) -> None:
        self._settle()
        self._forked = True

    def _program(self, name: str) -> None:
        if name not in self.programs and len(self.programs) < _MOST_PROGRAMS:
            self.programs.add(name)
            if self._child:
                self._tell(f"0 {name}\n")

    # --- what it means -----------------------------------------------------------------------

    def _under(self, path: Any, folder: str | None = None) -> str:
        """Make a path under the root absolute; empty for others. Links are not followed."""
        if not isinstance(path, (str, bytes, os.PathLike)):
            return ""
        name = os.fsdecode(path)
        if folder:
            return self._absolute(os.path.join(folder, name))
        head, _, tail = name.rpartition("/")
        if not head or tail in _NO_NAMES or os.sep != "/":
            return self._absolute(name)
        known = self._folders.get(head)
        if known is None:
            if len(self._folders) >= _MOST:
                self._folders.clear()
            known = self._folders[head] = self._absolute(f"{head}/")
        return known + tail if known else ""

    def _absolute(self, name: str) -> str:
        full = os.path.abspath(name)
        if not os.path.basename(name):  # a folder, whose end marks it
            full = os.path.join(full, "")
        if full.startswith(self.root):
            return full
        return self.root + full[len(self.real) :] if full.startswith(self.real) else ""

    @staticmethod
    def _called_by(ends: tuple[str, ...]) -> bool:
        """Whether Python's own import opens it, or a file that ends so; not a cell, a module, a library."""
        frame: Any = sys._getframe()  # noqa: SLF001 - the way to it that costs least
        ours = frame.f_code.co_filename
        while frame.f_back is not None and (
            frame.f_code.co_filename == ours
            or "pathlib" in frame.f_code.co_filename
            or frame.f_code.co_name == "_modified_open"  # IPython puts it before a cell's own
        ):
            frame = frame.f_back
        name = str(frame.f_code.co_filename)
        return name.startswith("<frozen ") or name.endswith(ends)

    def _ask_system(self) -> None:
        self.native.begin()
        if self.native.on:
            self._room = _CROWD  # so that a crowd is seen soon

    def _count(self, full: str) -> None:
        """Leave a folder to the hook alone in which Python opens very many files: each costs the system."""
        if self.native.on:
            folder = full.rpartition("/")[0]
            self._crowds[folder] = seen = self._crowds.get(folder, 0) + 1
            if seen == _CROWD:
                self.native.drain(self._told)
                self.native.leave(folder)

    def _told(self, full: str, how: int) -> None:
        """Take what the system says: of what the hook saw it knows only more where it was written."""
        if how == WRITE or self.files.get(full, 0) in {0, OPEN}:
            self.note(full, how)

    def note(self, full: str, how: int) -> None:
        """Remember the most that was done with a file; a forked child tells it at once."""
        if self.files.get(full, 0) < how:
            self.files[full] = how
            if self._child:
                self._tell(f"{how} {full}\n")

    # --- who is told -------------------------------------------------------------------------

    def _begin_child(self) -> None:
        """Begin to spool, in a fork: what it remembers is lost with it."""
        self._child = True
        self.files[self._under(self._spool)] = WRITE  # telling opens it, and is not to be told
        self._waiting.clear()
        self._room = 1  # it may end at any moment
        self.native.close()

    def _tell(self, line: str) -> None:
        """Add a line to the spool; it is not held open, since the child may close all and use its number."""
        if self._spool:
            spool = os.open(self._spool, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(spool, os.fsencode(line))
            finally:
                os.close(spool)

    def _asked(self, answer: dict[str, Any]) -> None:
        """Fill in what was seen."""
        if self._child:
            return
        self._settle()
        self.native.drain(self._told)
        self._take_spool()
        state = "partly" if self.native.on and self._forked else self.native.state
        answer["files"] = {path: _NAMES[how] for path, how in self.files.items()}
        answer["listed"] = sorted(self.listed)
        answer["programs"] = sorted({*self.programs, *self._anew()})
        answer["native"] = state
        answer["libraries"] = sorted(name for name in self.native.LIBRARIES if name in sys.modules)

    def _take_spool(self) -> None:
        """Add what forked children saw; half a line is one that is being written."""
        if not os.path.exists(self._spool):
            return
        with open(self._spool, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            for line in file:
                how, _, said = line.rstrip("\n").partition(" ")
                if how == "0":
                    self._program(said)
                elif how.isdigit() and line.endswith("\n"):
                    self.note(said, int(how))

    @staticmethod
    def _anew() -> Iterable[str]:
        return ("python",) if any(name in sys.modules for name in _STARTERS) else ()


def split_line(line: str) -> Iterable[str]:
    """Give the words of a shell line, roughly: what is an option's value counts as a word."""
    import shlex  # noqa: PLC0415 - loaded where a cell has a shell line

    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    try:
        found = list(words)
    except ValueError:
        found = line.split()
    for word in found:
        yield word
        if "=" in word:
            yield word.partition("=")[2]
