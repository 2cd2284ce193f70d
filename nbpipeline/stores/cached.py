"""A store far away, with one on this machine in front of it: read and written through.

What is put stands in the local store first and is pushed by a thread, behind the work's back: a far side that
is down, slow or refuses fails nothing; it is told, and pushed later. What the local store lacks is asked for;
what comes is verified by its digest before it is taken in.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nbpipeline.errors import StorageError
from nbpipeline.model import EXECUTED, StageRecord, StoredOutput
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.patience import side_by_side
from nbpipeline.stores.pushing import PAUSE, Outbox, Pusher, waiting
from nbpipeline.stores.remote import Found, Remote
from nbpipeline.stores.transfer import Transfer

if TYPE_CHECKING:
    from nbpipeline.ports import Store

Answer = TypeVar("Answer")

_FEW = 2
"""So many records are asked for one by one, before all are listed."""
_LISTED_FOR = 30.0
"""Seconds for which a listing is good: others push meanwhile."""
_MOST = 5000
"""Records that are fetched ahead."""


class CachedStore:
    """The Store port at a URL; safe from several threads and processes."""

    def __init__(
        self,
        near: LocalStore,
        far: Remote,
        tell: Callable[[str], None] | None = None,
        *,
        push: bool = True,
    ) -> None:
        """Ask nothing yet; `tell` hears of what may take long. Without `push` the far side is only read."""
        self._near = near
        self._push = push
        self.transfer = Transfer(near, far)
        self.outbox = Outbox(near, far.url)
        self._pusher = Pusher(self.transfer, self.outbox)
        self._tell = tell or _silent
        self._link = _Link()
        self._asked = 0
        self._listing: Mapping[str, Found] = {}
        self._listed_at = -_LISTED_FOR

    @property
    def near(self) -> LocalStore:
        """The store on this machine."""
        return self._near

    @property
    def notices(self) -> tuple[str, ...]:
        """Say that the far side did not answer, gave wrong bytes, or is yet to get results."""
        count = len(self.outbox)
        name = self.transfer.far.name
        return (
            *(
                [f"{self._link.trouble.rstrip('.')}; only what is here is known"]
                if self._link.trouble
                else ()
            ),
            *([f"{waiting(count)}: they are not at {name} yet"] if count else ()),
            *(
                f"{name} gave wrong bytes for {one[:12]}, which were not used; "
                "`nbpipeline verify --remote` mends it"
                for one in sorted(self.transfer.damaged)
            ),
        )

    def finish(self, hurry: Callable[[], bool] | None = None) -> tuple[str, ...]:
        """Wait until what was put is there, and what waited from earlier."""
        if not self._push:
            return ()
        return self._pusher.finish(hurry or _patient, self._tell)

    def require_answer(self) -> None:
        """Raise the StorageError that was met since the beginning, if there was one."""
        if self._link.error is not None:
            raise self._link.error

    # --- objects -----------------------------------------------------------------------------

    def put(self, path: Path, output: StoredOutput) -> None:
        """Keep it here; it is pushed with the record that names it."""
        self._near.put(path, output)

    def share(self, outputs: Iterable[StoredOutput]) -> None:
        """Bring objects there now; raises StorageError where that is refused."""
        lacking = self.transfer.push_outputs(outputs)
        if lacking:
            raise StorageError.of(
                f"{', '.join(lacking)} could not be put into the store at {self.transfer.far.name}: "
                "it is gone here.",
                mend="run again",
            )

    def get(self, output: StoredOutput, target: Path) -> bool:
        """Write the object to `target`, from there where it is not here."""
        return self._near.get(output, target) or (self._fetched(output) and self._near.get(output, target))

    def has(self, output: StoredOutput) -> bool:
        """Whether it is here, or is said to be there.

        An executed notebook, whose stage is fresh as long as it can be had, is brought here: so it is asked
        for once, and not in every plan.
        """
        if self._near.has(output):
            return True
        if output.kind == EXECUTED:
            return self._fetched(output)
        return self._link.ask(lambda: self.transfer.has(output.digest), False)

    def sound(self, output: StoredOutput) -> bool:
        """Whether it is here and sound, or comes so from there."""
        return self._near.sound(output) or (self._fetched(output) and self._near.sound(output))

    def _fetched(self, output: StoredOutput) -> bool:
        return self._link.ask(lambda: self.transfer.fetch(output), False)

    # --- texts and records -------------------------------------------------------------------

    def put_text(self, digest: str, text: str) -> None:
        """Keep it here; it is pushed with the record that names it."""
        self._near.put_text(digest, text)

    def get_text(self, digest: str) -> str | None:
        """Give the small text back, from either side."""
        found = self._near.get_text(digest)
        return found if found is not None else self._link.ask(lambda: self.transfer.text(digest), None)

    def put_record(self, record: StageRecord) -> None:
        """Keep it here, and have it pushed with all that it names."""
        if self._push:
            self.outbox.add(record)
        self._near.put_record(record)
        if self._push:
            self._pusher.put(record)

    def get_record(self, instance: str, state: str) -> StageRecord | None:
        """Find a record, here or there; one from there is kept here."""
        found = self._near.get_record(instance, state)
        return found if found is not None else self._link.ask(lambda: self._record(instance, state), None)

    def ask_record(self, instance: str, state: str) -> StageRecord | None:
        """Find a record as it is now, whatever an earlier listing said."""
        found = self._link.ask(lambda: self.transfer.record(instance, state), None)
        return found or self._near.get_record(instance, state)

    def _record(self, instance: str, state: str) -> StageRecord | None:
        """Ask for one; from the third on, whether there is one is read from a listing of all."""
        if time.monotonic() - self._listed_at > _LISTED_FOR:
            self._listing = {}
            if self._asked < _FEW:
                self._asked += 1
                return self.transfer.record(instance, state)
            self._look_around()
        if self.transfer.record_key(instance, state) not in self._listing:
            return None
        return self._near.get_record(instance, state) or self.transfer.record(instance, state)

    def _look_around(self) -> None:
        """List what is there; fetch ahead the newest record of each instance, and look for its outputs."""
        self._tell(f"asking {self.transfer.far.name} for earlier results")
        self._listing = self.transfer.records()
        self._listed_at = time.monotonic()
        newest: dict[str, str] = {}
        for key, found in self._listing.items():
            folder = key.rpartition("/")[0]
            if folder not in newest or found.changed > self._listing[newest[folder]].changed:
                newest[folder] = key
        side_by_side(self._fetch_ahead, list(newest.values())[:_MOST])

    def _fetch_ahead(self, key: str) -> None:
        record = self.transfer.record_at(key)
        for one in record.outputs if record else ():
            if one.stored and one.kind != EXECUTED and not self._near.has(one):
                self.transfer.has(one.digest)

    # --- room --------------------------------------------------------------------------------

    def trim(self, max_size: int | None, keep: Iterable[str] = ()) -> int:
        """Drop what was used least recently here, never there, and nothing that is yet to be pushed."""
        pending = {one.digest for record in self.outbox.waiting() for one in record.outputs}
        texts = {
            one
            for record in self.outbox.waiting()
            for one in (*record.fingerprint.code.values(), *record.fingerprint.modules.values())
        }
        return self._near.trim(max_size, {*keep, *pending, *texts})


def open_cached(
    url: str,
    near: LocalStore,
    settings: Mapping[str, Any],
    tell: Callable[[str], None] | None = None,
    *,
    push: bool = True,
) -> CachedStore:
    """Give the store at a URL; `settings` may have `options` and `endpoint`. Raises MissingPluginError."""
    options = settings.get("options")
    far = Remote(url, options if isinstance(options, Mapping) else None, str(settings.get("endpoint") or ""))
    return CachedStore(near, far, tell, push=push)


class _Link:
    """Asks the far side; after trouble not again for a while."""

    def __init__(self) -> None:
        self.error: StorageError | None = None
        self._again_at = 0.0

    @property
    def trouble(self) -> str:
        return self.error.complaints[0].what if self.error else ""

    def ask(self, work: Callable[[], Answer], default: Answer) -> Answer:
        if time.monotonic() < self._again_at:
            return default
        try:
            return work()
        except StorageError as error:
            self.error = error
            self._again_at = time.monotonic() + PAUSE
            return default


def _silent(_text: str) -> None:
    """Hear what is told."""


def _patient() -> bool:
    return False


if TYPE_CHECKING:

    def _fills(one: CachedStore) -> Store:
        return one
