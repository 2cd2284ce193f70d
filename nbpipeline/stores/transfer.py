"""What passes between the store on this machine and the one far away, which has the same keys."""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from nbpipeline.content import digest_file
from nbpipeline.encoding import dumps, record_from_text
from nbpipeline.model import StageRecord, StoredOutput
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.patience import side_by_side
from nbpipeline.stores.remote import Found, Remote

KINDS = ("objects", "trees")


class Transfer:
    """Brings objects and records from one side to the other; what is there already is not carried again.

    So all of it can be broken off anywhere and begun again. A record is shown only after all that it names.
    Raises StorageError where the far side does not do. Safe from several threads.
    """

    def __init__(self, near: LocalStore, far: Remote, moved: Callable[[int], None] | None = None) -> None:
        """Tell `moved` how many bytes have gone over the line."""
        self.near = near
        self.far = far
        self.damaged: set[str] = set()
        """Digests whose far bytes were found to be others."""
        self.carried = 0
        """Files that went to the far side."""
        self.moved = moved
        self._there: set[str] = set()
        self._lock = threading.Lock()
        self._turns = tuple(threading.Lock() for _ in range(_TURNS))

    # --- there -------------------------------------------------------------------------------

    def push(self, record: StageRecord) -> tuple[str, ...]:
        """Bring a record and all that it names to the far side; gives the paths that nobody has any more.

        With such paths the record is not shown there.
        """
        lacking = self.push_outputs(one for one in record.outputs if one.stored)
        if lacking:
            return lacking
        code = {*record.fingerprint.code.values(), *record.fingerprint.modules.values()}
        side_by_side(self._push_text, sorted(code))
        self.far.write(self.record_key(record.instance, record.state), dumps(record).encode())
        return ()

    def push_outputs(self, outputs: Iterable[StoredOutput]) -> tuple[str, ...]:
        """Bring objects to the far side; gives the paths that nobody has any more."""
        files: dict[str, str] = {}
        trees: dict[str, str] = {}
        for one in outputs:
            entries = self.near.entries(one.digest)
            if entries is not None or one.kind == "directory":
                trees[one.digest] = one.path
                files.update((entry.what, one.path) for entry in entries or () if entry.kind == "file")
            else:
                files[one.digest] = one.path
        lacking: dict[str, None] = {}
        for kind, wanted in (("objects", files), ("trees", trees)):
            side_by_side(
                lambda one: self._or_lacking(*one, lacking), [(kind, *item) for item in wanted.items()]
            )
            if lacking:
                return tuple(lacking)
        return ()

    def _or_lacking(self, kind: str, digest: str, path: str, lacking: dict[str, None]) -> None:
        if not self.push_file(kind, digest):
            lacking[path] = None

    def push_file(self, kind: str, digest: str) -> bool:
        """Bring one file; False where neither side has it sound."""
        with self._turns[hash(digest) % _TURNS]:  # two results may have the same file
            return digest in self._there or self._pushed(kind, digest)

    def _pushed(self, kind: str, digest: str) -> bool:
        place, key = self.near.place(kind, digest), self.key(kind, digest)
        size = _size(place)
        if digest not in self.damaged and self.far.size(key) in ({size} if size is not None else _ANY_SIZE):
            self._note_there(digest)
            return True
        if size is None or digest_file(place) != digest:
            return False
        self.far.upload(place, key, self.moved)
        self._note_there(digest)
        with self._lock:
            self.damaged.discard(digest)
            self.carried += 1
        return True

    def _push_text(self, digest: str) -> None:
        place = self.near.place("texts", digest)
        key = self.key("texts", digest)
        if digest not in self._there and place.is_file():
            if self.far.size(key) is None:
                self.far.upload(place, key)
            self._note_there(digest)

    # --- here --------------------------------------------------------------------------------

    def fetch(self, output: StoredOutput) -> bool:
        """Bring an object here; False where it is not there whole and sound."""
        if self.fetch_file("objects", output.digest):
            return True
        if output.digest in self.damaged or not self.fetch_file("trees", output.digest):
            return False
        wanted = [one.what for one in self.near.entries(output.digest) or () if one.kind == "file"]
        missing = [one for one in dict.fromkeys(wanted) if not self.near.place("objects", one).is_file()]
        side_by_side(lambda one: self.fetch_file("objects", one), missing)
        return self.near.has(output)

    def fetch_file(self, kind: str, digest: str) -> bool:
        """Bring one file here; False where it is not there, or damaged."""
        key = self.key(kind, digest)
        found = self.near.adopt(kind, digest, lambda path: self.far.download(key, path, self.moved))
        if found is False:
            with self._lock:
                self.damaged.add(digest)
                self._there.discard(digest)
        return found is True

    def record(self, instance: str, state: str) -> StageRecord | None:
        """Bring a record here; None where there is none, or what is there is none."""
        return self.record_at(self.record_key(instance, state))

    def record_at(self, key: str) -> StageRecord | None:
        """Bring the record under a key here, unless it is one of another instance or state."""
        data = self.far.read(key)
        record = record_from_text(data.decode(errors="replace")) if data is not None else None
        if record is None or self.record_key(record.instance, record.state) != key:
            return None
        if self.near.get_record(record.instance, record.state) is None:  # one of ours may be yet to be pushed
            self.near.put_record(record)
        return record

    def text(self, digest: str) -> str | None:
        """Give a small text of the far side."""
        data = self.far.read(self.key("texts", digest))
        return None if data is None else data.decode(errors="replace")

    # --- what is there -----------------------------------------------------------------------

    def has(self, digest: str) -> bool:
        """Whether the far side has it; what a folder holds was put there before its listing."""
        if digest in self.damaged:
            return False
        if digest in self._there:
            return True
        if any(self.far.size(self.key(kind, digest)) is not None for kind in KINDS):
            self._note_there(digest)
            return True
        return False

    def records(self) -> dict[str, Found]:
        """List the keys of all records of the far side."""
        return self.far.keys("records")

    def _note_there(self, digest: str) -> None:
        with self._lock:
            self._there.add(digest)

    def key(self, kind: str, digest: str) -> str:
        """Name an object on the far side."""
        return self.near.place(kind, digest).relative_to(self.near.folder).as_posix()

    def record_key(self, instance: str, state: str) -> str:
        """Name a record on the far side."""
        return self.near.record_place(instance, state).relative_to(self.near.folder).as_posix()


_TURNS = 64


class _AnySize:
    """Holds every size, but not that of nothing."""

    def __contains__(self, size: object) -> bool:
        return size is not None


_ANY_SIZE = _AnySize()


def _size(place: Path) -> int | None:
    try:
        return place.stat().st_size
    except OSError:
        return None
