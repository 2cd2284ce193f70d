"""What a key's value may be: each shape reads a value, and describes itself as JSON Schema.

A shape that finds something wrong complains at the value's place and gives `INVALID`; the reader
goes on, so that a file's author hears everything at once.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Final, Protocol

from nbpipeline.model import Value
from nbpipeline.reading.place import Place, mend_by_name
from nbpipeline.values import dataclass


class Invalid(Enum):
    """The mark of a value that was complained about."""

    INVALID = "invalid"


INVALID: Final = Invalid.INVALID


class Shape(Protocol):
    """Reads a value of one kind."""

    def read(self, value: Value, place: Place) -> Value:
        """Give the value as the model wants it, or complain and give INVALID."""

    def schema(self) -> dict[str, Any]:
        """Describe the values that are allowed, as JSON Schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value that a function converts, or refuses by ValueError."""

    wants: str
    example: str
    convert: Callable[[Value], Value]
    json: Mapping[str, Any]
    words: tuple[str, ...] = ()
    """The values, where they are few."""

    def read(self, value: Value, place: Place) -> Value:
        """Convert the value."""
        try:
            return self.convert(value)
        except ValueError:
            mend = mend_by_name(str(value), list(self.words), f"write, for example, {self.example}.")
            place.complain(f"{place.key} is {shown(value)}; it wants {self.wants}.", mend=mend)
            return INVALID

    def schema(self) -> dict[str, Any]:
        """Describe the value."""
        return dict(self.json)


@dataclass(frozen=True, slots=True)
class Text:
    """Text."""

    wants: ClassVar[str] = "text"

    def read(self, value: Value, place: Place) -> Value:
        """Take the text as it is."""
        if not isinstance(value, str):
            mend = "write, for example, a word, in quotes if it looks like a number."
            place.complain(f"{place.key} is {shown(value)}; it wants {self.wants}.", mend=mend)
        elif not value.strip():
            place.complain(
                f"{place.key} is {shown(value)}; it wants some text.", mend="write it, or take it out."
            )
        elif "\0" in value:
            place.complain(f"{place.key} holds the character NUL.", mend="take the character out.")
        else:
            return value
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Describe the text."""
        return {"type": "string"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """A value that others read."""

    def read(self, value: Value, place: Place) -> Value:  # noqa: ARG002 - nothing to complain about
        """Take the value as it is."""
        return value

    def schema(self) -> dict[str, Any]:
        """Allow all."""
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """A list; a single value stands for a list of one."""

    item: Shape

    def read(self, value: Value, place: Place) -> Value:
        """Read each item; those that are invalid are left out."""
        if value is None:
            return ()
        if not isinstance(value, list):
            value, places = [value], [place]
        else:
            places = [place.child(number) for number in range(len(value))]
        read = [self.item.read(item, at) for item, at in zip(value, places, strict=True)]
        return tuple(item for item in read if item is not INVALID)

    def schema(self) -> dict[str, Any]:
        """Describe the list and the single value."""
        item = self.item.schema()
        return {"anyOf": [{"type": "array", "items": item}, item]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A value that keeps its place, for what is checked later."""

    item: Shape

    def read(self, value: Value, place: Place) -> Value:
        """Give the pair of value and place."""
        read = self.item.read(value, place)
        return INVALID if read is INVALID else (read, place)

    def schema(self) -> dict[str, Any]:
        """Describe the value."""
        return self.item.schema()


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOf:
    """A mapping from names to values of one shape."""

    item: Shape
    wants: str = "a mapping"
    name: Callable[[str], str] | None = None
    """Raises ValueError, saying what the name should be, for a key that is none."""

    def read(self, value: Value, place: Place) -> Value:
        """Read each value; those that are invalid are left out."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            return _no_mapping(value, place, self.wants)
        found = {}
        for key, item in value.items():
            at = place.child(key)
            if self._named(key, at) and (read := self.item.read(item, at)) is not INVALID:
                found[key] = read
        return found

    def _named(self, key: Value, place: Place) -> bool:
        if not isinstance(key, str):
            place.complain(f"the key {key!r} is no text.", mend=f"put it in quotes: '{key}'.")
            return False
        try:
            if self.name:
                self.name(key)
        except ValueError as error:
            place.complain(f"{key!r} is no name here.", known=str(error), mend="take another name.")
            return False
        return True

    def schema(self) -> dict[str, Any]:
        """Describe the mapping."""
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table: what drives the reader, the JSON Schema and the docs alike."""

    name: str
    shape: Shape
    help: str
    default: Value = None
    owner: str = "nbpipeline"
    """Who reads the value: `nbpipeline`, or `plug-in`."""
    nullable: bool = True
    """Whether `null` is allowed: it takes back what a lower layer says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A mapping with known keys."""

    keys: tuple[Key, ...]
    wants: str = "a mapping"
    elsewhere: Mapping[str, str] | None = None
    """The mend for keys that have their place elsewhere."""

    def read(self, value: Value, place: Place) -> Value:
        """Read each key; unknown ones are complained about with the known word that is nearest."""
        if value is None:
            return {}
        if not isinstance(value, dict):
            return _no_mapping(value, place, self.wants)
        known = {key.name: key for key in self.keys}
        found = {}
        for name, item in value.items():
            at = place.child(name)
            if name not in known:
                self._unknown(str(name), at, known)
                continue
            read = None if item is None and known[name].nullable else known[name].shape.read(item, at)
            if read is not INVALID:
                found[name] = read
        return found

    def _unknown(self, name: str, place: Place, known: Mapping[str, Key]) -> None:
        mend = (self.elsewhere or {}).get(name) or mend_by_name(name, known, "take the key out.")
        place.complain(f"unknown key {name!r}.", known=f"known keys: {', '.join(sorted(known))}", mend=mend)

    def schema(self) -> dict[str, Any]:
        """Describe the keys."""
        properties = {}
        for key in self.keys:
            described = key.shape.schema()
            if key.nullable and described:
                described = {"anyOf": [*described.get("anyOf", [described]), {"type": "null"}]}
            described["description"] = key.help
            if key.default is not None:
                described["default"] = key.default
            properties[key.name] = described
        return {"type": "object", "properties": properties, "additionalProperties": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Short:
    """A table that may be written short: a value that is no mapping is one key's."""

    table: Table
    key: str
    short: Shape

    def read(self, value: Value, place: Place) -> Value:
        """Read the table, or the short form as the table that it stands for."""
        if isinstance(value, dict):
            return self.table.read(value, place)
        read = self.short.read(value, place)
        return INVALID if read is INVALID else {self.key: read}

    def schema(self) -> dict[str, Any]:
        """Describe both forms."""
        return {"anyOf": [*_alternatives(self.short.schema()), self.table.schema()]}


def _alternatives(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return schema["anyOf"] if set(schema) == {"anyOf"} else [schema]


def shown(value: Value) -> str:
    """Write a value as a message shows it, at most 60 characters long."""
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    if value is None:
        return "empty"
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


_LONGEST = 60


def _no_mapping(value: Value, place: Place, wants: str) -> Invalid:
    place.complain(
        f"{place.key} is {shown(value)}; it wants {wants}.",
        mend="write `key: value` lines, indented under it.",
    )
    return INVALID
