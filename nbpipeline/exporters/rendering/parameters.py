"""Parameters of targets that know few types: which one holds a setting, what becomes of it on its way."""

import json
import math
from typing import NamedTuple

from nbpipeline.model import Value
from nbpipeline.model.exported import Setting

EXACT = 2**53
"""Services hand numbers on as doubles: beyond it two neighbours are one."""


class Given(NamedTuple):
    """A parameter as the target knows it."""

    setting: Setting
    name: str
    type: str
    kind: str
    """Of `bool int float number str list dict`; `JSON`: a text that holds JSON."""


def masked_json(value: Value) -> str:
    """Write JSON in which nothing looks like a placeholder, `{{` or `${{`."""
    return json.dumps(value, ensure_ascii=False).replace("{{", "{\\u007b")


def masked_text(text: str, placeholder: str) -> str:
    """Write a text as it is, or as JSON where the target would take a part of it for a placeholder."""
    return masked_json(text) if placeholder in text else text


def is_beyond(value: Value) -> bool:
    """Say whether a number would become another one on its way."""
    return isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= EXACT)


def about(one: Given) -> str:
    """Describe a parameter, with what a form cannot say."""
    setting = one.setting
    parts = [setting.help] if setting.help else []
    if one.kind == "JSON":
        parts.append("as JSON")
    if setting.choices:
        parts.append(
            f"one of {', '.join(json.dumps(value, ensure_ascii=False) for value in setting.choices)}"
        )
    if setting.min is not None:
        parts.append(f"at least {setting.min:g}")
    if setting.max is not None:
        parts.append(f"at most {setting.max:g}")
    return "; ".join(parts)
