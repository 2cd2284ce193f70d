"""What stands in an instance's folder of its checks, and which of them warn; the page is made elsewhere."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = "checks.html"
DATA = "checks.json"


def outcome(check: Mapping[str, Any]) -> str:
    """Say in a word how a check went, by the data of its event."""
    if check["passed"]:
        return "passed"
    return "warned" if check.get("severity") == "warn" else "failed"


def warnings_of(folder: Path) -> list[str]:
    """Say which checks with `severity: warn` did not hold, by an instance's checks.json."""
    try:
        checks = json.loads((folder / DATA).read_text(encoding="utf-8"))["checks"]
        return [
            f"warning: {one['side']} '{one['artifact']}': {one['check']}: {one.get('message', '')}"
            for one in checks
            if outcome(one) == "warned"
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
