"""`alerts:` in pipeline.yaml. Its URLs often hold secrets: from the parser on they are names without one."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from nbpipeline.content import digest_text
from nbpipeline.model import Value
from nbpipeline.patterns import regex
from nbpipeline.reading.kinds import FLAG, choice
from nbpipeline.reading.place import Place
from nbpipeline.reading.shapes import INVALID, Key, ListOf, Table
from nbpipeline.reading.yaml12 import YamlError, load

FILE = "pipeline.yaml"
OCCASIONS = ("failure", "check_failure", "recovery", "warning")
DEFAULT_OCCASIONS = OCCASIONS[:3]
NAMED = f"{FILE}:"
"""Begins what stands for a URL of pipeline.yaml; the digest of its text follows, or nothing for no URL."""
_OPEN = ("on", "rows")
"""Keys that hold no URL; all else under `alerts:`, rightly written or not, may be one."""
_VARIABLE = regex(r"\$\{(\w+)\}")
_SCHEME = regex(r"[A-Za-z][A-Za-z0-9+.-]*://")


class NoUrlError(ValueError):
    """What stands for a URL leads to none; says why, and nothing of the URL."""


class _Url:
    """A URL of apprise's, in which `${NAME}` stands for an environment variable."""

    def read(self, value: Value, place: Place) -> Value:
        """Take its name; what is wrong with it is said without it."""
        if isinstance(value, str) and value.startswith(NAMED) and value != NAMED:
            return value
        place.complain(
            f"{place.key} is no URL of an alert.",
            mend="write one that apprise knows, such as `mailtos://${MAIL_USER}:${MAIL_PASSWORD}@gmail.com`.",
        )
        return INVALID

    def schema(self) -> dict[str, Any]:
        """Describe the text."""
        return {"type": "string"}


ALERTS: Final = Table(
    keys=(
        Key(
            name="urls",
            shape=ListOf(item=_Url()),
            help="Whom to tell: URLs of apprise; `${NAME}` in them is an environment variable.",
        ),
        Key(
            name="on",
            shape=ListOf(item=choice(*OCCASIONS)),
            help="When: a stage failed, a check failed, what failed works again, a check warned.",
            default=list(DEFAULT_OCCASIONS),
        ),
        Key(
            name="rows",
            shape=FLAG,
            help="Whether the first failing rows of a check are told.",
            default=True,
        ),
    )
)


def recipient(alerts: Mapping[str, Value]) -> dict[str, Value]:
    """Give the settings of the tracker that sends alerts, without a secret; none where nobody is told."""
    urls: Sequence[str] = alerts.get("urls") or ()
    if not urls:
        return {}
    occasions = list(alerts.get("on") or DEFAULT_OCCASIONS)
    return {
        "alerts": {
            "urls": list(urls),
            "on": occasions,
            "rows": alerts.get("rows") is not False,
        }
    }


def sealed(document: Value) -> Value:
    """Put names in the place of all URLs of pipeline.yaml, those of its profiles too."""
    if not isinstance(document, dict):
        return document
    found = _sealed_layer(document)
    profiles = found.get("profiles")
    if isinstance(profiles, dict):
        found["profiles"] = {name: _sealed_layer(one) for name, one in profiles.items()}
    return found


def _sealed_layer(layer: Any) -> Any:
    if not isinstance(layer, dict):
        return layer
    found = dict(layer)
    alerts, tracking = found.get("alerts"), found.get("tracking")
    if isinstance(alerts, dict):
        found["alerts"] = {key: one if key in _OPEN else _all_named(one) for key, one in alerts.items()}
    elif alerts is not None:
        found["alerts"] = _all_named(alerts)
    if isinstance(tracking, dict) and "alerts" in tracking:  # they are refused there
        found["tracking"] = {**tracking, "alerts": {}}
    return found


def _all_named(value: Value) -> Value:
    """Name a URL, or each of a list; whatever stands where URLs belong may be one, or hold a secret."""
    return [_named(one) for one in value] if isinstance(value, list) else _named(value)


def _named(url: Value) -> Value:
    """Name a URL; what is none, and yet a text, may hold a secret all the same."""
    if not isinstance(url, str):
        return None if url is None else NAMED
    return f"{NAMED}{digest_text(url)}" if _SCHEME.match(url) or _VARIABLE.match(url) else NAMED


def url_of(name: str, root: Path, environment: Mapping[str, str]) -> str:
    """Give the URL that a name of `recipient` stands for. Raises NoUrlError."""
    found = next((one for one in _written(root) if _named(one) == name), None)
    if found is None:
        raise NoUrlError(f"its URL stands in {FILE} no more")
    lacking = [one for one in _VARIABLE.findall(found) if not environment.get(one)]
    if lacking:
        raise NoUrlError(f"{' and '.join(lacking)} is not set in the environment")
    return _VARIABLE.sub(lambda variable: environment[variable[1]], found)


def _written(root: Path) -> Iterator[str]:
    """Give all URLs of pipeline.yaml, those of its profiles too."""
    try:
        data = load((root / FILE).read_text(encoding="utf-8")).value
    except (OSError, ValueError, YamlError) as error:
        raise NoUrlError(f"{FILE} cannot be read") from error
    profiles = _mapping(_mapping(data).get("profiles"))
    for layer in (data, *profiles.values()):
        urls = _mapping(_mapping(layer).get("alerts")).get("urls")
        yield from (one for one in (urls if isinstance(urls, list) else [urls]) if isinstance(one, str))


def _mapping(value: Value) -> Mapping[str, Value]:
    return value if isinstance(value, Mapping) else {}
