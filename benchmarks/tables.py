"""What the tables of docs/benchmarks.md have in common."""

from collections.abc import Iterable, Sequence

from benchmarks import bars
from benchmarks.results_file import Results, Sample, median
from benchmarks.runners import BARE

MEGABYTE = 2**20
MISSING = ""


def seconds(value: float) -> str:
    """Write a duration."""
    return f"{bars.figure(value)} s"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table, figures to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread(samples: Sequence[Sample]) -> str:
    """Write the median of the wall times with the smallest and the largest."""
    values = [one.wall for one in samples]
    middle = seconds(median(samples, "wall") or 0.0)
    if len(values) == 1:
        return middle
    return f"{middle} ({bars.figure(min(values))} to {bars.figure(max(values))})"


def machine_line(results: Results) -> str:
    """Describe what the samples were taken on, and with which versions."""
    there = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items() if name != BARE)
    return (
        f"Measured on {there['date']} at commit {there['commit']}: {there['cpu']}, {there['cores']} cores, "
        f"{there['memory_gb']} GB, {there['system']}, Python {there['python']}; "
        f"load before: {there['load_before']}. Versions: {versions}."
    )


def troubles(samples: Iterable[Sample]) -> str:
    """Show the output of everything that went wrong."""
    bad = [one for one in samples if one.status != "right"]
    return "".join(
        f"\n{one.runner}, {one.phase}, round {one.number}: **{one.status}**\n\n"
        f"```text\n{one.complaint.strip()}\n```\n"
        for one in bad
    )
