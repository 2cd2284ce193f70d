"""The store as a worker reaches it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.location import is_url
from nbpipeline.model import ProjectSpec
from nbpipeline.ports import Store
from nbpipeline.stores.local import LocalStore
from nbpipeline.values import dataclass
from nbpipeline.worker import local_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Where the store is: an absolute folder, or a URL with the settings of it."""

    path: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name it without the password that may stand in a URL."""
        scheme, _, rest = self.path.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2]}" if rest else self.path

    def opened(self, home: Path) -> Store:
        """Open it in a worker; what comes from far away is kept under `home`. Raises MissingPluginError."""
        if not is_url(self.path):
            return LocalStore(Path(self.path))
        near = LocalStore(home / "store")
        store: Store = plugins.load("stores", "remote").open_cached(self.path, near, self.settings)
        return store


def supply_of(project: ProjectSpec) -> Supply:
    """Say where a project's store is, for who has another root."""
    path = str(project.store.get("path") or "")
    return Supply(path=path if is_url(path) else str(local_store(project).folder), settings=project.store)
