"""What holds of plans of every pipeline, tried on random ones."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from builders import code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from workbench import Workbench

# A stage writes either all that it reads and its salt, or a bit of it: then a change often ends with it.
WORK = {
    "whole": "text = ''.join(open(one).read() for one in reads)\nresult = text + salt",
    "bit": "text = ''.join(open(one).read() for one in reads)\nresult = str(len(text + salt) % 2)",
    "constant": "result = 'always'",
}


@dataclass
class Random:
    parents: list[list[int]]
    kinds: list[str]


@st.composite
def pipelines(draw: st.DrawFn) -> Random:
    size = draw(st.integers(1, 6))
    parents = [
        draw(st.lists(st.integers(0, one - 1), unique=True, max_size=3)) if one else [] for one in range(size)
    ]
    return Random(parents, [draw(st.sampled_from(sorted(WORK))) for _ in range(size)])


def write(bench: Workbench, shape: Random, number: int, *, salt: str = "s", extra: str = "") -> None:
    reads = [f"../data/s{one}.txt" for one in shape.parents[number]] + [f"../raw/r{number}.txt"]
    bench.notebook(
        f"s{number}",
        code(f"salt = {salt!r}", "parameters"),
        code(f"reads = {reads!r}", "inputs"),
        code(f"made = '../data/s{number}.txt'", "outputs"),
        code(f"import h{number}\n{WORK[shape.kinds[number]]}{extra}"),
        code("with open(made, 'w') as file:\n    file.write(result)"),
    )


def lay_out(folder: Path, shape: Random) -> Workbench:
    bench = Workbench(folder)
    bench.write("pipeline.yaml", "name: random\n")
    for number in range(len(shape.parents)):
        bench.write(f"raw/r{number}.txt", f"raw {number}")
        bench.write(f"notebooks/h{number}.py", "x = 1\n")
        write(bench, shape, number)
    return bench


def touch(bench: Workbench, shape: Random, number: int, how: str) -> None:
    if how == "input":
        bench.write(f"raw/r{number}.txt", "another text")
    elif how == "module":
        bench.write(f"notebooks/h{number}.py", "x = 2\n")
    elif how == "parameter":
        write(bench, shape, number, salt="another")
    else:
        write(bench, shape, number, extra="\nresult = result + '!'")


def descendants(shape: Random, number: int) -> set[int]:
    found = {number}
    for one, parents in enumerate(shape.parents):
        if found & set(parents):
            found.add(one)
    return found - {number}


def contents(bench: Workbench) -> dict[str, bytes]:
    return {one.name: one.read_bytes() for one in sorted((bench.root / "data").glob("*.txt"))}


TOUCHES = st.sampled_from(["input", "module", "parameter", "code"])
QUICK = settings(max_examples=min(30, settings().max_examples), suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(pipelines(), st.data())
def test_touching_one_thing(shape: Random, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = lay_out(Path(folder), shape)
        everything = {f"s{one}": "run" for one in range(len(shape.parents))}
        assert bench.run() == everything
        assert bench.reasons() == {}
        assert bench.actions() == {}
        before = contents(bench)

        number = data.draw(st.integers(0, len(shape.parents) - 1))
        touch(bench, shape, number, data.draw(TOUCHES))
        below = {f"s{one}": "maybe" for one in descendants(shape, number)}
        assert bench.actions() == {f"s{number}": "run", **below}

        ran = bench.run()
        after = contents(bench)
        had_changed_inputs = {
            f"s{one}"
            for one, parents in enumerate(shape.parents)
            if any(before[f"s{parent}.txt"] != after[f"s{parent}.txt"] for parent in parents)
        }
        assert set(ran) == {f"s{number}"} | had_changed_inputs
        assert bench.reasons() == {}


@QUICK
@given(pipelines(), st.data())
def test_reverting_runs_nothing(shape: Random, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = lay_out(Path(folder), shape)
        bench.run()
        before = contents(bench)
        number = data.draw(st.integers(0, len(shape.parents) - 1))
        how = data.draw(st.sampled_from(["parameter", "code"]))
        touch(bench, shape, number, how)
        bench.run()
        write(bench, shape, number)
        assert "run" not in bench.run().values()
        assert contents(bench) == before
        assert bench.reasons() == {}


@QUICK
@given(pipelines(), st.data())
def test_losing_outputs_brings_them_back(shape: Random, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = lay_out(Path(folder), shape)
        bench.run()
        before = contents(bench)
        lost = data.draw(st.sets(st.sampled_from(sorted(before)), min_size=1))
        for name in lost:
            (bench.root / "data" / name).unlink()
        assert bench.actions() == {name.removesuffix(".txt"): "restore" for name in lost}
        bench.run()
        assert contents(bench) == before
        assert bench.reasons() == {}


@QUICK
@given(pipelines(), st.data())
def test_a_part_of_the_pipeline_alone(shape: Random, data: st.DataObject) -> None:
    """Planning some instances takes the others' files as they are; the rest stays to be done."""
    with tempfile.TemporaryDirectory() as folder:
        bench = lay_out(Path(folder), shape)
        bench.run()
        number = data.draw(st.integers(0, len(shape.parents) - 1))
        touch(bench, shape, number, "code")
        chosen = data.draw(st.sets(st.sampled_from([f"s{one}" for one in range(len(shape.parents))])))
        found = bench.actions(selected=chosen)
        assert set(found) <= chosen
        assert (f"s{number}" in found) == (f"s{number}" in chosen)
        assert f"s{number}" in chosen or found == {}
