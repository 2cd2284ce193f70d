"""Says what `mutmut run` has to try for a pattern: `python tests/mutants.py 'nbpipeline.plan.*'`, one name a line.

With `--sample 600 --seed 2026-11-26` it names so many of them, others for another seed.

mutmut goes on where it stopped only when it is asked for all; of what it is given by name it tries everything again.
So this names the mutants that match and have no result yet; where a source changed since mutmut last read it, the
pattern itself: mutmut then makes that source's mutants anew.
"""

import argparse
import json
import random
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parent.parent
MUTANTS = "mutants"
"""Where mutmut keeps mutated sources and, beside each, what came of its mutants."""


def sources(root: Path) -> Iterator[Path]:
    """Give the modules that are mutated, as paths from the project's root."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
    for pattern in settings["only_mutate"]:
        yield from (one.relative_to(root) for one in sorted(root.glob(pattern)) if one.suffix == ".py")


def is_changed(root: Path, source: Path) -> bool:
    """Say whether mutmut would make the mutants of a source anew: it goes by times, as here."""
    mutated = root / MUTANTS / source
    if not mutated.exists():
        return True
    return (root / source).stat().st_mtime >= mutated.stat().st_mtime


def untried(root: Path, pattern: str) -> Iterator[str]:
    """Give the mutants that match and have no result."""
    for source in sources(root):
        kept = root / MUTANTS / f"{source}.meta"
        results = json.loads(kept.read_text(encoding="utf-8"))["exit_code_by_key"] if kept.exists() else {}
        yield from (name for name, code in results.items() if code is None and fnmatch(name, pattern))


def to_try(root: Path, pattern: str) -> list[str]:
    """Give what `mutmut run` is to be given; empty where nothing is left."""
    if any(is_changed(root, source) for source in sources(root)):
        return [pattern]
    return list(untried(root, pattern))


def drawn(names: list[str], count: int | None, seed: str) -> list[str]:
    """Draw so many of the names, in their order; all where there are no more, or no number is given."""
    if count is None or count >= len(names):
        return names
    chosen = set(random.Random(seed).sample(names, count))
    return [name for name in names if name in chosen]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pattern")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", default="")
    given = parser.parse_args()
    print("\n".join(drawn(to_try(ROOT, given.pattern), given.sample, given.seed)))
