"""What can be had again of the bytes that stand at an output's place, and how."""

from pathlib import Path

from nbpipeline.content import TREE_HEAD, digest_text
from nbpipeline.errors import StorageError
from nbpipeline.model import StoredOutput
from nbpipeline.ports import Digests, State, Store
from nbpipeline.values import dataclass

_EMPTY_FOLDER = digest_text(TREE_HEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Previous:
    """What stands at an output's place before a stage runs."""

    digest: str = ""
    """Empty where nothing stands there, or nobody asked."""
    recorded: bool = True
    """The last record's own bytes, or held by the store."""
    held: bool = True
    """The store can give them again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What stands behind outputs: the history that knows them and the store that holds them."""

    state: State
    store: Store
    digests: Digests

    def recorded(self, instance: str, state: str, run: str) -> bool:
        """Whether a success of the instance in the state and run is on record."""
        last = self.state.last_record(instance)
        return last is not None and last.run == run and state in {last.state, last.planned}

    def previous(self, instance: str, path: str, target: Path) -> Previous:
        """Say what stands at an output's place, and whether it could be had again."""
        digest = self.digests.of(target)
        if digest is None:
            return Previous()
        last = self.state.last_record(instance)
        own = last is not None and any((one.path, one.digest) == (path, digest) for one in last.outputs)
        held = self.holds(digest)
        if held and not own and digest != _EMPTY_FOLDER:
            # Perhaps the only good copy, which goes if the store is believed: so the store is read.
            held = self.store.sound(StoredOutput(path="", digest=digest))
        return Previous(digest=digest, recorded=held or own, held=held)

    def holds(self, digest: str) -> bool:
        """Whether `give` would work."""
        return digest == _EMPTY_FOLDER or self.store.has(StoredOutput(path="", digest=digest))

    def stands(self, target: Path, digest: str) -> bool:
        """Whether these bytes stand there now."""
        return self.digests.of(target) == digest

    def give(self, digest: str, target: Path) -> bool:
        """Write the bytes to where nothing stands; False where the store lacks them. Raises OSError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        if digest == _EMPTY_FOLDER:
            target.mkdir()
            return True
        try:
            return self.store.get(StoredOutput(path="", digest=digest), target)
        except StorageError as error:
            raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(str(error)) from error
