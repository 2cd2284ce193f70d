"""Our `dataclass` does what the standard one does, at the first value as at the hundredth."""

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError, asdict, field, fields, replace
from subprocess import PIPE

import pytest

from nbpipeline import values
from nbpipeline.location import Location
from nbpipeline.values import FEW, dataclass

KINDS = {"standard": dataclasses.dataclass, "late": dataclass}


def classes(kind):
    """The same three classes by one of the two decorators."""
    made = KINDS[kind]

    @made(frozen=True, slots=True, kw_only=True)
    class Stage:
        name: str
        inputs: tuple[str, ...] = ()
        notes: list[str] = field(default_factory=list, compare=False, repr=False)

        @property
        def loud(self) -> str:
            return self.name.upper()

    @made(frozen=True, slots=True)
    class Place:
        path: str
        line: int = 1
        column: int | None = None

        def __post_init__(self) -> None:
            if self.line < 0:
                raise ValueError(self.line)

    @made(slots=True)
    class Count:
        number: int = 0
        seen: dict[str, int] = field(default_factory=dict)

        def __repr__(self) -> str:
            return f"<{self.number}>"

    return Stage, Place, Count


@pytest.fixture(params=KINDS)
def three(request):
    return classes(request.param)


TRIES = [
    ("Stage", (), {"name": "train"}),
    ("Stage", (), {"name": "train", "inputs": ("a",), "notes": ["b"]}),
    ("Stage", ("train",), {}),
    ("Stage", (), {}),
    ("Stage", (), {"name": "train", "unknown": 1}),
    ("Place", ("a.ipynb",), {}),
    ("Place", ("a.ipynb", 3), {"column": 4}),
    ("Place", ("a.ipynb", 3), {"line": 4}),
    ("Place", ("a.ipynb", 1, 2, 3), {}),
    ("Place", (), {"line": 2}),
    ("Place", ("a.ipynb", -1), {}),
    ("Count", (), {}),
    ("Count", (3,), {"seen": {"a": 1}}),
]


def outcome(kind, name, given, named):
    """What comes of making a value: what is seen of it, or the error's kind and words."""
    made = {one.__name__: one for one in classes(kind)}[name]
    seen = []
    for _ in range(FEW + 2):
        try:
            value = made(*given, **named)
        except (TypeError, ValueError) as error:
            seen.append((type(error), str(error)))
        else:
            seen.append((repr(value), asdict(value), value == made(*given, **named), value != 3))
    return seen


@pytest.mark.parametrize(("name", "given", "named"), TRIES)
def test_making(name, given, named):
    assert outcome("late", name, given, named) == outcome("standard", name, given, named)


def test_values_are_equal_by_what_is_compared(three):
    stage, place, count = three
    assert stage(name="a", notes=["b"]) == stage(name="a")
    assert hash(stage(name="a", notes=["b"])) == hash(stage(name="a"))
    assert len({stage(name="a"), stage(name="b"), stage(name="a")}) == 2
    assert stage(name="a") != place("a")
    assert count(1) == count(1) != count(2)
    assert stage(name="a").__eq__(3) is not True
    with pytest.raises(TypeError, match="unhashable"):
        hash(count(1))


def test_frozen_is_frozen(three):
    stage, _, count = three
    value = stage(name="a")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        value.name = "b"
    with pytest.raises((FrozenInstanceError, TypeError)):  # the standard one stumbles over a class with slots
        value.other = 1
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del value.name
    assert value.name == "a"
    changed = count()
    changed.number += 1
    assert repr(changed) == "<1>"


@pytest.mark.parametrize("made", KINDS.values(), ids=KINDS)
def test_methods_of_the_class_s_own_stay(made):
    @made(frozen=True)
    class Near:  # noqa: PLW1641 - its hash is the decorator's
        number: int

        def __eq__(self, other) -> bool:
            return abs(self.number - other.number) < 2

    @made(frozen=True)
    class Named:
        name: str

        def __hash__(self) -> int:
            return 7

    assert Near(1) == Near(2) != Near(4)
    assert hash(Near(1)) == hash(Near(1)) != hash(Near(3))
    assert hash(Named("a")) == 7


def test_what_is_made_for_each_is_its_own(three):
    *_, count = three
    first, second = count(), count()
    first.seen["a"] = 1
    assert second.seen == {}


def test_what_the_library_does_with_them(three):
    stage, place, _ = three
    value = stage(name="a", inputs=("x",))
    assert replace(value, name="b") == stage(name="b", inputs=("x",))
    assert [one.name for one in fields(stage)] == ["name", "inputs", "notes"]
    assert copy.copy(value) == copy.deepcopy(value) == value
    assert place.__match_args__ == ("path", "line", "column")
    assert not hasattr(value, "__dict__")
    assert value.loud == "A"


@dataclass(frozen=True)
class Base:
    name: str


@dataclass(frozen=True)
class Derived(Base):
    size: int = 0


def test_a_value_crosses_to_another_process_before_one_was_made_there():
    sent = Location(path="a.ipynb", cell=3)
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"
    done = subprocess.run([sys.executable, "-c", program], input=pickle.dumps(sent), stdout=PIPE, check=True)
    assert done.stdout.decode().strip() == str(sent) == "a.ipynb, cell 3"


def test_a_derived_class_has_the_fields_of_both():
    for _ in range(FEW + 1):
        assert Derived("a", 3) == Derived(name="a", size=3) != Derived("a")
    assert repr(Derived("a")) == "Derived(name='a', size=0)"
    assert Base("a") != Derived("a")


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_derived_from_a_frozen_one_with_slots(kind):
    _, place, _ = classes(kind)

    class Marked(place):  # it has a `__dict__`, so it is laid out in another way
        mark = "x"

    for _ in range(FEW + 2):
        found = Marked("a.ipynb", 3)
        assert (found.path, found.line, found.column, type(found)) == ("a.ipynb", 3, None, Marked)
        assert type(place("a.ipynb")) is place
    with pytest.raises(ValueError, match="-1"):
        Marked("a.ipynb", -1)
    with pytest.raises(FrozenInstanceError):
        found.line = 4


@pytest.mark.parametrize("made", KINDS.values(), ids=KINDS)
def test_fields_may_be_called_as_what_python_has(made):
    @made(frozen=True, slots=True)
    class Named:
        type: str
        name: str = ""
        value: int = 0
        cls: list[int] = field(default_factory=list)
        object: None = None

    for _ in range(FEW + 2):
        assert asdict(Named("int")) == {"type": "int", "name": "", "value": 0, "cls": [], "object": None}
        assert type(Named("int")) is Named


def test_no_value_is_left_open_when_it_refuses_itself():
    _, place, _ = classes("late")
    for number in range(FEW + 2):
        assert type(place("a", number)) is place
    kept = []
    with pytest.raises(ValueError, match="-1"):
        place.__init__(kept.append(place.__new__(place)) or kept[0], "a", -1)
    assert type(kept[0]) is place


def test_several_threads_make_the_first_values():
    *_, count = classes("late")
    gate = threading.Barrier(8)
    made = []

    def make(number):
        gate.wait(30)
        made.extend(count(number) for _ in range(FEW))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.number for one in made) == sorted([*range(8)] * FEW)


def test_no_signature_is_worked_out_for_a_class_that_says_nothing_of_itself(monkeypatch):
    monkeypatch.setattr(inspect, "signature", pytest.fail)

    @dataclass(frozen=True, slots=True)
    class Silent:
        name: str = ""

    assert Silent.__doc__ == "Silent."
    assert Silent("a").name == "a"


def test_no_function_is_compiled_for_a_few_values(monkeypatch):
    made, real = [], values._filling
    stage, *_ = classes("late")
    monkeypatch.setattr(values, "_filling", lambda cls: made.append(cls) or real(cls))
    for _ in range(FEW - 1):
        stage(name="a")
    assert made == []
    for _ in range(3):
        stage(name="a")
    assert made == [stage]
