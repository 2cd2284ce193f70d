"""`dataclass` as in the standard library, but that a method is made when it is first needed.

The standard one compiles up to seven functions for every class: 0.6 ms on Python 3.11. A command that finds
nothing to do loads more than a hundred classes, makes one or two values of most, and compares few.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

FEW = 100
"""So many values of a class are made field by field, before a function is compiled for it: that costs as much
as a hundred values save by it."""
_MAKING: dict[str, dict[str, bool]] = {
    "__init__": {"repr": False, "eq": False},
    "__repr__": {"init": False, "eq": False},
    "__eq__": {"init": False, "repr": False},
    "__hash__": {"init": False, "repr": False, "frozen": True},
}
"""What makes the standard decorator make no more than the method."""
_KEPT = ("default", "default_factory", "init", "repr", "hash", "compare", "kw_only")

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(
        cls: Any = None, /, *, frozen: bool = False, slots: bool = False, kw_only: bool = False
    ) -> Any:
        """Make a dataclass; every keyword as in the standard library, the others are not known here."""
        if cls is None:
            return lambda given: dataclass(given, frozen=frozen, slots=slots, kw_only=kw_only)
        own = set(vars(cls))
        if cls.__doc__ is None:  # else the standard one makes one of the signature, which takes 2 ms
            cls.__doc__ = f"{cls.__name__}."
        if "__eq__" in own and cls.__hash__ is None:  # so Python has it where only the one is written
            own.discard("__hash__")
        made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots, kw_only=kw_only)(cls)
        if "__init__" not in own:
            made.__init__ = _first(made, frozen=frozen)
        for name in ("__repr__", "__eq__", "__hash__")[: 3 if frozen else 2]:
            if name not in own:
                setattr(made, name, _late(made, name, frozen=frozen))
        if frozen:
            made.__setattr__, made.__delattr__ = _not_set, _not_deleted
            if slots:
                made.__getstate__, made.__setstate__ = _state, _set_state
        elif "__hash__" not in own:
            made.__hash__ = None
        return made


def _late(cls: type, name: str, *, frozen: bool) -> Callable[..., Any]:
    """Stand for a method until it is called."""

    def method(self: Any, /, *given: Any, **named: Any) -> Any:
        made = _made(cls, name, frozen=frozen)
        setattr(cls, name, made)
        return made(self, *given, **named)

    return method


def _first(cls: Any, *, frozen: bool) -> Callable[..., None]:
    """Stand for `__init__` for the first few values."""
    left = FEW

    def method(self: Any, /, *given: Any, **named: Any) -> None:
        nonlocal left
        left -= 1
        values = _values(cls, given, named) if left > 0 else None
        if values is None:
            made = cls.__init__ = (
                _filling(cls) if frozen and _simple(cls) else _made(cls, "__init__", frozen=frozen)
            )
            made(self, *given, **named)
            return
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if hasattr(cls, "__post_init__"):
            self.__post_init__()

    return method


def _values(cls: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give each field its value; None for what a compiled `__init__` knows, wrong arguments above all."""
    fields = dataclasses.fields(cls)
    found = dict(zip((one.name for one in fields if not one.kw_only), given, strict=False))
    if len(found) < len(given) or not found.keys().isdisjoint(named):
        return None
    found.update(named)
    values = {}
    for one in fields:
        if not one.init:
            return None
        if one.name in found:
            values[one.name] = found[one.name]
        elif one.default is not dataclasses.MISSING:
            values[one.name] = one.default
        elif one.default_factory is not dataclasses.MISSING:
            values[one.name] = one.default_factory()
        else:
            return None
    return values if found.keys() <= values.keys() else None


_FILLING = """
def make({outer}):
    def __init__(self, {parameters}):
        {factories}
        if self.__class__ is _cls:
            _put(self, "__class__", _opened)
            {filled}
            self.__class__ = _cls
        else:
            for _name, _value in ({pairs}): _put(self, _name, _value)
        {after}
    return __init__
"""


def _simple(cls: Any) -> bool:
    return cls.__bases__ == (object,) and all(one.init for one in dataclasses.fields(cls))


def _filling(cls: Any) -> Callable[..., None]:
    """Compile the `__init__` of a frozen class.

    It fills a value while that is of an open class with the same slots. To go round the frozen one's refusal
    by `object.__setattr__`, as the standard library does, costs as much for one field as this does for ten.
    """
    fields = dataclasses.fields(cls)
    slots = {"__slots__": cls.__slots__} if "__slots__" in vars(cls) else {}
    held = {"_cls": cls, "_put": object.__setattr__, "_absent": dataclasses.MISSING}
    held["_opened"] = type(cls.__name__, (), slots)
    made_for_each = [one for one in fields if one.default_factory is not dataclasses.MISSING]
    held |= {f"{one.name}_": one.default for one in fields} | {
        f"{one.name}_": one.default_factory for one in made_for_each
    }
    placed = ", ".join(_parameter(one) for one in fields if not one.kw_only)
    named = ", ".join(_parameter(one) for one in fields if one.kw_only)
    source = _FILLING.format(
        outer=", ".join(held),
        parameters=", ".join([placed] * bool(placed) + ["*", named] * bool(named)),
        factories="; ".join(
            f"{one.name} = {one.name}_() if {one.name} is _absent else {one.name}" for one in made_for_each
        )
        or "pass",
        filled="; ".join(f"self.{one.name} = {one.name}" for one in fields) or "pass",
        pairs="".join(f"({one.name!r}, {one.name})," for one in fields),
        after="self.__post_init__()" if hasattr(cls, "__post_init__") else "pass",
    )
    found: dict[str, Any] = {}
    exec(source, found)  # noqa: S102 - as the standard library does: nothing varies but the names of fields
    init: Callable[..., None] = found["make"](**held)
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _parameter(one: "dataclasses.Field[Any]") -> str:
    if one.default_factory is not dataclasses.MISSING:
        return f"{one.name}=_absent"
    return one.name if one.default is dataclasses.MISSING else f"{one.name}={one.name}_"


def _made(cls: Any, name: str, *, frozen: bool) -> Any:
    """Let the standard decorator make the method, for a class of the same fields."""
    fields = dataclasses.fields(cls)
    body: dict[str, Any] = {one.name: _field(one) for one in fields}
    body["__annotations__"] = {one.name: one.type for one in fields}
    body["__qualname__"], body["__module__"], body["__doc__"] = cls.__qualname__, cls.__module__, cls.__doc__
    if hasattr(cls, "__post_init__"):
        body["__post_init__"] = cls.__post_init__
    how = {"frozen": frozen, **_MAKING[name]}
    return getattr(dataclasses.dataclass(**how)(type(cls.__name__, (), body)), name)


def _field(one: "dataclasses.Field[Any]") -> Any:
    return dataclasses.field(**{name: getattr(one, name) for name in _KEPT})


def _not_set(_self: Any, name: str, _value: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _not_deleted(_self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    """Pickle the fields in their order: there is no `__dict__`."""
    return [getattr(self, one.name) for one in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for one, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, one.name, value)
