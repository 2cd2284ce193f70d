"""What a runner did is judged by what it left; nothing is left out of the page."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import killed, report, work
from benchmarks.environments import Environment
from benchmarks.peers import Bench, Comparison, Repeats, judge
from benchmarks.results_file import FOLDER, Results, Sample
from benchmarks.runners import script
from benchmarks.runners.runner import Runner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures by Linux's /proc")
DAG = work.generate(2, 1)
HONEST = ("python", "honest.py")
PROGRAM = """
import os, re

for name, notebook, sources, output in {stages!r}:
    step = int(re.search(r"step = (\\d+)", open(notebook).read())[1])
    total = sum(int(line) for source in sources for line in open(source).read().split()[1:])
    values = [(total * row + step) % {modulus} for row in range(1, {rows} + 1)]
    open(output, "w").write("".join(f"{{line}}\\n" for line in ("value", *values)))
    open(os.environ["{trace}"], "a").write(name + "\\n")
"""
SETTINGS = {"stages": 3, "stale": 2, "changed": "stage_1_0", "jobs": 2, "repeat_slow": 3}
MACHINE = dict.fromkeys(("date", "commit", "cpu", "cores", "memory_gb", "system", "python", "load_before"), 1)


def write(project: Path, dag: work.Dag) -> None:
    """The notebooks, and a runner of our own that does their work without importing pandas."""
    script.write(project, dag)
    stages = [(one.name, one.notebook, [*map(work.data, one.upstream)], one.output) for one in dag]
    text = PROGRAM.format(stages=stages, modulus=work.MODULUS, rows=work.ROWS, trace=work.TRACE)
    (project / "honest.py").write_text(text)


def bench(folder: Path, *command: str) -> Bench:
    """A runner in the environment of the tests."""
    runner = Runner(
        name="one",
        environment="",
        distribution="",
        write=write,
        command=command,
    )
    place = folder / "environment"
    if not place.exists():
        (place / "home").mkdir(parents=True)
        (place / "venv").symlink_to(Path(sys.prefix))
    made = Bench(
        runner=runner, environment=Environment(name="", folder=place), folder=folder / "bench", dag=DAG
    )
    made.fresh()
    return made


def test_a_runner_that_does_the_work_is_right(tmp_path: Path) -> None:
    one = bench(tmp_path, *HONEST)
    cold = one.measured("cold", 1)
    assert (cold.status, cold.ran, cold.exact) == ("right", ("source", "stage_1_0", "stage_2_0"), True)
    again = one.measured("no-op", 1)
    assert (again.status, len(again.ran), again.exact) == ("right", 3, False)
    one.edit(1001)
    assert one.measured("change", 1).status == "right"


def test_a_runner_that_does_nothing_is_wrong(tmp_path: Path) -> None:
    sample = bench(tmp_path, "true").measured("cold", 1)
    assert sample.status == "wrong"
    assert sample.complaint == "not what they have to be: source, stage_1_0, stage_2_0"
    assert not sample.exact


def test_a_wrong_output_is_told(tmp_path: Path) -> None:
    liar = "import pathlib; pathlib.Path('data/source.csv').write_text('value\\n1\\n')"
    one = bench(tmp_path, *HONEST)
    assert one.measured("cold", 1).status == "right"
    one.runner = bench(tmp_path / "other", "python", "-c", liar).runner
    sample = one.measured("no-op", 1)
    assert (sample.status, sample.complaint) == ("wrong", "not what they have to be: source")


def test_a_failure_is_told_with_the_end_of_its_output(tmp_path: Path) -> None:
    program = "import os, sys; print('no kernel in', os.getcwd()); sys.exit(4)"
    sample = bench(tmp_path, "python", "-c", program).measured("cold", 1)
    assert (sample.status, sample.complaint) == ("failed", "exit code 4\nno kernel in PROJECT\n")


def test_an_exit_code_counts_more_than_outputs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    assert judge(1, log, ())[0] == "failed"
    assert judge(0, log, ("a",))[0] == "wrong"
    assert judge(0, log, ()) == ("right", "")


def taken(phase: str, number: int, wall: float, **more: object) -> Sample:
    return Sample(runner="one", phase=phase, number=number, wall=wall, **{"status": "right", **more})


def test_slow_phases_are_repeated_less_often(tmp_path: Path) -> None:
    results = Results(tmp_path / "peers.json", MACHINE, SETTINGS)
    runner = bench(tmp_path, *HONEST).runner
    repeats = Repeats(phases={"cold": 5, "no-op": 5}, slow=3)
    results.add(taken("cold", 1, 61.0))
    results.add(taken("no-op", 1, 59.0))
    assert [repeats.of(phase, results, runner) for phase in ("cold", "no-op")] == [3, 5]
    results.add(taken("no-op", 2, 99.0))
    assert repeats.of("no-op", results, runner) == 3
    never_skips = replace(runner, incremental=False)
    assert [repeats.of(phase, results, never_skips) for phase in ("cold", "no-op")] == [3, 1]


def test_a_run_that_goes_on_takes_only_what_is_missing(tmp_path: Path) -> None:
    results = Results(tmp_path / "peers.json", MACHINE, SETTINGS)
    results.add(taken("cold", 1, 9.0))
    results.add(taken("no-op", 1, 9.0))
    results = Results.load(tmp_path / "peers.json")
    repeats = Repeats(phases=dict.fromkeys(("cold", "no-op", "change"), 1), slow=1)
    one = bench(tmp_path, *HONEST)
    one.now = ()
    Comparison(results, repeats, DAG, tmp_path, [one]).rounds()
    assert [(sample.phase, sample.status) for sample in results.samples] == [
        ("cold", "right"),
        ("no-op", "right"),
        ("change", "right"),
    ]
    assert Results.load(tmp_path / "peers.json").samples == results.samples


def test_the_page_shows_failures_and_medians(tmp_path: Path) -> None:
    results = Results(tmp_path / "peers.json", MACHINE, SETTINGS, {"nbpipeline": "1", "one": "2", "bad": "3"})
    results.add(Sample(runner="nbpipeline", phase="cold", number=1, status="right", wall=2.0))
    for number, wall in enumerate((1.0, 4.0, 9.0), start=1):
        results.add(taken("cold", number, wall, ran=("source",), exact=False))
    results.add(taken("cold", 4, 99.0, status="failed", complaint="exit code 1\nboom"))
    results.add(Sample(runner="bad", phase="cold", number=1, status="wrong", complaint="not what"))
    text = report.page(tmp_path)
    assert (
        "| one | 4.00 s (1.00 to 9.00) | 2.0 | 0.00 s | 0 MB |  | 1 of 3, not just the stale | 3, 1 failed |"
        in text
    )
    assert "| bad | **wrong** |" in text
    assert "one, cold, round 4: **failed**\n\n```text\nexit code 1\nboom\n```" in text
    assert report.failures(tmp_path, ("peers",)) == ["one, cold: failed", "bad, cold: wrong"]
    assert ">failed<" in report.plots(results)["benchmarks-time.svg"]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (killed.whole(1), "last good"),
        (killed.whole(2), "new"),
        ("first half of 2\n", "half"),
        ("", "something else"),
        (None, "absent"),
    ],
)
def test_the_state_of_a_killed_output(tmp_path: Path, text: str | None, word: str) -> None:
    path = tmp_path / "output"
    if text is not None:
        path.write_text(text)
    assert killed.state(path) == word


def test_the_page_is_what_the_kept_results_give() -> None:
    docs = Path(__file__).parents[3] / "docs"
    assert (docs / "benchmarks.md").read_text(encoding="utf-8") == report.page(FOLDER), (
        "run: python -m benchmarks --parts report"
    )
