"""Reads pipeline.yaml's `schedule`: cron's five fields, as crontab(5) has them, and a time zone."""

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo, available_timezones

from nbpipeline.errors import Complaint, ReadingError, did_you_mean
from nbpipeline.location import Location
from nbpipeline.model import Value
from nbpipeline.model.exported import Schedule
from nbpipeline.patterns import regex

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
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
_PART = regex(r"(\*|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]+))?")


def read_schedule(written: Mapping[str, Value], file: str) -> Schedule | None:
    """Give the schedule; None where there is none. Raises ReadingError for what is no cron or no zone."""
    if not written.get("cron"):
        return None
    cron = str(written["cron"]).strip().lower()
    cron = " ".join(_NICKNAMES.get(cron, cron).split())
    zone = str(written.get("timezone") or "UTC")
    wrong = [*_wrong_fields(cron), *_wrong_zone(zone)]
    if wrong:
        where = Location(path=file) if file else None
        raise ReadingError(
            [Complaint(where=where, what=f"schedule: {what}", mend=mend) for what, mend in wrong]
        )
    return Schedule(cron=cron, timezone=zone)


def _wrong_fields(cron: str) -> Iterator[tuple[str, str]]:
    fields = cron.split(" ")
    if len(fields) != len(_FIELDS):
        yield (
            f"cron '{cron}' has {len(fields)} field{'s' if len(fields) > 1 else ''}, not five.",
            "write minute, hour, day of the month, month, day of the week: `0 3 * * *` is 3 o'clock each day",
        )
        return
    for text, (name, lowest, highest, names) in zip(fields, _FIELDS, strict=True):
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
    ends = [_number(one, lowest, names) for one in (first, last) if one is not None]
    inside = [one for one in ends if one is not None and lowest <= one <= highest]
    return len(inside) == len(ends) and inside == sorted(inside)


def _number(text: str, lowest: int, names: tuple[str, ...]) -> int | None:
    if text.isascii() and text.isdigit():
        return int(text)
    return names.index(text) + lowest if text in names else None


def expanded(field: str, place: int) -> list[int]:
    """Give the numbers that one of the five fields means; `place` counts from 0. Sunday is 0 or 7."""
    _, lowest, highest, names = _FIELDS[place]
    found: set[int] = set()
    for part in field.split(","):
        ends, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if ends == "*" else ends).partition("-")
        begin, end = (_number(one, lowest, names) or 0 for one in (first, last or first))
        found.update(range(begin, (highest if step and not last else end) + 1, int(step or 1)))
    return sorted(found)


def weekdays(field: str) -> list[int]:
    """Give the days of the week that the last field means: Sunday is 0."""
    return sorted({day % 7 for day in expanded(field, len(_FIELDS) - 1)})


def _wrong_zone(zone: str) -> Iterator[tuple[str, str]]:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        near = did_you_mean(zone, available_timezones())
        mend = f"did you mean '{near}'?" if near else "give a name such as UTC or Europe/Berlin"
        yield f"there is no time zone '{zone}'.", mend


def cron_of(schedule: Schedule) -> str:
    """Write the five fields as POSIX, Go and GitHub read them, for which Sunday is 0 and never 7."""
    *fields, days = schedule.cron.split(" ")
    if "7" in days:
        days = ",".join(str(one) for one in weekdays(days))
    return " ".join([*fields, days])
