"""A schedule as targets write it."""

from nbpipeline.model.exported import Schedule
from nbpipeline.reading.schedule import FIELDS, number_of


def expanded(field: str, place: int) -> list[int]:
    """Give the numbers that one of the five fields means; `place` counts from 0. Sunday is 0 or 7."""
    _, lowest, highest, names = FIELDS[place]
    found: set[int] = set()
    for part in field.split(","):
        ends, _, step = part.partition("/")
        first, _, last = (f"{lowest}-{highest}" if ends == "*" else ends).partition("-")
        begin, end = (number_of(one, lowest, names) or 0 for one in (first, last or first))
        found.update(range(begin, (highest if step and not last else end) + 1, int(step or 1)))
    return sorted(found)


def weekdays(field: str) -> list[int]:
    """Give the days of the week that the last field means: Sunday is 0."""
    return sorted({day % 7 for day in expanded(field, len(FIELDS) - 1)})


def cron_of(schedule: Schedule) -> str:
    """Write the five fields as POSIX, Go and GitHub read them, for which Sunday is 0 and never 7."""
    *fields, days = schedule.cron.split(" ")
    if "7" in days:
        days = ",".join(str(one) for one in weekdays(days))
    return " ".join([*fields, days])
