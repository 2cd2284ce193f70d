"""What was measured, as it is kept: one JSON file a part, written again after every sample."""

import json
import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.measure import Measurement

VERSION = 1
FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measured command: seconds, bytes, and whether it did what it had to.

    `ran` are the stages that ran, by their own account; `exact` says whether they are the ones that were
    stale.
    """

    runner: str
    phase: str
    number: int
    status: str  # "right", "wrong" (outputs), "failed" (exit code)
    wall: float = 0.0
    cpu: float = 0.0
    rss: int = 0
    pss: int = 0
    processes: int = 0
    left: int = 0
    ran: tuple[str, ...] = ()
    exact: bool = True
    alone: int = 0  # of the command's own process
    written: int = 0
    complaint: str = ""  # of one that is not right: the end of its output, or the outputs that are wrong


def figures(took: Measurement) -> dict[str, Any]:
    """Give what a measurement says to a sample."""
    return {
        "wall": round(took.wall, 4),
        "cpu": round(took.cpu, 3),
        "rss": took.rss,
        "pss": took.pss,
        "processes": took.processes,
        "left": took.left,
        "alone": took.alone,
        "written": took.written,
    }


@dataclass(slots=True)
class Results:
    """The samples of one run of the benchmark, with what they were taken on."""

    path: Path
    machine: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add(self, sample: Sample) -> None:
        """Keep a sample, on disk too."""
        self.samples.append(sample)
        self.save()

    def save(self) -> None:
        """Write the file; a reader sees the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "version": VERSION,
            "machine": dict(self.machine),
            "settings": dict(self.settings),
            "versions": self.versions,
            "samples": [asdict(sample) for sample in self.samples],
        }
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, self.path)  # noqa: PTH105

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote."""
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise ValueError(f"{path}: version {document['version']}, not {VERSION}; measure again")
        samples = [Sample(**one | {"ran": tuple(one["ran"])}) for one in document["samples"]]
        return cls(path, document["machine"], document["settings"], document["versions"], samples)

    def of(self, runner: str, phase: str) -> list[Sample]:
        """Give the samples of a runner in a phase, good and bad."""
        return [one for one in self.samples if (one.runner, one.phase) == (runner, phase)]

    def has(self, runner: str, phase: str, number: int) -> bool:
        """Say whether that sample was taken already."""
        return any(one.number == number for one in self.of(runner, phase))


def right(samples: Iterable[Sample]) -> list[Sample]:
    """Keep the samples that count: exit code 0 and the right outputs."""
    return [one for one in samples if one.status == "right"]


def median(samples: Iterable[Sample], what: str) -> float | None:
    """Give the median of a figure over the samples that count."""
    values = [getattr(one, what) for one in right(samples)]
    return statistics.median(values) if values else None
