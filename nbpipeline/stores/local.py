"""The store in a local folder.

::

    objects/ab/abcd...   a file's bytes, under their digest
    trees/ab/abcd...     a folder's listing, under its digest; the files are objects
    texts/ab/abcd...     small texts under a digest that the caller gives
    records/STAGE/STATE  one record, as JSON
    tmp/                 what is being written; renamed into its place when it is whole

Objects are verified when they are taken out, so that no sync to disk is needed when they are put in.
"""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nbpipeline.content import (
    TreeEntry,
    copy_file,
    digest_bytes,
    digest_file,
    digest_text,
    parse_listing,
    tree_listing,
    unfinished_of,
)
from nbpipeline.encoding import dumps, record_from_text
from nbpipeline.errors import StorageError
from nbpipeline.location import STATE_FOLDER, is_url
from nbpipeline.model import ProjectSpec, StageRecord, StoredOutput, slug_of
from nbpipeline.replacing import replaced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbpipeline.ports import Store

_ABANDONED_SECONDS = 86400


def folder_for(project: ProjectSpec) -> Path:
    """Say where a project's store is on this machine: by default in its own folder, as for one at a URL."""
    path = str(project.store.get("path") or "")
    return Path(project.root) / (f"{STATE_FOLDER}/store" if is_url(path) or not path else path)


class LocalStore:
    """The Store port in a folder; safe from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        """Use the folder; it is made when something is put in. Readable by this user alone."""
        self._folder = folder

    @property
    def folder(self) -> Path:
        """Where everything is."""
        return self._folder

    @property
    def near(self) -> "LocalStore":
        """What of the store needs no network: all of it."""
        return self

    @property
    def notices(self) -> tuple[str, ...]:
        """Say nothing: a folder answers or raises."""
        return ()

    def finish(self, hurry: "Callable[[], bool] | None" = None) -> tuple[str, ...]:
        """Wait for nothing: what was put is there."""
        del hurry
        return ()

    # --- objects -----------------------------------------------------------------------------

    def put(self, path: Path, output: StoredOutput) -> None:
        """Keep the file or folder at `path`; raises StorageError when its content is not `output.digest`."""
        with self._told(path):
            if path.is_dir():
                self._put_tree(path, output.digest)
            else:
                self._put_file(path, output.digest)

    def share(self, outputs: "Iterable[StoredOutput]") -> None:
        """Whoever sees the folder sees what was put."""

    def ask_record(self, instance: str, state: str) -> StageRecord | None:
        """Find a record as it is now."""
        return self.get_record(instance, state)

    def _put_tree(self, path: Path, digest: str) -> None:
        def keep(member: str) -> str:
            found = digest_file(member)
            self._put_file(Path(member), found)
            return found

        listing = tree_listing(path, keep)
        if digest_text(listing) != digest:
            raise _changed(path)
        self.write(self.place("trees", digest), listing)

    def _put_file(self, path: Path, digest: str) -> None:
        place = self.place("objects", digest)
        if place.is_file():
            _touch(place)
            return
        if place.is_dir() or place.is_symlink():  # no object; another process may have put one there by now
            _remove(place)
        with self._new(place) as temporary:
            copy_file(path, temporary)
            if digest_file(temporary) != digest:
                raise _changed(path)

    def get(self, output: StoredOutput, target: Path) -> bool:
        """Write the object to `target`, which must not exist (FileExistsError); False where it is lacking.

        A damaged object is dropped, and lacking from then on.
        """
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        beside = unfinished_of(target)
        _remove(beside)  # what a killed process left
        try:
            with self._told(target):
                entries = self.entries(output.digest)
                found = (
                    self._get_file(output.digest, beside)
                    if entries is None
                    else self._get_tree(output.digest, entries, beside)
                )
            if found:
                _move_new(beside, target)
            return found
        finally:
            _remove(beside)

    def _get_tree(self, digest: str, entries: tuple[TreeEntry, ...], target: Path) -> bool:
        target.mkdir()
        for entry in entries:
            place = target / entry.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if entry.kind == "folder":
                place.mkdir(exist_ok=True)
            elif entry.kind == "link":
                place.symlink_to(entry.what)
            elif not self._get_file(entry.what, place):
                return False
        _touch(self.place("trees", digest))
        return True

    def _get_file(self, digest: str, target: Path) -> bool:
        place = self.place("objects", digest)
        try:
            copy_file(place, target)
        except (FileNotFoundError, IsADirectoryError):
            return False
        if digest_file(target) != digest:
            place.unlink(missing_ok=True)
            target.unlink()
            return False
        _touch(place)
        return True

    def has(self, output: StoredOutput) -> bool:
        """Whether `get` would work, without reading the files' bytes."""
        entries = self.entries(output.digest)
        if entries is None:
            return self.place("objects", output.digest).is_file()
        return all(self.place("objects", one.what).is_file() for one in entries if one.kind == "file")

    def sound(self, output: StoredOutput) -> bool:
        """Whether `get` gives the right bytes; reads them all, and drops what is damaged."""
        entries = self.entries(output.digest)
        if entries is None:
            return self.is_sound(output.digest)
        return all(self.is_sound(one.what) for one in entries if one.kind == "file")

    def is_sound(self, digest: str) -> bool:
        """Whether a file's bytes are those of the digest; drops damaged ones."""
        place = self.place("objects", digest)
        with self._told(place):
            try:
                if digest_file(place) == digest:
                    return True
            except (FileNotFoundError, IsADirectoryError):
                return False
            place.unlink(missing_ok=True)
        return False

    def entries(self, digest: str) -> tuple[TreeEntry, ...] | None:
        """Read the listing of a kept folder; None where the digest is not that of one."""
        place = self.place("trees", digest)
        try:
            data = place.read_bytes()
        except OSError:
            return None
        if digest_bytes(data) == digest:
            with suppress(ValueError, TypeError):
                return parse_listing(data.decode())
        place.unlink(missing_ok=True)
        return None

    def adopt(self, kind: str, digest: str, fill: "Callable[[Path], bool]") -> bool | None:
        """Take in what `fill` writes to the path that it is given: True where the bytes are the digest's.

        None where `fill` had nothing to give.
        """
        coming = self._folder / "tmp" / uuid.uuid4().hex
        coming.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            if not fill(coming):
                return None
            if digest_file(coming) != digest:
                return False
            with self._new(self.place(kind, digest)) as temporary:
                coming.replace(temporary)
        finally:
            with suppress(OSError):
                coming.unlink(missing_ok=True)
        return True

    # --- texts and records -------------------------------------------------------------------

    def put_text(self, digest: str, text: str) -> None:
        """Keep a small text."""
        place = self.place("texts", digest)
        if not place.exists():
            self.write(place, text)

    def get_text(self, digest: str) -> str | None:
        """Give the small text back; None where it is not kept."""
        try:
            return self.place("texts", digest).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return None

    def put_record(self, record: StageRecord) -> None:
        """Keep a record under its instance and state."""
        place = self.record_place(record.instance, record.state)
        self.write(place, dumps(record))

    def get_record(self, instance: str, state: str) -> StageRecord | None:
        """Find the record of a success of the instance in the state; a damaged one is dropped."""
        place = self.record_place(instance, state)
        try:
            text = place.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            text = ""
        record = record_from_text(text)
        if record is None or (record.instance, record.state) != (instance, state):
            with suppress(OSError):
                place.unlink(missing_ok=True)
            return None
        return record

    def records(self, instance: str = "") -> "Iterator[StageRecord]":
        """Give all records, or those of an instance; what is no record is passed over."""
        for place in sorted(
            (self._folder / "records").glob(f"{slug_of(instance) if instance else '*'}/*.json")
        ):
            try:
                record = record_from_text(place.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            if record is not None:
                yield record

    # --- room --------------------------------------------------------------------------------

    def trim(self, max_size: int | None, keep: Iterable[str] = ()) -> int:
        """Drop what was used least recently until at most `max_size` bytes are left; give the bytes freed."""
        self._sweep()
        if max_size is None:
            return 0
        held = [
            (found.st_mtime_ns, found.st_size, place)
            for kind in ("objects", "trees", "texts")
            for place in (self._folder / kind).glob("??/*")
            if (found := _stat(place)) is not None
        ]
        size, freed = sum(one[1] for one in held), 0
        kept = self._with_members(keep)
        for _, length, place in sorted(held, key=lambda one: one[0]):
            if size - freed <= max_size:
                break
            if place.name not in kept:
                place.unlink(missing_ok=True)
                freed += length
        return freed

    def _with_members(self, digests: Iterable[str]) -> set[str]:
        kept = set(digests)
        for digest in tuple(kept):
            kept.update(one.what for one in self.entries(digest) or () if one.kind == "file")
        return kept

    def _sweep(self) -> None:
        """Drop what a killed process left half written."""
        for place in (self._folder / "tmp").glob("*"):
            found = _stat(place)
            if found is not None and found.st_mtime < time.time() - _ABANDONED_SECONDS:
                _remove(place)

    # --- places ------------------------------------------------------------------------------

    def place(self, kind: str, digest: str) -> Path:
        """Say where something of a kind (`objects`, `trees`, `texts`) is kept."""
        safe = slug_of(digest)
        return self._folder / kind / safe[:2] / safe

    def record_place(self, instance: str, state: str) -> Path:
        """Say where a record is kept."""
        return self._folder / "records" / slug_of(instance) / f"{slug_of(state)}.json"

    def write(self, place: Path, text: str) -> None:
        """Put a text in the place of what stands there, at once; raises StorageError."""
        with self._told(place), self._new(place) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @contextmanager
    def _new(self, place: Path) -> "Iterator[Path]":
        """Give a temporary file to fill; it becomes `place` at once and whole."""
        temporary = self._folder / "tmp" / uuid.uuid4().hex
        for folder in (self._folder, temporary.parent, place.parent.parent, place.parent):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replaced(place, by=temporary):
            yield temporary
            temporary.chmod(0o600)

    @contextmanager
    def _told(self, path: Path) -> "Iterator[None]":
        """Turn the disk's refusals into the tool's words."""
        try:
            yield
        except OSError as error:
            raise StorageError.of(
                f"{path} cannot be kept in or taken from the store: {error.strerror or error}.",
                mend=f"see that {self._folder} is writable for this user and that the disk has room.",
            ) from error


def _changed(path: Path) -> StorageError:
    return StorageError.of(
        f"{path} changed while it was put into the store.",
        mend="see that nothing else writes it, then run the stage again.",
    )


def _touch(place: Path) -> None:
    with suppress(OSError):
        os.utime(place)


def _stat(place: Path) -> os.stat_result | None:
    try:
        return place.stat()
    except OSError:
        return None


def _move_new(source: Path, target: Path) -> None:
    """Rename without replacing: a file that appeared meanwhile is left alone (FileExistsError)."""
    if source.is_dir():
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        source.rename(target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        source.rename(target)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


if TYPE_CHECKING:

    def _fills(one: LocalStore) -> Store:
        return one
