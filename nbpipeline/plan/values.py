"""Values in words: one alone, and how two of them differ."""

from collections.abc import Iterator, Mapping

from nbpipeline.encoding import canonical
from nbpipeline.model import PathValue, Value

_SHORT = 60
"""Characters of two values up to which both are shown; longer ones are told by what differs."""
_SHOWN = 5
_NOTHING = object()


def value_text(value: Value) -> str:
    """Write a value as a reader expects it: text without quotes, the rest as JSON."""
    if isinstance(value, (str, PathValue)):
        return str(value)
    return canonical(value)


def whole_change(before: Value, after: Value) -> str:
    """Show both values: `1.0 -> 0.5`."""
    return f"{value_text(before)} -> {value_text(after)}"


def inner_change(before: Value, after: Value, *, checks: bool = False) -> str:
    """Say what differs within mappings and long lists, `added east, removed west`; empty for other values.

    `checks` says that the values are lists of checks, each a name and its arguments.
    """
    if checks:
        before, after = _by_name(before), _by_name(after)
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return _told(_of_mappings(before, after)) or "order changed"
    if not (isinstance(before, list) and isinstance(after, list)):
        return ""
    if len(whole_change(before, after)) <= _SHORT:
        return ""
    old, new = {canonical(one): one for one in before}, {canonical(one): one for one in after}
    come = [f"added {value_text(one)}" for text, one in new.items() if text not in old]
    gone = [f"removed {value_text(one)}" for text, one in old.items() if text not in new]
    return _told(iter(come + gone)) or "order or repeated elements changed"


def _by_name(checks: Value) -> Value:
    """Turn checks into a mapping; those of one name are told apart by number."""
    found: dict[str, Value] = {}
    for one in checks if isinstance(checks, list) else ():
        name, *said = one  # its arguments, and beside them `mostly`, `severity` and the like where it has any
        number = sum(key.partition(" #")[0] == name for key in found) + 1
        found[f"{name} #{number}" if number > 1 else name] = said[0] if len(said) == 1 else said
    return found


def _of_mappings(before: Mapping[str, Value], after: Mapping[str, Value]) -> Iterator[str]:
    for name, now in after.items():
        was = before.get(name, _NOTHING)
        if was is _NOTHING:
            yield f"added {name}"
        elif canonical(was) != canonical(now):
            both = whole_change(was, now)
            yield f"changed {name} ({both})" if len(both) <= _SHORT else f"changed {name}"
    yield from (f"removed {name}" for name in before if name not in after)


def _told(changes: Iterator[str]) -> str:
    found = list(changes)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more
