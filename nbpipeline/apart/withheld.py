"""What does not travel with jobs: passwords in addresses, and secret options of a store.

Workers take them from their own environment, as they take their credentials.
"""

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from nbpipeline.stores.remote import is_secret


def bare_url(text: str, *, keep_user: bool = False) -> str:
    """Take `user:password@` out of an address; with `keep_user` only the password. Other texts stay."""
    scheme, colon, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    user, at, place = host.rpartition("@")
    if not (colon and at):
        return text
    name, colon, _ = user.partition(":")
    if keep_user and name:
        return f"{scheme}://{name}@{place}{slash}{path}" if colon else text
    return f"{scheme}://{place}{slash}{path}"


_SECRET = re.compile(r"(.*(key|secret|token|password)|pass(wd|phrase)?|pwd|credential|sas)s?")
"""What a word of an option's name is that holds a secret."""
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def holds_secret(name: str) -> bool:
    """Whether an option of that name holds a secret; one that names a key by its id does not."""
    words = [one.lower() for one in _WORDS.findall(name)]
    if words[-2:] == ["key", "id"] and "access" not in words:
        return False
    return any(map(_SECRET.fullmatch, words)) or {"connection", "string"} <= {*words}


def bare_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the options whose names speak of secrets, and passwords in addresses."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            found[name] = bare_options(value)
        elif not holds_secret(name):
            found[name] = bare_url(value) if isinstance(value, str) else value
    return found


def left_out(options: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Name the options that `bare_options` leaves out or shortens."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from left_out(value, f"{before}{name}.")
        elif holds_secret(name) or (isinstance(value, str) and bare_url(value) != value):
            yield f"{before}{name}"


def bare_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Take passwords out of addresses in variables, and leave out those that are secrets by their names."""
    return {name: bare_url(value) for name, value in variables.items() if not is_secret(name)}


def told(variables: Mapping[str, str]) -> Iterator[str]:
    """Say of which variables of a kernel workers have to have the secret part themselves."""
    bare = bare_variables(variables)
    for name in sorted(variables):
        if name not in bare:
            yield f"{name} does not travel: start workers with it"
        elif bare[name] != variables[name]:
            yield f"{name} travels without user and password: start workers with what its library reads"


def completed(variables: Mapping[str, str]) -> dict[str, str]:
    """Take this machine's own value for a variable where it is the same address, with its password."""
    own = {name: os.environ.get(name, "") for name in variables}
    return {name: own[name] if bare_url(own[name]) == value else value for name, value in variables.items()}
