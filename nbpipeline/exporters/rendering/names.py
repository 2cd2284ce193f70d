"""Names that a target allows for what the pipeline calls otherwise."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

PYDANTIC = frozenset(
    {
        *("construct", "copy", "dict", "from_orm", "json", "parse_file", "parse_obj", "parse_raw", "schema"),
        *("schema_json", "update_forward_refs", "validate"),
        *("model_computed_fields", "model_config", "model_construct", "model_copy", "model_dump"),
        *("model_dump_json", "model_extra", "model_fields", "model_fields_set", "model_json_schema"),
        *("model_parametrized_name", "model_post_init", "model_rebuild", "model_validate"),
        *("model_validate_json", "model_validate_strings"),
    }
)
"""What fields of a pydantic model cannot be called: its own members."""


def snake(text: str) -> str:
    """Make an identifier of letters, digits and `_` that begins with no digit: `train[region=eu]` too."""
    return _made(text, "_", lead="_")


def kebab(text: str) -> str:
    """Make a DNS label: small letters, digits and `-`, a letter first."""
    return _made(text.lower(), "-", lead="t-")


def identifiers(
    ids: Iterable[str],
    make: Callable[[str], str],
    longest: int = 60,
    taken: Iterable[str] = (),
    separator: str = "_",
    *,
    fold: bool = False,
) -> Mapping[str, str]:
    """Give each id a name of its own.

    Where several would get the same, each but one that is its own name is told apart by a hash of the id, so
    that no name hangs on the order of the others. `taken` are names that are not to be given; `separator`
    stands before the hash: a character that `make` gives, too. `fold`: the target takes `C` and `c` for one.
    """
    all_ids = tuple(ids)
    made = {one: make(one) for one in all_ids}
    alike = str.lower if fold else str
    count = Counter(map(alike, made.values()))
    own = Counter(alike(one) for one, name in made.items() if one == name)
    reserved = frozenset(map(alike, taken))

    def final(one: str, name: str) -> str:
        unique = count[alike(name)] == 1 or (name == one and own[alike(name)] == 1)
        if unique and len(name) <= longest and alike(name) not in reserved:
            return name
        digest = hashlib.sha256(one.encode(errors="surrogatepass")).hexdigest()[:8]
        return f"{name[: longest - 9].rstrip(separator)}{separator}{digest}"

    return {one: final(one, name) for one, name in made.items()}


def _made(text: str, filler: str, lead: str) -> str:
    kept = [one if one.isascii() and one.isalnum() else filler for one in text]
    name = "".join(kept)
    while filler * 2 in name:
        name = name.replace(filler * 2, filler)
    name = name.strip(filler) or "x"
    return name if name[0].isalpha() else f"{lead}{name}"


def labels(ids: Iterable[str], longest: int = 60, taken: Iterable[str] = ()) -> Mapping[str, str]:
    """Give each id a DNS label of its own."""
    return identifiers(ids, kebab, longest, taken, separator="-")
