"""What is wrong with a tracker's settings as far as all trackers have it in common."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from urllib.parse import urlsplit

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Value


def wrong(
    settings: Mapping[str, Value], keys: Sequence[str], addresses: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Give each key that is none of `keys`, each value that is no text or no HTTP address, with the mend."""
    for key, value in settings.items():
        if key not in keys:
            close = did_you_mean(key, keys)
            yield f"unknown key '{key}'.", f"did you mean '{close}'?" if close else f"keys: {', '.join(keys)}"
        elif not isinstance(value, str) or not value.strip():
            yield f"{key}: {value!r} is no text.", f"write it as text: `{key}: ...`"
        elif key in addresses:
            yield from _no_address(key, value)


def _no_address(key: str, value: str) -> Iterator[tuple[str, str]]:
    """Refuse what is none, and a password in it: settings stand in the run's folder."""
    try:
        parts = urlsplit(value)
        held = parts.username is not None or parts.password is not None
    except ValueError:
        parts, held = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        yield f"{key}: it is no HTTP address.", f"write, for example, `{key}: http://127.0.0.1:5000`"
    elif held:
        yield f"{key}: it holds a name or a password.", "take it out: the docs name the variable to put it in"


def is_installed(module: str) -> bool:
    """Whether a module of a library could be imported, without importing more than what it stands in."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
