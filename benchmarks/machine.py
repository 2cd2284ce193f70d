"""What the figures were taken on."""

import os
import platform
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def line_of(path: str, name: str) -> str:
    """Give the value of the first `name: value` line of a file of /proc."""
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def commit() -> str:
    """Name the state of the checkout."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def describe() -> dict[str, str | int | float]:
    """Describe the machine without naming it; the load tells whether it was at rest."""
    return {
        "cpu": line_of("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count() or 0,
        "memory_gb": round(int(line_of("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load_before": round(os.getloadavg()[0], 2),
    }
