"""Throw damaged headers, tags, cells, notebooks, pipeline.yaml and records at their readers, and see that nothing breaks.

    python tests/fuzz/fuzz.py --target all --seconds 120 --seed 1     # everything, two minutes a target
    python tests/fuzz/fuzz.py --target header --inputs 500            # a number of inputs; the same ones for a seed
    python tests/fuzz/fuzz.py --replay FILE --target header           # one input again
    python tests/fuzz/fuzz.py --replay FILE --target header --minimise

Where atheris is installed (`uv pip install atheris`, Linux), libFuzzer looks for inputs that reach new branches of nbpipeline;
`--engine random`, and any other place, mutates the seeds at random with the same dictionary. What an input must satisfy
stands in oracle.py. Each breach is written to `--finds` (default: fuzz-finds/), once for each place, and tried again by a
process without instrumentation, which also cuts it down. Exit code 1: something was found.
"""

import argparse
import contextlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAMES = ("header", "tags", "cells", "pipeline", "suite", "notebook", "records", "exports")
_LAST = re.compile(r"#\d+\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)")
_RUNS = re.compile(r"Done (\d+) runs|stat::number_of_executed_units:\s*(\d+)")
_MOST_FINDS = 2000
_ADDRESSES = 4 << 30
"""Bytes of addresses of a process that tries: what takes too much ends by MemoryError, and not the machine."""


def main() -> int:
    """Parse, run, print figures."""
    given = _arguments()
    if given.replay:
        return _replay(given)
    if given.worker:
        return _work(given)
    targets = NAMES if given.target == "all" else (given.target,)
    return max(_supervised(target, given) for target in targets)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=(*NAMES, "all"), default="all")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time a target (default: 60)")
    parser.add_argument("--inputs", type=int, default=0, help="stop after so many, whatever the time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=("atheris", "random"), help="default: atheris where it imports")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="folder for what breaks")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="try one input of --target again")
    parser.add_argument("--minimise", action="store_true", help="with --replay: cut the input down")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def engine_of(wanted: str | None) -> str:
    """Choose the engine; asked for by name, atheris has to be there."""
    if wanted is None:
        try:
            import atheris  # noqa: F401 - only to see whether it is there
        except ImportError:
            return "random"
        return "atheris"
    return wanted


# --- the process that watches ----------------------------------------------------------------


def _supervised(target: str, given: argparse.Namespace) -> int:
    """Run one target in a process of its own, for memory, hooks and crashes; then try its finds again."""
    engine = engine_of(given.engine)
    finds = given.finds / target
    finds.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--worker", "--target", target, "--engine", engine]
    command += ["--seconds", str(given.seconds), "--inputs", str(given.inputs), "--seed", str(given.seed)]
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--finds", str(given.finds)], capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - began
    found = _figures(done.stderr, finds)
    crashed = done.returncode != 0  # finds are no reason to
    if crashed:
        (finds / "crash.log").write_text(done.stdout[-20_000:] + done.stderr[-20_000:], encoding="utf-8")
    confirmed = [one for one in sorted(finds.glob("*.input")) if _confirmed(one, target)]
    edges = (
        f"{found['edges']:,} edges, {found['features']:,} features"
        if found["edges"]
        else "no coverage measured"
    )
    print(
        f"{target}: {found['inputs']:,} inputs in {seconds:.0f} s ({engine}, seed {given.seed}), {edges}, "
        f"corpus {found['corpus']:,}, {len(confirmed)} finds{', crashed' if crashed else ''}",
        flush=True,
    )
    for one in confirmed:
        print(f"  {one}: {one.with_suffix('.txt').read_text(encoding='utf-8').splitlines()[0]}", flush=True)
    return int(bool(confirmed) or crashed)


def _figures(log: str, finds: Path) -> dict[str, int]:
    last = _LAST.findall(log)
    runs = [int(one or other) for one, other in _RUNS.findall(log)]
    figures = {"inputs": runs[-1] if runs else 0, "edges": 0, "features": 0, "corpus": 0}
    if last:
        figures |= dict(zip(("edges", "features", "corpus"), map(int, last[-1]), strict=True))
    with contextlib.suppress(OSError, ValueError):
        figures |= json.loads((finds / "figures.json").read_text(encoding="utf-8"))
    return figures


def _confirmed(path: Path, target: str) -> bool:
    """Try a find again in a fresh process without instrumentation, and cut it down there."""
    command = [sys.executable, __file__, "--replay", str(path), "--target", target, "--minimise"]
    return subprocess.run(command, capture_output=True, check=False).returncode != 0


# --- the process that tries ------------------------------------------------------------------


class Trying:
    """Tries inputs of one target, and keeps what breaks."""

    def __init__(self, target: str, finds: Path) -> None:
        self.target = target
        self.folder = finds / target
        self.folder.mkdir(parents=True, exist_ok=True)
        self.inputs = 0
        self.found: dict[str, bytes] = {}

    def __call__(self, run: Callable[[bytes], Any], data: bytes) -> None:
        """Try one input; the breach is written down, not raised."""
        from oracle import Breach

        self.inputs += 1
        try:
            run(data)
        except Breach as breach:
            find = breach.find
            if find.signature in self.found or len(self.found) > _MOST_FINDS:
                return
            self.found[find.signature] = data
            name = f"{find.kind}-{len(self.found):03}"
            (self.folder / f"{name}.input").write_bytes(data)
            (self.folder / f"{name}.txt").write_text(f"{find.signature}\n{find.detail}", encoding="utf-8")

    def tell(self) -> None:
        (self.folder / "figures.json").write_text(json.dumps({"inputs": self.inputs}), encoding="utf-8")


@contextlib.contextmanager
def _runner(target: str) -> Iterator[Callable[[bytes], Any]]:
    import fuzz_targets
    import seeds

    with fuzz_targets.bench() as one:
        work = fuzz_targets.TARGETS[target]
        for data in seeds.of(target)[:3]:  # what is imported or compiled once is not counted as an input's
            with contextlib.suppress(Exception):
                work(one, data)
        yield lambda data: work(one, data)


def random_inputs(target: str, seed: int) -> Iterator[bytes]:
    """Give the target's seeds, then mutations of them and of each other: the same for a seed."""
    import mutations
    import seeds

    chance = random.Random(f"{target} {seed}")
    known = list(seeds.of(target))
    yield from known
    most = len(known) * 8
    while True:
        made = mutations.mutated(chance.choice(known), known, chance)
        if len(known) < most and len(made) < 4000 and chance.random() < 0.05:
            known.append(made)
        yield made


def _work(given: argparse.Namespace) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    trying = Trying(given.target, given.finds)
    if given.engine == "atheris":
        _with_atheris(given, trying)
    else:
        until = time.monotonic() + given.seconds
        with _runner(given.target) as run:
            for data in random_inputs(given.target, given.seed):
                trying(run, data)
                if time.monotonic() > until or (given.inputs and trying.inputs >= given.inputs):
                    break
    trying.tell()
    return 0


def _with_atheris(given: argparse.Namespace, trying: Trying) -> None:
    import atheris

    with atheris.instrument_imports(include=["nbpipeline"]):
        import fuzz_targets  # noqa: F401 - what it imports is instrumented
    import mutations
    import seeds

    known = seeds.of(given.target)
    corpus = trying.folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(known):
        (corpus / f"seed-{number:03}").write_bytes(data)

    def change(data: bytes, most: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.4:
            return bytes(atheris.Mutate(data, most))
        return mutations.mutated(data, known, chance, most)

    limits = [
        f"-max_len={mutations.LONGEST}",
        f"-seed={given.seed}",
        "-timeout=60",
        "-rss_limit_mb=2500",
        "-close_fd_mask=0",
    ]
    limits += [
        f"-max_total_time={max(1, int(given.seconds))}",
        f"-artifact_prefix={trying.folder}/",
        "-print_final_stats=1",
    ]
    limits += [f"-runs={given.inputs}"] if given.inputs else []
    with _runner(given.target) as run:

        def once(data: bytes) -> None:
            trying(run, data)
            if trying.inputs % 50 == 0:
                trying.tell()  # the process ends without coming back here

        atheris.Setup([sys.argv[0], str(corpus), *limits], once, custom_mutator=change)
        atheris.Fuzz()


# --- one input again -------------------------------------------------------------------------


def _replay(given: argparse.Namespace) -> int:
    """Try an input; with `--minimise`, put the shortest one with the same breach in its place."""
    from mutations import minimised
    from oracle import Breach

    def signature(data: bytes) -> tuple[str, str] | None:
        try:
            run(data)
        except Breach as breach:
            return breach.find.signature, breach.find.detail
        return None

    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    data = given.replay.read_bytes()
    with _runner(given.target) as run:
        first = signature(data)
        if first is None:
            print("nothing breaks")
            return 0
        if given.minimise:
            tries = 40 if first[0].startswith(("slow", "large")) else 500
            data = minimised(data, lambda less: (signature(less) or ("",))[0] == first[0], tries)
            given.replay.write_bytes(data)
            given.replay.with_suffix(".txt").write_text("\n".join(signature(data) or first), encoding="utf-8")
    print("\n".join(first), repr(data[:2000]), sep="\n")
    return 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    os.environ.setdefault("PYTHONHASHSEED", "0")
    sys.exit(main())
