"""pipeline.yaml's `schedule`: cron's five fields, as crontab(5) has them, and a time zone."""

from collections.abc import Callable, Iterator
from typing import Any

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Value
from nbpipeline.patterns import regex
from nbpipeline.reading.place import Place
from nbpipeline.reading.shapes import INVALID, Key, Short, Table, Text, shown
from nbpipeline.values import dataclass

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, DAYS),
)
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART = regex(r"(\*|[0-9a-z]{1,9})(?:-([0-9a-z]{1,9}))?(?:/([0-9]{1,9}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Text that a function brings into one form, and another one finds fault with."""

    wants: str
    example: str
    form: Callable[[str], str]
    faults: Callable[[str], Iterator[tuple[str, str]]]
    """Each is what is wrong, and the mend."""

    def read(self, value: Value, place: Place) -> Value:
        """Take the text, or complain of each fault."""
        if not isinstance(value, str):
            mend = f"write, for example, `{self.example}`."
            place.complain(f"{place.key} is {shown(value)}; it wants {self.wants}.", mend=mend)
            return INVALID
        read = Text().read(value, place)
        if read is INVALID:
            return INVALID
        text = self.form(str(read))
        faults = list(self.faults(text))
        for what, mend in faults:
            place.complain(what, mend=mend)
        return INVALID if faults else text

    def schema(self) -> dict[str, Any]:
        """Describe the text."""
        return Text().schema()


def _canonical(text: str) -> str:
    cron = text.strip().lower()
    return " ".join(_NICKNAMES.get(cron, cron).split())


def _wrong_fields(cron: str) -> Iterator[tuple[str, str]]:
    fields = cron.split(" ")
    if len(fields) != len(FIELDS):
        yield (
            f"cron '{cron}' has {len(fields)} field{'s' if len(fields) > 1 else ''}, not five.",
            "write minute, hour, day of the month, month, day of the week: `0 3 * * *` is 3 o'clock each day",
        )
        return
    for text, (name, lowest, highest, names) in zip(fields, FIELDS, strict=True):
        for part in text.split(","):
            if not _is_part(part, lowest, highest, names):
                yield (
                    f"cron '{cron}': '{part}' is no {name}.",
                    f"write {lowest} to {highest}, `*`, a range `a-b`, steps `*/n`, or several with commas",
                )


def _is_part(part: str, lowest: int, highest: int, names: tuple[str, ...]) -> bool:
    match = _PART.fullmatch(part)
    if match is None:
        return False
    first, last, step = match.groups()
    if step is not None and not 1 <= int(step) <= highest:
        return False
    if first == "*":
        return last is None
    ends = [number_of(one, lowest, names) for one in (first, last) if one is not None]
    inside = [one for one in ends if one is not None and lowest <= one <= highest]
    return len(inside) == len(ends) and inside == sorted(inside)


def number_of(text: str, lowest: int, names: tuple[str, ...]) -> int | None:
    """Give the number that a word of a field means; None for no number and no name."""
    if text.isascii() and text.isdigit():
        return int(text)
    return names.index(text) + lowest if text in names else None


def _wrong_zone(zone: str) -> Iterator[tuple[str, str]]:
    from zoneinfo import ZoneInfo, available_timezones  # noqa: PLC0415 - few pipelines have one

    if zone == "UTC":
        return
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        known = available_timezones()
        if not known:  # a machine without the tz database cannot tell
            return
        near = did_you_mean(zone, known)
        mend = f"did you mean '{near}'?" if near else "give a name such as UTC or Europe/Berlin"
        yield f"there is no time zone '{zone}'.", mend


CRON = Checked(
    wants="cron's five fields, or a word such as `@daily`",
    example="0 3 * * *",
    form=_canonical,
    faults=_wrong_fields,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Schedule(Short):
    """One that has a time zone alone would never come."""

    def read(self, value: Value, place: Place) -> Value:
        """Read it; complain of a time zone without cron."""
        read = Short.read(self, value, place)
        if isinstance(value, dict) and value.get("timezone") and not value.get("cron"):
            place.child("timezone").complain(
                "the schedule has a time zone, and no 'cron'.",
                mend="write `cron: ...` beside it; a profile's schedule stands for all of the other one.",
            )
            return INVALID
        return read


SCHEDULE = _Schedule(
    key="cron",
    short=CRON,
    table=Table(
        wants="cron's five fields, or a mapping",
        keys=(
            Key(name="cron", shape=CRON, help="When."),
            Key(
                name="timezone",
                shape=Checked(
                    wants="the name of a time zone",
                    example="Europe/Berlin",
                    form=str.strip,
                    faults=_wrong_zone,
                ),
                help="By whose clock: a name of the tz database.",
                default="UTC",
            ),
        ),
    ),
)
