"""State in one SQLite file, `.nbpipeline/state.db`: history and caches.

The file has a version and is migrated forward; one that a newer nbpipeline wrote is refused. A damaged
file is moved aside and begun anew: what it knew can be won back from the store's records.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nbpipeline.encoding import dumps, object_from_text, record_from_text, result_from_text, value_from
from nbpipeline.errors import ReadingError, StorageError
from nbpipeline.location import Location
from nbpipeline.model import StageRecord, StageResult
from nbpipeline.state.memory import EARLIER_KEPT, FAILURES, last_failure_data

if TYPE_CHECKING:
    from nbpipeline.ports import Cache, State

T = TypeVar("T")

FILE = "state.db"
_BUSY_SECONDS = 30.0
_CACHE_KEPT_SECONDS = 90 * 86400
_FLUSH_ENTRIES = 2000
_FLUSH_SECONDS = 1.0
_FORGET = (
    "DELETE FROM earlier WHERE instance = ? AND id NOT IN "
    "(SELECT id FROM earlier WHERE instance = ? ORDER BY id DESC LIMIT ?)"
)
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_HELD = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE latest (instance TEXT PRIMARY KEY, finished REAL, seconds REAL, data TEXT)",
        "CREATE TABLE failures (instance TEXT PRIMARY KEY, data TEXT) WITHOUT ROWID",
        "CREATE TABLE runs (run TEXT PRIMARY KEY, started REAL, finished REAL, status TEXT, data TEXT)",
        "CREATE TABLE results (id INTEGER PRIMARY KEY, run TEXT, instance TEXT, finished REAL, data TEXT)",
        "CREATE INDEX results_of_run ON results (run)",
        "CREATE TABLE cache (kind TEXT, key TEXT, value TEXT, saved INTEGER, PRIMARY KEY (kind, key))",
    ),
    (
        "CREATE TABLE earlier (id INTEGER PRIMARY KEY, instance TEXT, state TEXT, data TEXT)",
        "CREATE UNIQUE INDEX earlier_states ON earlier (instance, state)",
    ),
)
"""Each step brings the file from the version of its index to the next."""


def open_state(folder: Path) -> "SqliteState":
    """Open the state in `folder` (made where there is none).

    Raises ReadingError for a file of a newer nbpipeline, StorageError where the folder refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise _refused(folder / FILE, error.strerror or str(error)) from error
    return SqliteState(folder / FILE)


class SqliteState:
    """The State and Cache ports on one SQLite file; safe from several threads and processes."""

    def __init__(self, path: Path) -> None:
        """Open the file, migrating it or beginning it anew where that is due."""
        self._path = path
        self._lock = threading.RLock()
        self._pending: dict[str, dict[str, str]] = {}
        self._flushed = time.monotonic()
        self._notices: list[str] = []
        self._connection: sqlite3.Connection | None = None
        self._transact(lambda _: None)

    @property
    def notices(self) -> tuple[str, ...]:
        """What its reader should be told."""
        return tuple(self._notices)

    def __enter__(self) -> Self:
        """Do nothing: the file was opened already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is pending and close the file."""
        self.close()

    def close(self) -> None:
        """Write what is pending and close the file; it may be closed twice."""
        self.flush()
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    # --- history -----------------------------------------------------------------------------

    def last_record(self, instance: str) -> StageRecord | None:
        """Give the newest success of the instance."""
        rows = self._rows("SELECT data FROM latest WHERE instance = ?", instance)
        return record_from_text(rows[0][0]) if rows else None

    def last_records(self) -> Mapping[str, StageRecord]:
        """Give the newest success of every instance, in one read."""
        rows = self._rows("SELECT instance, data FROM latest")
        found = ((instance, record_from_text(data)) for instance, data in rows)
        return {instance: record for instance, record in found if record is not None}

    def earlier_records(self, instance: str) -> tuple[StageRecord, ...]:
        """Give the newest success of some other states, newest first."""
        query = "SELECT data FROM earlier WHERE instance = ? ORDER BY id DESC LIMIT -1 OFFSET 1"
        found = (record_from_text(data) for (data,) in self._rows(query, instance))
        return tuple(one for one in found if one is not None)

    def last_failure(self, instance: str) -> Mapping[str, Any] | None:
        """Give the failure that came after the last success."""
        rows = self._rows("SELECT data FROM failures WHERE instance = ?", instance)
        return object_from_text(rows[0][0]) if rows else None

    def last_failures(self) -> Mapping[str, Mapping[str, Any]]:
        """`last_failure` of every instance that has one, in one read."""
        rows = self._rows("SELECT instance, data FROM failures")
        return {one: found for one, data in rows if (found := object_from_text(data)) is not None}

    def add_record(self, record: StageRecord) -> None:
        """Remember a success; it is on disk when this returns."""
        row = (record.instance, record.finished, record.seconds, dumps(record))

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?)", row)
            db.execute("DELETE FROM failures WHERE instance = ?", (record.instance,))
            one = (record.instance, record.state, row[-1])
            db.execute("INSERT OR REPLACE INTO earlier (instance, state, data) VALUES (?, ?, ?)", one)
            db.execute(_FORGET, (record.instance, record.instance, EARLIER_KEPT))

        self._write(write, durable=True)

    def add_run(self, run: str, *, started: float, data: Mapping[str, Any]) -> None:
        """Remember that a run began."""
        row = (run, started, None, None, dumps(data))
        self._write(lambda db: db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?)", row))

    def add_result(self, run: str, result: StageResult, *, finished: float) -> None:
        """Remember how an instance ended in a run."""
        row = (run, result.instance, finished, dumps(result))
        failed = dumps(last_failure_data(run, result, finished)) if result.status in FAILURES else None

        def write(db: sqlite3.Connection) -> None:
            db.execute("INSERT INTO results (run, instance, finished, data) VALUES (?, ?, ?, ?)", row)
            if failed is not None:
                db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (result.instance, failed))

        self._write(write)

    def end_run(self, run: str, *, finished: float, status: str) -> None:
        """Remember how a run ended."""
        change = "UPDATE runs SET finished = ?, status = ? WHERE run = ?"
        self._write(lambda db: db.execute(change, (finished, status, run)))

    def runs(self, limit: int = 20) -> tuple[Mapping[str, Any], ...]:
        """Give the newest runs first: those begun last, whatever the clock said then."""
        query = "SELECT run, started, finished, status, data FROM runs ORDER BY rowid DESC LIMIT ?"
        names = ("run", "started", "finished", "status")
        return tuple(
            {**dict(zip(names, row, strict=False)), "data": value_from(object_from_text(row[4]) or {})}
            for row in self._rows(query, limit)
        )

    def results(self, run: str, known: int = 0) -> tuple[StageResult, ...]:
        """How the instances of a run ended, in the order in which they did, without the first `known`."""
        rows = self._rows("SELECT data FROM results WHERE run = ? ORDER BY id LIMIT -1 OFFSET ?", run, known)
        found = (result_from_text(data) for (data,) in rows)
        return tuple(one for one in found if one is not None)

    def durations(self) -> Mapping[str, float]:
        """Seconds that each instance took at its last success."""
        return dict(self._rows("SELECT instance, seconds FROM latest"))

    # --- cache -------------------------------------------------------------------------------

    def load(self, kind: str) -> dict[str, str]:
        """Every cache entry of the kind, in one read."""
        with self._lock:
            found = dict(self._rows("SELECT key, value FROM cache WHERE kind = ?", kind))
            return {**found, **self._pending.get(kind, {})}

    def save(self, kind: str, entries: Mapping[str, str]) -> None:
        """Remember cache entries: written together, at the latest when the state is closed."""
        with self._lock:
            self._pending.setdefault(kind, {}).update(entries)
            many = sum(map(len, self._pending.values())) >= _FLUSH_ENTRIES
            if many or time.monotonic() - self._flushed > _FLUSH_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write pending cache entries; a disk that refuses costs only the time to work them out again."""
        with self._lock:
            self._flushed = time.monotonic()
            pending, self._pending = self._pending, {}
            saved = int(time.time())
            rows = [
                (kind, *pair, saved)
                for kind, entries in pending.items()
                for pair in entries.items()
                if all(map(_is_unicode, pair))
            ]
            if not rows or self._connection is None:
                return

            def write(db: sqlite3.Connection) -> None:
                db.executemany("INSERT OR REPLACE INTO cache VALUES (?, ?, ?, ?)", rows)
                db.execute("DELETE FROM cache WHERE saved < ?", (saved - _CACHE_KEPT_SECONDS,))

            try:
                self._write(write)
            except StorageError:
                return

    # --- the file ----------------------------------------------------------------------------

    def _rows(self, query: str, *arguments: Any) -> list[Any]:
        return self._transact(lambda db: db.execute(query, arguments).fetchall())

    def _write(self, work: Callable[[sqlite3.Connection], object], *, durable: bool = False) -> None:
        """Write in one transaction; only a durable one waits for the disk and so outlives a power cut."""

        def whole(db: sqlite3.Connection) -> None:
            db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

        self._transact(whole)

    def _transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                try:
                    return work(self._opened())
                except sqlite3.DatabaseError as error:
                    if not _is_one_of(_DAMAGED, error):
                        raise
                    self._begin_anew(str(error))
                    return work(self._opened())
            except sqlite3.Error as error:
                raise _refused(self._path, str(error), held=_is_one_of(_HELD, error)) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _ready(self._path)
            except sqlite3.OperationalError as error:
                if not _is_one_of(_NO_ROOM, error):
                    raise
                self._connection = _ready(self._path, alone=True)
        return self._connection

    def _begin_anew(self, why: str) -> None:
        """Move the damaged file aside, unless another process has done so already."""
        from filelock import FileLock  # noqa: PLC0415 - start-up is counted, and this is rare

        if self._connection is not None:
            self._connection.close()
            self._connection = None
        with FileLock(f"{self._path}.lock", timeout=_BUSY_SECONDS):
            if _is_sound(self._path):
                return
            aside = _free_name(self._path)
            for suffix in ("", "-wal", "-shm"):
                part = self._path.with_name(self._path.name + suffix)
                if part.exists():
                    part.replace(aside.with_name(aside.name + suffix))
        self._notices.append(
            f"{_shown(self._path)} was damaged ({why}); it was moved to {aside.name} and begun anew. "
            "Results that the store has are found again."
        )


def _ready(path: Path, *, alone: bool = False) -> sqlite3.Connection:
    """Connect and migrate.

    `alone` shuts other processes out: SQLite then keeps its index of the log in memory and not in a file
    beside, so that the history can be read on a full disk.
    """
    connection = _connect(path, alone=alone)
    try:
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, *, alone: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        path.chmod(0o600)
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
    except OSError:  # somebody else's file that we may use all the same
        pass
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have migrated while this one waited.
        for step in MIGRATIONS[_version(connection, path) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise ReadingError.of(
            f"the state file has version {version}, which a newer nbpipeline wrote.",
            where=Location(path=_shown(path)),
            known=f"this nbpipeline knows versions up to {len(MIGRATIONS)}",
            mend="upgrade nbpipeline, or move the file away: history and caches are lost, nothing else.",
        )
    return version


def _is_unicode(text: str) -> bool:
    """Whether SQLite can keep it: a file may have a name that is none, and is then looked at each time."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_one_of(codes: frozenset[int], error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in codes


def _is_sound(path: Path) -> bool:
    try:
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    names = (path.with_name(stem + (f"-{number}" if number else "")) for number in range(1000))
    return next(one for one in names if not one.exists())


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _refused(path: Path, why: str, *, held: bool = False) -> StorageError:
    room = f"make {path.parent} writable for this user and see that the disk has room."
    return StorageError.of(
        f"the state file cannot be used: {why}.",
        where=Location(path=_shown(path)),
        mend="end the program that keeps it open, or wait until it does." if held else room,
    )


if TYPE_CHECKING:

    def _fills(one: SqliteState) -> tuple[State, Cache]:
        return one, one
