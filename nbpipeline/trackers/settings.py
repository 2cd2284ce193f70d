"""What trackers' settings have in common: texts by name, and addresses without passwords."""

from collections.abc import Collection, Iterator, Mapping
from importlib.util import find_spec
from urllib.parse import urlsplit

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Value


def is_installed(module: str) -> bool:
    """Whether a module of a library could be imported, without importing it (but for what it stands in)."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def text_complaints(
    settings: Mapping[str, Value], keys: Collection[str], addresses: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Give what is wrong with settings that are all texts, some of them HTTP addresses, and the mend."""
    for key, value in settings.items():
        if key not in keys:
            close = did_you_mean(key, keys)
            yield f"unknown key '{key}'.", f"did you mean '{close}'?" if close else f"keys: {', '.join(keys)}"
        elif not isinstance(value, str) or not value.strip():
            yield f"{key}: {value!r} is no text.", f"write it as text: `{key}: ...`"
        elif key in addresses:
            yield from _address_complaints(key, value)


def _address_complaints(key: str, value: str) -> Iterator[tuple[str, str]]:
    try:
        parts = urlsplit(value)
        held = parts.password is not None
    except ValueError:
        parts, held = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        yield f"{key}: it is no HTTP address.", f"write, for example, `{key}: http://127.0.0.1:5000`"
    elif held:
        yield f"{key}: it holds a password.", "take it out: the docs name the variable to put it in"
