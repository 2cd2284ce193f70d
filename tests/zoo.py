"""Small pipelines that every target of `nbpipeline export` runs, and what a run of one left, for comparison.

Each holds one thing that exporters get wrong: order, a matrix, a failure in the middle, a failed check, a try that
fails before one works, names that no identifier allows.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import code, header, write_files, write_notebook

from nbpipeline.model import EXECUTED, Pipeline
from nbpipeline.run.folder import state_folder
from nbpipeline.state.sqlite import open_state

READ = "from pathlib import Path\nimport json"


@dataclass(frozen=True)
class Case:
    """A pipeline of the zoo."""

    name: str
    write: Callable[[Path], None]
    """Writes the project into an empty folder."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What is set when it is triggered, by the names that an export gives."""
    fails: bool = False


def _stage(root: Path, name: str, head: str, body: str, parameters: str = "") -> None:
    cells = [header(head)] if head else []
    cells += [code(parameters, "parameters")] if parameters else []
    write_notebook(root / f"notebooks/{name}.ipynb", *cells, code(f"{READ}\n{body}"))


def diamond(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: diamond\nparams: {factor: 3}\n", "raw.txt": "5\n"})
    _stage(
        root,
        "load",
        "inputs: {raw: ../raw.txt}\noutputs: {number: ../data/number.json}",
        "Path(number).write_text(json.dumps(int(Path(raw).read_text()) * factor))",
        "factor: int = 2\n",
    )
    _stage(
        root,
        "left",
        "inputs: {number: {from: load.number}}\noutputs: {left: ../data/left.json}",
        "Path(left).write_text(json.dumps([json.loads(Path(number).read_text()), text, share, flag, many]))",
        "text: str = 'a \"quoted\" {brace}'\nshare: float = 0.5\nflag: bool = False\nmany: list[int] = [1, 2]\n",
    )
    _stage(
        root,
        "right",
        "inputs: {number: {from: load.number}}\noutputs: {right: ../data/right.json}\nafter: [left]",
        "Path(right).write_text(str(json.loads(Path(number).read_text()) + 1))",
    )
    _stage(
        root,
        "join",
        "inputs: {left: {from: left.left}, right: {from: right.right}}\noutputs: {all: ../data/all.json}",
        "Path(all).write_text(Path(left).read_text() + Path(right).read_text())",
    )


def matrix(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: regions\n"})
    _stage(
        root,
        "train",
        "matrix: {region: [eu, 'u s'], year: [2013, 2014]}\noutputs: {model: '../models/{region}-{year}.json'}",
        "Path(model).write_text(json.dumps([region, year, depth]))",
        "depth: int | None = None\n",
    )
    _stage(
        root,
        "score",
        "inputs: {model: {from: train.model}}\noutputs: {score: '../scores/{region}-{year}.json'}",
        "Path(score).write_text('score of ' + Path(model).read_text())",
    )
    _stage(
        root,
        "best",
        "inputs: {scores: {from: 'score[*].score'}}\noutputs: {best: ../best.json}",
        "Path(best).write_text(json.dumps({key: Path(one).read_text() for key, one in sorted(scores.items())}))",
    )


def failing(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: failing\n"})
    _stage(root, "first", "outputs: {a: ../a.txt}", "Path(a).write_text('a')")
    _stage(
        root, "broken", "inputs: {a: ../a.txt}\noutputs: {b: ../b.txt}", "raise ValueError('no such number')"
    )
    _stage(root, "last", "inputs: {b: ../b.txt}\noutputs: {c: ../c.txt}", "Path(c).write_text('c')")
    _stage(root, "beside", "inputs: {a: ../a.txt}\noutputs: {d: ../d.txt}", "Path(d).write_text('d')")


def failing_check(root: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: unchecked\n"})
    _stage(
        root,
        "make",
        "outputs: {rows: ../rows.csv}\nexpect: {rows: [{not_null: n}, {between: {column: n, max: 2}}]}\nretries: 3",
        "Path(rows).write_text('n\\n1\\n2\\n3\\n')",
    )
    _stage(root, "use", "inputs: {rows: ../rows.csv}\noutputs: {u: ../u.txt}", "Path(u).write_text('u')")


def retried(root: Path) -> None:
    """The first try fails; what counts them is beside the project."""
    marks = root.parent / f"{root.name}-marks"
    write_files(root, {"pipeline.yaml": "name: retried\n"})
    _stage(
        root,
        "shaky",
        "outputs: {s: ../s.txt}\nretries: 2\nretry_delay: 1s",
        f"marks = Path({str(marks)!r})\nwith marks.open('a') as file:\n    file.write('x')\n"
        "assert len(marks.read_text()) > 1, 'the first try'\nPath(s).write_text('s')",
    )
    _stage(root, "then", "inputs: {s: ../s.txt}\noutputs: {t: ../t.txt}", "Path(t).write_text('t')")


def odd(root: Path) -> None:
    """Names that clash as identifiers, and values that look like code, templates and YAML."""
    write_files(root, {"pipeline.yaml": 'name: "odd: {{ names }} é"\n', "raw 'ü'.txt": "r"})
    nasty = 'it\'s "{{ ds }}" ${HOME} `id` $(id) %s {x} \\n \\ é 中 # no: [yes]\nsecond\tline'
    _stage(
        root,
        "a-b",
        'inputs: {raw: "../raw \'ü\'.txt"}\noutputs: {one: "../out dir/{{braces}} ü.txt"}\n'
        'description: "It\'s \\"quoted\\" {{ ds }} \\"\\"\\" é\\nand a second line"',
        "Path(one).write_text(json.dumps([Path(raw).read_text(), nasty]))",
        f"nasty: str = {nasty!r}\n",
    )
    _stage(
        root,
        "a_b",
        "inputs: {one: {from: a-b.one}}\noutputs: {two: ../out dir/two.txt}",
        "Path(two).write_text(Path(one).read_text() + text)",
        "text: str = ''\n",
    )
    _stage(
        root,
        "class",
        "inputs: {two: {from: a_b.two}}\noutputs: {three: '../out dir/{kind}.txt'}\n"
        "matrix: {kind: ['x y', \"it's\", '{{ b }}', 'é']}",
        "Path(three).write_text(kind + Path(two).read_text())",
    )


CASES = {
    one.name: one
    for one in (
        Case("diamond", diamond, {"factor": 7, "text": 'it\'s {{ set }} "so"', "flag": True, "many": [3]}),
        Case("matrix", matrix, {"depth": 4}),
        Case("failing", failing, fails=True),
        Case("failing_check", failing_check, fails=True),
        Case("retried", retried),
        Case("odd", odd, {"text": "line\nbreak 'and' \"quotes\" ${A} {{ b }} \\ é"}),
    )
}


# --- what a run left -------------------------------------------------------------------------


@dataclass(frozen=True)
class Observed:
    """What is on record of a project's instances."""

    outputs: Mapping[str, str]
    """Digest by path."""
    parameters: Mapping[str, str]
    """By instance, as canonical texts."""
    failures: Mapping[str, str]
    """Kind by instance."""
    spans: Mapping[str, tuple[float, float]]
    """When the last success of each instance began and ended, Unix time."""


def observe(root: Path) -> Observed:
    """Read what is on record."""
    with open_state(state_folder(root)) as state:
        records = state.last_records()
        failures = state.last_failures()
    return Observed(
        outputs={
            output.path: output.digest
            for record in records.values()
            for output in record.outputs
            if output.kind != EXECUTED
        },
        parameters={name: json.dumps(dict(one.fingerprint.parameters)) for name, one in records.items()},
        failures={name: str(one["kind"]) for name, one in failures.items()},
        spans={name: (one.finished - one.seconds, one.finished) for name, one in records.items()},
    )


def differences(pipeline: Pipeline, local: Observed, there: Observed) -> Iterator[str]:
    """Say where a run elsewhere meant something else than a local one; nothing where it did not."""
    for title, here, found in (
        ("outputs", local.outputs, there.outputs),
        ("parameters", local.parameters, there.parameters),
        ("failures", local.failures, there.failures),
    ):
        for name in sorted({*here, *found}):
            if here.get(name) != found.get(name):
                yield f"{title} of {name}: {found.get(name)} instead of {here.get(name)}"
    for edge in pipeline.edges:
        before, after = there.spans.get(edge.upstream), there.spans.get(edge.downstream)
        if after is not None and (before is None or after[0] < before[1]):
            yield f"order: {edge.downstream} began before {edge.upstream} had ended"
