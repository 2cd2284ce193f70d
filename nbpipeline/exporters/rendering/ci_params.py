"""Prints the inputs of a pipeline as JSON for `--params`: those that are not what they are by default.

inputs.json beside it says which variable holds which parameter, behind a `=`. The standard library alone: an
export has this file as it stands here.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any


def main() -> int:
    """Print one line of JSON."""
    listed = json.loads(Path(__file__).with_name("inputs.json").read_text(encoding="utf-8"))
    given = {
        one["parameter"]: _read(os.environ[variable].removeprefix("="), one["default"])
        for variable, one in listed.items()
        if variable in os.environ
    }
    defaults = {one["parameter"]: one["default"] for one in listed.values()}
    sys.stdout.write(json.dumps({name: one for name, one in given.items() if one != defaults[name]}) + "\n")
    return 0


def _read(text: str, default: Any) -> Any:
    """Read a value as what its default is; what is no such thing is left for nbpipeline to refuse."""
    if isinstance(default, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
