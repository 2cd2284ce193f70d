"""Where a project's files are to be found in its git repository's home."""

import os
import subprocess
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """What git says of the folder that a project stands in."""

    root: Path
    remote: str = ""
    """Address of `origin`, without name and password; empty where there is none."""
    prefix: str = ""
    """The project's folder in the repository, with `/` at its end; empty for its root."""

    @classmethod
    def of(cls, root: Path) -> "Repository":
        """Ask git; what it does not say stays empty."""
        return cls(
            root=root,
            remote=_without_user(_git(root, "remote", "get-url", "origin")),
            prefix=_git(root, "rev-parse", "--show-prefix"),
        )

    def path_of(self, path: str) -> str:
        """Give a project path as a path in the repository."""
        return self.prefix + path

    def url_of(self, path: str, commit: str) -> str:
        """Give the address of a file at a commit, where its home has a page; else that of the file here."""
        home = _web_page(self.remote)
        if not home:
            return (self.root / path).as_uri()
        return f"{home}/blob/{commit}/{quote(self.path_of(path))}"


def _git(root: Path, *words: str) -> str:
    command = ["git", "-C", os.fspath(root), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603 - our words
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _without_user(remote: str) -> str:
    """Take name and password out of an address: tokens stand there."""
    if "://" not in remote:
        return remote
    try:
        parts = urlsplit(remote)
    except ValueError:
        return ""
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _web_page(remote: str) -> str:
    """Give the repository's page, from `https://HOST/PATH.git` and `git@HOST:PATH.git` alike."""
    address = remote.removesuffix("/").removesuffix(".git")
    if address.startswith(("https://", "http://")):
        return address
    user, at, rest = address.partition("@")
    host, colon, path = rest.partition(":")
    plain = at and colon and "/" not in user and "/" not in host
    return f"https://{host}/{path}" if plain else ""
