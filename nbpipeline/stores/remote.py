"""A place at an fsspec URL (`s3://bucket/prefix`) as keys with bytes: what a remote store is made of.

Bytes appear under a key whole: object stores put so; elsewhere a file is written beside and moved.
Nothing here knows digests; whoever takes bytes out verifies them.
"""

import errno
import importlib.util
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError, NbpipelineError, StorageError
from nbpipeline.stores.patience import Pulse, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    Told = Callable[[int], None]

ANSWER = 15.0
"""Seconds in which a request without much to carry is answered."""
MOVE = 60.0
"""Seconds in which some of a file's bytes move."""
_SLOWEST = 1 << 20
"""Bytes a second at least, where a file system does not tell how they move."""
_HIDDEN_FROM = 5
"""Characters of a secret: a shorter one would be found in the midst of words."""
_SECRET = re.compile(r"key|secret|token|pass|credential|connection|sas", re.IGNORECASE)
_PART = 8 << 20
_S3 = frozenset({"s3", "s3a"})
_AZURE = frozenset({"abfs", "abfss", "az", "adl"})
_PUT_WHOLE = _S3 | _AZURE | {"gs", "gcs", "oss", "memory"}
"""Protocols whose put shows a file only when it is whole."""
_BUILT_IN = frozenset({"file", "local", "memory"})
_LIBRARIES = {
    **dict.fromkeys(_S3, "s3fs"),
    **dict.fromkeys(("gs", "gcs"), "gcsfs"),
    **dict.fromkeys(_AZURE, "adlfs"),
    **dict.fromkeys(("sftp", "ssh"), "paramiko"),
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "oss": "ossfs",
}
_S3_TIMES = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}


class Found(NamedTuple):
    """A key of a listing."""

    size: int
    changed: float
    """Unix time; 0 where the place does not say."""


def shown(url: str) -> str:
    """Write a URL without the password that may stand in it; before Azure's account stands a container."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, _, place = host.rpartition("@")
    named = host if scheme in _AZURE and ":" not in user else place
    return f"{scheme}://{named}{slash}{path}"


class Remote:
    """Bytes under keys at a URL; every method raises StorageError where the place refuses or does not answer.

    Safe from several threads and processes. Opened when it is first asked.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None, endpoint: str = "") -> None:
        """Open nothing yet. Raises MissingPluginError where the protocol's library is not installed.

        `options` are those of the fsspec file system, `endpoint` is the address of the service.
        """
        self.url = url.rstrip("/")
        self.name = shown(self.url)
        self._protocol = url.partition("://")[0]
        self._options = dict(options or {})
        if endpoint:
            self._options["endpoint_url"] = endpoint
        self._lock = threading.Lock()
        self._opened: tuple[Any, str] | None = None
        for library in (_LIBRARIES.get(self._protocol, "fsspec"), "fsspec"):  # the first brings the second
            if importlib.util.find_spec(library) is None:
                raise plugins.missing_library(library, f"the store at {self.name}")
        if self._protocol not in _BUILT_IN | _LIBRARIES.keys():
            self._require_protocol()

    # --- small things ------------------------------------------------------------------------

    def size(self, key: str) -> int | None:
        """Give the bytes under a key; None where there is none."""

        def look(system: Any, path: str) -> int | None:
            found = system.info(path)
            return int(found["size"] or 0) if found["type"] == "file" else None

        found: int | None = self._asked(key, look)
        return found

    def read(self, key: str) -> bytes | None:
        """Read a small file; None where there is none."""
        found: bytes | None = self._asked(key, lambda system, path: bytes(system.cat_file(path)))
        return found

    def write(self, key: str, data: bytes) -> None:
        """Write a small file in the place of what stands there."""
        with self._told(key):
            within(ANSWER, lambda: self._put(key, lambda system, path: system.pipe_file(path, data)))

    def keys(self, folder: str) -> dict[str, Found]:
        """List all keys below a folder, each by its whole name; for as long as some more come."""
        pulse = Pulse()
        found = self._asked(folder, lambda system, path: (self._listed(system, path, pulse), path), pulse)
        if found is None:
            return {}
        base = len(found[1]) - len(folder)
        return {
            name[base:]: Found(int(info.get("size") or 0), _changed(info)) for name, info in found[0].items()
        }

    def _listed(self, system: Any, path: str, pulse: Pulse) -> Mapping[str, Mapping[str, Any]]:
        """List what is below a path as the protocol does it with the fewest requests."""
        if self._protocol in _S3:
            with _hearing_pages(system, pulse):
                found: Mapping[str, Mapping[str, Any]] = system.find(path, detail=True)
                return found
        if self._protocol in _PUT_WHOLE - {"memory"}:
            return system.find(path, detail=True)  # type: ignore[no-any-return]
        walked: dict[str, Mapping[str, Any]] = {}
        for _, _, files in system.walk(path, detail=True):
            pulse.moved(0)
            walked |= {info["name"]: info for info in files.values()}
        return walked

    def drop(self, key: str) -> None:
        """Remove a key; nothing is said where there is none."""
        self._asked(key, lambda system, path: system.rm_file(path))

    # --- files -------------------------------------------------------------------------------

    def upload(self, source: Path, key: str, told: "Told | None" = None) -> None:
        """Put a file under a key, in the place of what stands there; `told` hears how many bytes went."""
        pulse = Pulse(told)
        more: dict[str, Any] = {"chunksize": _PART, "max_concurrency": 4} if self._protocol in _S3 else {}

        def put(system: Any, path: str) -> None:
            system.put_file(str(source), path, callback=_callback(pulse), **more)

        with self._told(key):
            size = source.stat().st_size
            within(self._patience(size), lambda: self._put(key, put), pulse)
        pulse.moved(size - pulse.count)  # not every file system tells of what it puts

    def download(self, key: str, target: Path, told: "Told | None" = None) -> bool:
        """Write what is under a key to a file; False where there is nothing."""
        pulse = Pulse(told)

        def get() -> None:
            system, base = self._open()
            system.get_file(f"{base}/{key}", str(target), callback=_callback(pulse))

        size = 0 if self._protocol in _S3 else self.size(key) or 0
        with self._told(key):
            try:
                within(self._patience(size), get, pulse)
            except FileNotFoundError:
                return False
        if not target.exists():
            return False
        pulse.moved(target.stat().st_size - pulse.count)
        return True

    @property
    def _listing(self) -> float:
        """Seconds in which some of a listing comes, or all of it where libraries do not tell of parts."""
        return MOVE if self._protocol in _PUT_WHOLE - _S3 - {"memory"} else ANSWER

    def _patience(self, size: int) -> float:
        return MOVE if self._protocol in _S3 else MOVE + size / _SLOWEST

    # --- inside ------------------------------------------------------------------------------

    def _asked(self, key: str, work: Callable[[Any, str], Any], pulse: Pulse | None = None) -> Any:
        def ask() -> Any:
            system, base = self._open()
            return work(system, f"{base}/{key}")

        with self._told(key):
            try:
                return within(self._listing if pulse else ANSWER, ask, pulse)
            except FileNotFoundError:
                return None

    def _put(self, key: str, put: Callable[[Any, str], None]) -> None:
        """Put so that nobody sees half of it."""
        system, base = self._open()
        target = f"{base}/{key}"
        if self._protocol in _PUT_WHOLE:
            put(system, target)
            return
        beside = f"{base}/unfinished/{uuid.uuid4().hex}"
        for path in (beside, target):
            system.makedirs(path.rpartition("/")[0], exist_ok=True)
        try:
            put(system, beside)
            system.mv(beside, target)
        except BaseException:
            with suppress(Exception):
                system.rm_file(beside)
            raise

    def _open(self) -> tuple[Any, str]:
        with self._lock:
            if self._opened is None:
                from fsspec.core import url_to_fs  # noqa: PLC0415 - heavy, and few commands ask

                system, base = url_to_fs(self.url, **self._settings())
                self._opened = system, base.rstrip("/")
            return self._opened

    def _require_protocol(self) -> None:
        from fsspec import get_filesystem_class  # noqa: PLC0415 - only for protocols that are not well known

        try:
            get_filesystem_class(self._protocol)
        except ImportError as error:
            raise plugins.missing_library(
                error.name or self._protocol, f"the store at {self.name}"
            ) from error
        except ValueError as error:
            raise MissingPluginError.of(
                f"the store cannot be at {self.name}: fsspec knows no protocol '{self._protocol}'.",
                mend="see the spelling, or pip install the fsspec package that offers it",
            ) from error

    def _settings(self) -> dict[str, Any]:
        """Give the file system's options: no listing is remembered, as others write there too."""
        settings = {"skip_instance_cache": True, "use_listings_cache": False, **self._options}
        if self._protocol in _S3:
            settings["config_kwargs"] = {**_S3_TIMES, **(self._options.get("config_kwargs") or {})}
        if self._protocol in _BUILT_IN:
            del settings["use_listings_cache"]
        return settings

    @contextmanager
    def _told(self, key: str) -> "Iterator[None]":
        """Turn what libraries raise, which is of all kinds, into the tool's words."""
        try:
            yield
        except NbpipelineError:
            raise
        except Exception as error:
            raise StorageError.of(
                f"the store at {self.name} {self._masked(_refusal(error))}.",
                known=f"asked for {key}",
                mend=f"{self._advice(error)}; what is not there yet is brought by: nbpipeline push",
            ) from error

    def _advice(self, error: Exception) -> str:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return "make room there"
        if self._protocol == "file":
            return "see that the folder is there, and may be read and written"
        return "see the address, the network and your credentials"

    def _masked(self, words: str) -> str:
        """Take what libraries repeat of the address's password and of secret options out of their words."""
        user = self.url.partition("://")[2].partition("/")[0].rpartition("@")[0]
        for one in (user, *_secrets(self._options)):
            words = words.replace(one, "***") if len(one) >= _HIDDEN_FROM else words
        return words


def _secrets(options: Mapping[str, Any]) -> "Iterator[str]":
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _secrets(value)
        elif is_secret(name) and isinstance(value, str):
            yield value


def is_secret(name: str) -> bool:
    """Whether an option or variable of that name is likely to hold a secret."""
    return _SECRET.search(name) is not None


def _refusal(error: Exception) -> str:
    """Say in one line what a library complains of."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, TimeoutError):
        return f"does not answer ({words})"
    if isinstance(error, FileNotFoundError):
        return f"has no such place ({words})"
    return f"refuses ({words})" if isinstance(error, PermissionError) else f"cannot be used ({words})"


def _changed(info: Mapping[str, Any]) -> float:
    for name in ("LastModified", "mtime", "last_modified", "updated", "created"):
        value = info.get(name)
        if isinstance(value, int | float):
            return float(value)
        if isinstance(value, datetime):
            return value.timestamp()
    return 0.0


@contextmanager
def _hearing_pages(system: Any, pulse: Pulse) -> "Iterator[None]":
    """Tell a pulse of each page of a listing of S3, of which s3fs says nothing: botocore's own events do."""
    events = system.s3.meta.events
    name = "after-call.s3.ListObjectsV2"

    def heard(**_: Any) -> None:
        pulse.moved(0)

    events.register(name, heard)
    try:
        yield
    finally:
        events.unregister(name, heard)


def _callback(pulse: Pulse) -> Any:
    """Make fsspec tell a pulse how many bytes have moved."""
    from fsspec.callbacks import Callback  # noqa: PLC0415 - heavy, and few commands ask

    seen = 0

    class Moving(Callback):  # type: ignore[misc]
        def relative_update(self, inc: int = 1) -> None:
            pulse.moved(inc)

        def absolute_update(self, value: int) -> None:
            nonlocal seen
            pulse.moved(value - seen)
            seen = value

    return Moving()
