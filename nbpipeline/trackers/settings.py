"""What is wrong with a tracker's settings as far as all trackers have it in common."""

from collections.abc import Iterator, Mapping, Sequence

from nbpipeline.errors import did_you_mean
from nbpipeline.model import Value


def wrong(settings: Mapping[str, Value], keys: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Give each key that is none of `keys` and each value that is no text, with the mend."""
    for key, value in settings.items():
        if key not in keys:
            close = did_you_mean(key, keys)
            yield f"unknown key '{key}'.", f"did you mean '{close}'?" if close else f"keys: {', '.join(keys)}"
        elif not isinstance(value, str) or not value.strip():
            yield f"{key}: {value!r} is no text.", f"write it as text: `{key}: ...`"
