"""`push`, `pull`, `verify`: results between this machine and a store far away, and whether they are sound."""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from nbpipeline import plugins
from nbpipeline.content import digest_file
from nbpipeline.errors import UsageError
from nbpipeline.location import is_url
from nbpipeline.model import Action, Plan, ProjectSpec, StageInstance, StageRecord
from nbpipeline.stores.cached import CachedStore
from nbpipeline.stores.local import LocalStore
from nbpipeline.stores.patience import side_by_side
from nbpipeline.stores.transfer import KINDS
from nbpipeline.values import dataclass
from nbpipeline.worker import local_store

_AT_ONCE = 4
_DIGEST = re.compile(r"[0-9a-f]{64}")

Moved = Callable[[int], None]
"""Hears how many bytes have gone over the line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What `push` did."""

    to: str
    results: int
    files: int
    """Those that were not there before."""
    bytes: int
    lacking: Mapping[str, tuple[str, ...]]
    """Instances whose results could not be pushed, with the paths whose bytes this store no longer has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What `pull` did."""

    source: str
    bytes: int
    paths: tuple[str, ...]
    """What was put in its place."""
    fresh: int
    """Instances that were as they should be."""
    lacking: tuple[str, ...]
    """Instances whose results nobody has pushed: they have to run."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """Something that is not what its name says."""

    where: str
    """`local`, or the URL."""
    digest: str
    path: str
    """Which output it is, where a record says so."""
    done: str
    """`mended` (from the other side), `dropped`, or `left`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What `verify` found."""

    checked: int
    bytes: int
    damaged: tuple[Damage, ...]

    @property
    def good(self) -> bool:
        """Whether all is sound now, with nothing lost."""
        return all(one.done == "mended" for one in self.damaged)


def far_url(project: ProjectSpec) -> str:
    """Give the URL or folder of the store far away that pipeline.yaml names; empty where it names none."""
    own = str(project.store.get("path") or "")
    return str(project.store.get("remote") or "") or (own if is_url(own) else "")


def far_store(
    project: ProjectSpec, given: str, present: object, tell: Callable[[str], None] | None = None
) -> CachedStore:
    """Give the store at the URL or folder `given`, else the one that pipeline.yaml names.

    `present` is taken where it is that one. Raises UsageError where there is none, MissingPluginError.
    """
    named = far_url(project)
    url = given or named
    if not url:
        own = str(project.store.get("path") or "")
        raise UsageError.of(
            "no store far away is named.",
            known=f"the store is the folder {own or '.nbpipeline/store'}",
            mend="write `store: {remote: s3://bucket/prefix}` in pipeline.yaml, or name one: --to or --from",
        )
    if not is_url(url):
        url = (Path(project.root) / url if not given else Path(url).absolute()).as_uri()
    if isinstance(present, CachedStore) and present.transfer.far.url == url.rstrip("/"):
        return present
    same = url.partition("://")[0] == named.partition("://")[0]
    store: CachedStore = plugins.load("stores", "remote").open_cached(
        url, local_store(project), project.store if same else {}, tell
    )
    return store


# --- push ------------------------------------------------------------------------------------


def push(store: CachedStore, records: Iterable[StageRecord], moved: Moved) -> Pushed:
    """Bring results to the far side. Raises StorageError where it refuses; what is there by then stays."""
    count = _Count(moved)
    store.transfer.moved = count.add
    lacking: dict[str, tuple[str, ...]] = {}
    wanted = {store.outbox.name(one): one for one in records}.values()

    def bring(record: StageRecord) -> None:
        gone = store.transfer.push(record)
        store.outbox.strike(record)
        if gone:
            lacking[record.instance] = gone

    side_by_side(bring, wanted, _AT_ONCE)
    return Pushed(
        to=store.transfer.far.name,
        results=len(wanted) - len(lacking),
        files=store.transfer.carried,
        bytes=count.bytes,
        lacking=dict(sorted(lacking.items())),
    )


def nothing_to_push(notices: Sequence[str]) -> UsageError:
    """Say that no result is on record, which may be since the history was damaged."""
    return UsageError.of(
        "no result of these stages is on record here: nothing was pushed.",
        known=" ".join(notices),
        mend="nbpipeline run finds again what the store has, and makes the rest; or push all that the store "
        "has: --all",
    )


def results_of(
    near: LocalStore, last: Mapping[str, StageRecord], names: Iterable[str]
) -> Iterator[StageRecord]:
    """Give the last results of instances, each also as it stands under what its code alone tells."""
    for name in names:
        record = last.get(name)
        if record is not None:
            yield record
            made = (record.run, record.attempt, record.finished)
            for one in near.records(name):
                if one.state != record.state and (one.run, one.attempt, one.finished) == made:
                    yield one


# --- pull ------------------------------------------------------------------------------------


def fetch(
    store: CachedStore, plan: Plan, moved: Moved
) -> tuple[int, tuple[tuple[StageInstance, StageRecord], ...]]:
    """Bring what the plan would restore into the store on this machine; gives the bytes, and what to restore.

    Raises StorageError where the far side does not answer.
    """
    store.require_answer()
    count = _Count(moved)
    store.transfer.moved = count.add
    found = tuple(
        (one.instance, one.record) for one in plan.steps if one.action is Action.RESTORE and one.record
    )
    outputs = {output.digest: output for _, record in found for output in record.outputs if output.stored}
    side_by_side(store.transfer.fetch, [one for one in outputs.values() if not store.near.has(one)])
    return count.bytes, tuple(one for one in found if all(map(store.near.has, one[1].outputs)))


def lacking(plan: Plan, brought: Sequence[tuple[StageInstance, StageRecord]]) -> tuple[str, ...]:
    """Name the instances whose results did not come."""
    came = {instance.id for instance, _ in brought}
    return tuple(one.instance.id for one in plan.steps if not one.fresh and one.instance.id not in came)


# --- verify ----------------------------------------------------------------------------------


def verify_near(
    near: LocalStore, far: CachedStore | None, named: Mapping[str, str], *, fix: bool
) -> Verified:
    """Check everything on this machine by digest; what is damaged comes from `far`, or goes."""
    damaged: list[Damage] = []
    checked = [(kind, place) for kind in KINDS for place in sorted((near.folder / kind).glob("??/*"))]
    size = gone = 0
    for kind, place in checked:
        try:
            sound = not _is_digest(place.name) or digest_file(place) == place.name
            size += place.stat().st_size
        except FileNotFoundError:  # a run beside this has trimmed the store
            gone += 1
            continue
        if not sound:
            done = "left"
            if fix:
                place.unlink(missing_ok=True)
                done = "mended" if far and far.transfer.fetch_file(kind, place.name) else "dropped"
            damaged.append(_damage("local", place.name, named, done))
    return Verified(checked=len(checked) - gone, bytes=size, damaged=tuple(damaged))


def verify_far(store: CachedStore, named: Mapping[str, str], moved: Moved, *, fix: bool) -> Verified:
    """Check everything far away by digest: all of it is read. What is damaged is put anew from here, or goes.

    Raises StorageError where the far side refuses.
    """
    transfer = store.transfer
    count = _Count(moved)
    transfer.moved = count.add
    damaged: list[Damage] = []
    keys = [
        (kind, key)
        for kind in KINDS
        for key in sorted(transfer.far.keys(kind))
        if _is_digest(key.rpartition("/")[2])
    ]

    def check(one: tuple[str, str]) -> None:
        kind, key = one
        digest = key.rpartition("/")[2]
        if _is_sound(store, key, digest):
            return
        done = "left"
        if fix:
            transfer.damaged.add(digest)
            if transfer.push_file(kind, digest):
                done = "mended"
            else:
                transfer.far.drop(key)
                done = "dropped"
        damaged.append(_damage(transfer.far.name, digest, named, done))

    side_by_side(check, keys)
    return Verified(checked=len(keys), bytes=count.bytes, damaged=tuple(sorted(damaged, key=_digest_of)))


def _is_sound(store: CachedStore, key: str, digest: str) -> bool:
    """Whether the bytes are the digest's; one that went meanwhile is none of ours. Read twice to be sure."""
    folder = store.near.folder / "tmp"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for _ in range(2):
        target = folder / uuid.uuid4().hex
        try:
            if not store.transfer.far.download(key, target, store.transfer.moved):
                return True
            if digest_file(target) == digest:
                return True
        finally:
            target.unlink(missing_ok=True)
    return False


def names_of(records: Iterable[StageRecord]) -> Mapping[str, str]:
    """Say which output each digest is."""
    return {one.digest: one.path for record in records for one in record.outputs}


def _damage(where: str, digest: str, named: Mapping[str, str], done: str) -> Damage:
    return Damage(where=where, digest=digest, path=named.get(digest, ""), done=done)


def _digest_of(one: Damage) -> str:
    return one.digest


def _is_digest(name: str) -> bool:
    return _DIGEST.fullmatch(name) is not None


class _Count:
    """Adds up bytes, and passes them on."""

    def __init__(self, moved: Moved) -> None:
        self.bytes = 0
        self._moved = moved

    def add(self, count: int) -> None:
        self.bytes += count
        self._moved(count)
