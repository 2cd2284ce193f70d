"""How a pandera schema is named: `module:Class`, as written and before anything is imported."""

from collections.abc import Iterator, Mapping

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Check
from nbpipeline.patterns import regex

_NAMED = regex(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
FORM = "'pandera' wants a schema as MODULE:CLASS, for example `pandera: flights_schema:Flights`"


def schema_of(check: Check) -> tuple[str, str]:
    """Give the module and the name in it of the schema that a check, written rightly, names."""
    given = check.arguments
    module, _, name = str(given["schema"] if isinstance(given, Mapping) else given).partition(":")
    return module, name


def complaints(check: Check) -> tuple[str, ...]:
    """Say what is wrong with a `pandera` check as it is written."""
    return tuple(_complaints(check))


def _complaints(check: Check) -> Iterator[str]:
    given = check.arguments
    if isinstance(given, Mapping):
        for key in given:
            if key != "schema":
                near = did_you_mean(str(key), ("schema", "severity"))
                guess = f"; did you mean '{near}'?" if near else ""
                yield f"'pandera' has no '{key}'; known: schema{guess}"
        given = given.get("schema")
    if not (isinstance(given, str) and _NAMED.fullmatch(given)):
        yield f"{FORM}, not {given!r}"
    if check.mostly is not None:
        yield "'pandera' has no 'mostly': the schema says what must hold"
