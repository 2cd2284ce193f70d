"""What the page says of nbpipeline alone follows from the samples, failed ones included."""

import re
from pathlib import Path
from xml.dom import minidom

import pytest

from benchmarks import alone, audit, curves, report
from benchmarks.__main__ import MEASUREMENTS, main
from benchmarks.options import PARTS, parse
from benchmarks.results_file import Results, Sample

MACHINE = dict.fromkeys(("date", "commit", "cpu", "cores", "memory_gb", "system", "python", "load_before"), 1)
MEGABYTE = 2**20


def kept(folder: Path, part: str, samples: list[Sample], **settings: object) -> Results:
    results = Results(folder / f"{part}.json", MACHINE, settings, {"nbpipeline": "1"})
    results.samples += samples
    results.save()
    return results


def one(runner: str, phase: str, number: int = 1, wall: float = 1.0, **more: object) -> Sample:
    return Sample(runner=runner, phase=phase, number=number, wall=wall, **{"status": "right", **more})


def scaled(folder: Path) -> Results:
    samples = [
        one("plan", "1000 stages", 1, 0.5, cpu=0.4, alone=40 * MEGABYTE),
        one("plan", "1000 stages", 2, 0.7, cpu=0.6, alone=44 * MEGABYTE),
        one("plan", "1000 stages", 3, 9.9, status="failed", complaint="exit code 1\nboom"),
        one("plan", "100 stages", 1, 0.2),
        one("run", "100 stages", 1, 0.21),
        one("first plan", "1000 stages", 1, 5.0),
        one("run", "1000 stages", 1, 0.0, status="wrong", complaint="not what"),
        one("--help", "100 stages", 1, 0.1),
    ]
    return kept(folder, "scale", samples)


def test_the_table_of_growth(tmp_path: Path) -> None:
    scaled(tmp_path)
    lines = report.page(tmp_path).splitlines()
    assert "| `plan` | 1,000 | 0.60 s (0.50 to 0.70) | 0.50 s | 42 MB | 0.6 s | 2, 1 failed |" in lines
    assert "| `run` | 1,000 | **wrong** |  |  |  |  |" in lines
    assert "| `--help` | 100 | 0.10 s | 0.00 s | 0 MB | 0.2 s | 1 |" in lines
    assert "exit code 1" in lines
    assert report.failures(tmp_path, ("scale",)) == [
        "plan, 1000 stages: failed",
        "run, 1000 stages: wrong",
    ]
    assert report.failures(tmp_path, ("peers",)) == []


def test_the_plot_of_growth_labels_each_point_that_counts(tmp_path: Path) -> None:
    drawn = alone.growth(scaled(tmp_path))
    minidom.parseString(drawn)  # noqa: S318 - our own text
    labels = re.findall(r'class="label"[^>]*>([^<]*)</text>', drawn)
    assert sorted(labels) == ["0.20 s", "0.21 s", "0.60 s", "5.00 s"]
    assert drawn.count("<circle") == 4
    assert drawn.count('h18"') == 4  # goals of the points that there are
    for words in ("first plan", "plan", "run", "goal, at most", ">100<", ">1,000<"):
        assert words in drawn


def test_the_plot_of_growth_has_long_runs_too(tmp_path: Path) -> None:
    samples = [one("run", "100 stages", 1, 20.0), one("run", "1000 stages", 1, 210.0)]
    drawn = alone.growth(scaled(tmp_path), kept(tmp_path, "long", samples, jobs=2))
    for words in (">run of all<", ">20.0 s<", ">210 s<", ">1,000<"):
        assert words in drawn


def test_a_plot_of_nothing_is_a_plot(tmp_path: Path) -> None:
    drawn = alone.growth(kept(tmp_path, "scale", [one("plan", "100 stages", status="failed")]))
    minidom.parseString(drawn)  # noqa: S318 - our own text
    assert "<circle" not in drawn


def test_a_decade_is_as_long_as_the_next() -> None:
    axes = curves.Axes([100, 10_000], [0.2, 20.0])
    assert (axes.across, axes.up) == ((2, 4), (-1, 2))
    assert axes.x(1000) - axes.x(100) == pytest.approx(axes.x(10_000) - axes.x(1000))
    assert axes.y(0.1) - axes.y(1) == pytest.approx(axes.y(10) - axes.y(100))
    assert axes.y(10) < axes.y(1)
    assert curves.decades([0.1, 1.0]) == (-1, 0)
    assert curves.decades([100]) == (2, 3)


def test_labels_do_not_cover_each_other() -> None:
    assert curves.spaced([10, 12, 50]) == [10, 23, 50]


def test_page_and_plot_are_written(tmp_path: Path) -> None:
    scaled(tmp_path)
    report.write(tmp_path, tmp_path / "docs")
    assert "](benchmarks-growth.svg)" in (tmp_path / "docs" / "benchmarks.md").read_text()
    assert "<circle" in (tmp_path / "docs" / "benchmarks-growth.svg").read_text()


def test_the_table_of_long_runs(tmp_path: Path) -> None:
    samples = [
        one("run", "1000 stages", 1, 200.0, cpu=150.0, alone=120 * MEGABYTE, pss=300 * MEGABYTE),
        one("run", "100 stages", 1, 20.0, cpu=16.0, alone=80 * MEGABYTE, pss=200 * MEGABYTE),
        one("run", "10 stages", status="failed", complaint="exit code 9"),
    ]
    kept(tmp_path, "long", samples, jobs=2)
    page = report.page(tmp_path)
    rows = [line for line in page.splitlines() if line.endswith("| 1 |") or "**" in line]
    assert rows[:3] == [
        "| 10 | **failed** |  |  |  |  |  |",
        "| 100 | 20.0 s | 0.20 s | 0.16 s | 80 MB | 200 MB | 1 |",
        "| 1,000 | 200 s | 0.20 s | 0.15 s | 120 MB | 300 MB | 1 |",
    ]
    assert "run, 10 stages, round 1: **failed**" in page
    assert "under 250 MB" in page


def test_the_table_of_a_large_notebook(tmp_path: Path) -> None:
    samples = [
        one("nbpipeline", "2000 cells", 1, 30.0, cpu=40.0, written=400 * MEGABYTE),
        one("papermill", "500 cells", 1, 300.0, cpu=280.0, written=25_000 * MEGABYTE, pss=900 * MEGABYTE),
        one("nbpipeline", "500 cells", status="failed", complaint="exit code 9"),
    ]
    kept(tmp_path, "large", samples, output=100_000)
    page = report.page(tmp_path)
    assert "| 500, 50 MB | nbpipeline | **failed** |  |  |  |  |  |" in page
    assert "| 500, 50 MB | papermill | 300 s | 280 s | 25,000 MB | 0 MB | 900 MB | 1 |" in page
    assert "| 2,000, 200 MB | nbpipeline | 30.0 s | 40.0 s | 400 MB | 0 MB | 0 MB | 1 |" in page
    assert "Each cell prints 100 kB" in page


def test_the_table_of_watched_files(tmp_path: Path) -> None:
    samples = [one("opens", "bare", number, cpu=cpu) for number, cpu in ((1, 1.0), (2, 2.0), (3, 1.0))]
    for number, hook in ((1, 1.05), (2, 2.06), (3, 1.04)):
        samples += [one("opens", way, number, cpu=hook) for way in audit.WAYS[1:]]
    samples += [one("parses", way, cpu=1.0 if way == "bare" else 1.019) for way in audit.WAYS]
    samples.append(one("imports", "bare", status="failed", complaint="exit code 1\nno module"))
    kept(tmp_path, "audit", samples, files=1000)
    page = report.page(tmp_path)
    share = "+4.0 % (3.0 to 5.0), 40.0 µs"
    assert f"| open, read, close, each file once | 1,000 µs | {share} | {share} | {share} |" in page
    assert "| read and parse JSON | 1,000 µs | +1.9 %, 19.0 µs |" in page
    assert "| import a module | **failed** |  |  |  |" in page
    assert "more than 2 % are added to: open, read, close, each file once.\n" in page
    assert report.failures(tmp_path, ("audit",)) == ["imports, bare: failed"]


def test_parts_and_sizes_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    options = parse(["--parts", "scale,report", "--stages", "5,20", "--only", "nbpipeline"])
    assert (options.parts, options.stages, options.docs) == (["scale", "report"], [5, 20], None)
    assert parse([]).parts == list(PARTS)
    for wrong, said in (
        (["--parts", "scale,peer"], "no part is called peer; there are peers, example, scale"),
        (["--stages", "0"], "each has to be 1 at least"),
    ):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert said in capsys.readouterr().err


def test_the_help_names_every_part_and_gives_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    said = capsys.readouterr().out
    assert all(re.search(rf"^  {name} +\S", said, re.MULTILINE) for name in PARTS)
    examples = re.findall(r"^  python -m benchmarks(.*?)(?:  .*)?$", said, re.MULTILINE)
    assert len(examples) >= 5
    for line in examples:
        parse(line.split())


def test_every_part_is_measured_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [*MEASUREMENTS, "report"] == list(PARTS)
    scaled(tmp_path)
    places = ["--results", str(tmp_path), "--cache", str(tmp_path)]
    assert main(["--parts", "report", *places, "--docs", str(tmp_path / "docs")]) == 0
    assert "| `plan` | 1,000 |" in (tmp_path / "docs" / "benchmarks.md").read_text()
    capsys.readouterr()
    assert main(["--parts", "report", "--only", "nbpipeline", *places]) == 0
    assert "| `plan` | 1,000 |" in capsys.readouterr().out
