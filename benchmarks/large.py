"""One large notebook, hundreds of megabytes of outputs in thousands of cells: nbpipeline and plain papermill.

papermill writes the whole notebook again before and after each cell, so that what it writes grows with the
square of the cells; larger sizes are left to nbpipeline alone. A sample counts only if every output stands in
the executed notebook.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import measure, work
from benchmarks.environments import Environment
from benchmarks.peers import judge, tell, tidy
from benchmarks.results_file import Results, Sample, figures

OURS, PEER = "nbpipeline", "papermill"
RUNNERS = (OURS, PEER)
NOTEBOOK = "notebooks/large.ipynb"
EXECUTED = {OURS: ".nbpipeline/runs/*/large/attempt-1.ipynb", PEER: "executed.ipynb"}
COMMANDS = {
    OURS: ("nbpipeline", "run"),
    PEER: ("papermill", "--no-progress-bar", "--cwd", "notebooks", NOTEBOOK, "executed.ipynb"),
}
LINE = 100  # bytes
CELL = """\
print("\\n".join(f"{{line:>{width}}}" for line in range({lines})))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the notebook is."""

    cells: int
    output: int  # bytes of each cell's, a multiple of a line

    @property
    def phase(self) -> str:
        """Name it in a sample."""
        return f"{self.cells} cells"

    @property
    def lines(self) -> int:
        """Give the lines that a cell prints."""
        return max(1, self.output // LINE)


def write(project: Path, size: Size) -> None:
    """Write a project of this one notebook."""
    shutil.rmtree(project, ignore_errors=True)
    (project / "data").mkdir(parents=True)
    source = CELL.format(width=LINE - 1, lines=size.lines)
    cells: list[work.Cell] = [('output = "../data/done.txt"\n', ("outputs",))]
    cells += [(source, ())] * size.cells
    cells.append(('with open(output, "w") as stream:\n    stream.write("done")\n', ()))
    work.write_notebook(project / NOTEBOOK, cells)
    (project / "pipeline.yaml").write_text("name: large\n", encoding="utf-8")


def printed(cell: Mapping[str, object]) -> int:
    """Count the characters that a cell of the executed notebook holds as its output."""
    outputs = cell.get("outputs")
    if not isinstance(outputs, list):
        return 0
    return sum(len("".join(one["text"])) for one in outputs if one["output_type"] == "stream")


def wrong(project: Path, runner: str, size: Size) -> list[str]:
    """Say what is missing in what the run left."""
    found = sorted(project.glob(EXECUTED[runner]))
    if len(found) != 1:
        return [f"{len(found)} executed notebooks"]
    document = json.loads(found[0].read_bytes())
    whole = [cell for cell in document["cells"] if printed(cell) == size.lines * LINE]
    missing = [] if len(whole) == size.cells else [f"the outputs of {size.cells - len(whole)} cells"]
    return missing if (project / "data" / "done.txt").is_file() else [*missing, "data/done.txt"]


def measured(project: Path, environment: Environment, runner: str, size: Size, number: int) -> Sample:
    """Write the notebook and run it."""
    write(project, size)
    log = project.with_suffix(".log")
    command = [str(environment.bin / COMMANDS[runner][0]), *COMMANDS[runner][1:]]
    took = measure.run(command, cwd=project, env=environment.variables(), log=log)
    status, complaint = judge(took.code, log, wrong(project, runner, size) if took.code == 0 else ())
    shutil.rmtree(project)
    return Sample(
        runner=runner,
        phase=size.phase,
        number=number,
        status=status,
        complaint=tidy(complaint, (project, "PROJECT"), (environment.folder, "ENVIRONMENT")),
        **figures(took),
    )


def time_notebooks(
    results: Results,
    scratch: Path,
    made: Mapping[str, Environment],
    *,
    sizes: Sequence[Size],
    most: int,
    repeat: int,
) -> None:
    """Measure what is not there yet, by turns; papermill up to so many cells."""
    for runner, environment in made.items():
        results.versions[runner] = environment.versions().get(runner, "unknown")
    for number in range(1, repeat + 1):
        for size in sizes:
            for runner in made:
                if results.has(runner, size.phase, number) or (runner == PEER and size.cells > most):
                    continue
                sample = measured(scratch / "large" / "project", made[runner], runner, size, number)
                results.add(sample)
                tell(sample, f"{size.phase}, {sample.written / 2**20:,.0f} MB written")
