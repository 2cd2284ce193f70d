"""The store as a worker reaches it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.apart.withheld import bare_options, bare_url, left_out
from nbpipeline.location import is_url
from nbpipeline.model import ProjectSpec
from nbpipeline.ports import Store
from nbpipeline.stores.local import LocalStore
from nbpipeline.values import dataclass
from nbpipeline.worker import local_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Where the store is: an absolute folder, or a URL with the settings of it; without any password."""

    path: str
    settings: Mapping[str, Any]
    withheld: tuple[str, ...] = ()
    """Names of the settings that workers take from their own environment."""

    @property
    def name(self) -> str:
        """Name it without the user who may stand in a URL."""
        return bare_url(self.path)

    @property
    def told_withheld(self) -> str:
        """Say, for the end of a sentence, which variables workers need for what stays here."""
        if not self.withheld:
            return ""
        protocol = self.path.partition("://")[0].upper()
        plain = (one.removeprefix("options.") for one in self.withheld)
        names = ", ".join(
            f"FSSPEC_{protocol}_{one.upper()}" for one in plain if "." not in one and one != "endpoint"
        )
        return f": {', '.join(self.withheld)} of pipeline.yaml does not travel" + (
            f", {names} there stands for it" if names else ""
        )

    @property
    def told_once(self) -> tuple[str, ...]:
        """Say to whoever runs what workers are to have by themselves, if anything."""
        return (f"the store at {self.name}{self.told_withheld}",) if self.withheld else ()

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
    if not is_url(path):
        return Supply(path=str(local_store(project).folder), settings={})
    bare = bare_url(path, keep_user=True)
    withheld = (*(["password"] if bare != path else ()), *left_out(project.store))
    settings = bare_options({name: one for name, one in project.store.items() if name != "path"})
    withheld = tuple(one for one in withheld if one != "path")
    return Supply(path=bare, settings=settings, withheld=withheld)
