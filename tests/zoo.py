"""Small pipelines that every target of `nbpipeline export` runs, and what a run of one left, for comparison.

Each holds one thing that exporters get wrong: order, a matrix, a failure in the middle, a failed check, a try that
fails before one works, names that no identifier allows, values that JSON cannot say, secrets, tasks that share no folder,
a second run. The last one is the repository's own example.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builders import code, header, write_files, write_notebook

from nbpipeline.model import EXECUTED, Pipeline
from nbpipeline.run.folder import state_folder
from nbpipeline.state.sqlite import open_state

READ = "from pathlib import Path\nimport json"
REPOSITORY = Path(__file__).parents[1]
EXAMPLE = tuple((REPOSITORY / "docs/reference/example-deterministic.txt").read_text().split())
"""Outputs of the example whose bytes are the same every time."""


def _no_facts(root: Path) -> Mapping[str, str]:
    del root
    return {}


@dataclass(frozen=True)
class Case:
    """A pipeline of the zoo."""

    name: str
    write: Callable[[Path], None]
    """Writes the project into an empty folder."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """What is set when it is triggered, by the names that an export gives."""
    fails: bool = False
    only: tuple[str, ...] = ()
    """Outputs whose bytes are to be the same; empty: all."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the environment that stages run in; the values of those called SECRET are nowhere in what is kept."""
    facts: Callable[[Path], Mapping[str, str]] = _no_facts
    """What else is to be the same: reads it from a project's folder and what is beside it."""
    between: Callable[[Path], None] | None = None
    """It is run twice: what is done to the project between."""
    apart: bool = False
    """Each task has a copy of the project's files, and shares the store alone."""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Values that nobody may find in what a run left."""
        return tuple(value for name, value in self.variables.items() if "SECRET" in name)


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


def _marks(root: Path) -> Path:
    """What counts tries: beside the project, so that no run sees it."""
    return root.parent / f"{root.name}-marks"


def _last(root: Path) -> Path:
    """When a try that does not end was last at work."""
    return root.parent / f"{root.name}-last"


def _tries(root: Path) -> Mapping[str, str]:
    return {"tries": str(len(_marks(root).read_text().split()))}


def retried(root: Path) -> None:
    """The first try fails."""
    marks = _marks(root)
    write_files(root, {"pipeline.yaml": "name: retried\n"})
    _stage(
        root,
        "shaky",
        "outputs: {s: ../s.txt}\nretries: 2\nretry_delay: 1s",
        f"marks = Path({str(marks)!r})\nwith marks.open('a') as file:\n    file.write('x\\n')\n"
        "assert len(marks.read_text()) > 2, 'the first try'\nPath(s).write_text('s')",
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


def backoff(root: Path) -> None:
    """A try that fails, one that does not end, one that works; waits of one and of six seconds between."""
    write_files(root, {"pipeline.yaml": "name: waits\n"})
    _stage(
        root,
        "slow",
        "outputs: {s: ../s.txt}\nretries: 2\nretry_delay: 1s\nretry_backoff: 6\ntimeout: 20s",
        f"import time\nmarks, last = Path({str(_marks(root))!r}), Path({str(_last(root))!r})\n"
        "began = time.time()\nwith marks.open('a') as file:\n    file.write(f'{began}\\n')\n"
        "tries = len(marks.read_text().split())\nassert tries != 1, 'the first try'\n"
        "while tries == 2:\n    with last.open('a') as file:\n        file.write(f'{time.time()}\\n')\n    time.sleep(0.1)\nPath(s).write_text('s')",
    )
    _stage(root, "then", "inputs: {s: ../s.txt}\noutputs: {t: ../t.txt}", "Path(t).write_text('t')")


def _waits(root: Path) -> Mapping[str, str]:
    """Whether tries began no sooner than they should: after a failure at once, after the last sign of one that hung."""
    began = [float(one) for one in _marks(root).read_text().split()]
    ended = [began[0], float(_last(root).read_text().split()[-1])]
    waits = zip(ended, began[1:], (1.0, 6.0), strict=False)
    return {
        "tries": str(len(began)),
        "waited": str([after - before >= least for before, after, least in waits]),
    }


def values(root: Path) -> None:
    """Defaults that are of no type of their annotation, keys that are no texts, an axis that is a parameter elsewhere."""
    write_files(root, {"pipeline.yaml": "name: values\n"})
    _stage(
        root,
        "plain",
        "outputs: {o: ../plain.json}",
        "Path(o).write_text(repr([word, table, count, big, tiny, text, empty, region, late]))",
        "word: str = None\ntable: dict = {1: 'one', 2: ['two']}\ncount: float = 1\nbig: int = 1152921504606846977\n"
        "tiny: float = 1e-7\ntext: str = '12:30'\nempty: str = ''\nregion: str = 'all'\nlate: float | None = None\n",
    )
    _stage(
        root,
        "each",
        "inputs: {o: ../plain.json}\nmatrix: {region: [eu, 'no'], number: [1, 10]}\n"
        "outputs: {e: '../each/{region}-{number}.json'}",
        "Path(e).write_text(repr([region, number, table, scale]))",
        "table: dict = {True: 1, 2.5: 'x'}\nscale: float = 0.1\n",
    )


def secrets(root: Path) -> None:
    """A secret and a variable that counts: they reach the stage, and the secret is in nothing that is kept."""
    write_files(root, {"pipeline.yaml": "name: hidden\n"})
    _stage(
        root,
        "ask",
        "outputs: {o: ../o.json}\nsecrets: [ZOO_SECRET]\nenv: [ZOO_COLOUR]",
        "import base64, hashlib, os\nvalue = os.environ['ZOO_SECRET']\nprint(value, base64.b64encode(value.encode()))\n"
        "found = hashlib.sha256(value.encode()).hexdigest()\n"
        "Path(o).write_text(json.dumps([found, os.environ['ZOO_COLOUR']]))",
    )
    _stage(
        root,
        "broken",
        "inputs: {o: ../o.json}\noutputs: {p: ../p.json}\nsecrets: [ZOO_SECRET]",
        "import os\nraise ValueError('refused: ' + os.environ['ZOO_SECRET'])",
    )


def chain(root: Path) -> None:
    """Two branches, and a stage that is never fresh."""
    write_files(root, {"pipeline.yaml": "name: chain\n", "one.txt": "1\n", "two.txt": "2\n"})
    for name in ("one", "two"):
        _stage(
            root,
            name,
            f"inputs: {{raw: ../{name}.txt}}\noutputs: {{{name}: ../data/{name}.txt}}",
            f"Path({name}).write_text('is ' + Path(raw).read_text())",
        )
    _stage(
        root,
        "both",
        "inputs: {one: {from: one.one}, two: {from: two.two}}\noutputs: {both: ../data/both.txt}",
        "Path(both).write_text(Path(one).read_text() + Path(two).read_text())",
    )
    _stage(
        root,
        "after",
        "inputs: {two: {from: two.two}}\noutputs: {after: ../data/after.txt}",
        "Path(after).write_text(Path(two).read_text())",
    )


def ever(root: Path) -> None:
    """The chain, with a stage that is never fresh, and one after it that stays so: it writes the same every time."""
    chain(root)
    write_files(root, {"pipeline.yaml": "name: ever\n"})
    _stage(root, "always", "outputs: {a: ../data/a.txt}\ncache: false", "Path(a).write_text('a')")
    _stage(
        root,
        "follows",
        "inputs: {a: {from: always.a}}\noutputs: {f: ../data/f.txt}",
        "Path(f).write_text(Path(a).read_text())",
    )


def _nothing(root: Path) -> None:
    del root


def _new_input(root: Path) -> None:
    (root / "one.txt").write_text("another\n")


def apart(root: Path) -> None:
    """The chain on machines that share the store alone."""
    chain(root)
    store = (root.parent / f"{root.name}-store").as_uri()
    write_files(root, {"pipeline.yaml": f"name: apart\nstore: {{path: '{store}'}}\n"})


def example(root: Path) -> None:
    """The repository's own example, without anything that a run left there."""
    for name in ("notebooks", "expectations", "data/source", "pipeline.yaml"):
        source, target = REPOSITORY / name, root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)


CASES = {
    one.name: one
    for one in (
        Case("diamond", diamond, {"factor": 7, "text": 'it\'s {{ set }} "so"', "flag": True, "many": [3]}),
        Case("matrix", matrix, {"depth": 4}),
        Case("failing", failing, fails=True),
        Case("failing_check", failing_check, fails=True),
        Case("retried", retried, facts=_tries),
        Case("odd", odd, {"text": "line\nbreak 'and' \"quotes\" ${A} {{ b }} \\ é"}),
        Case("backoff", backoff, facts=_waits),
        Case("values", values, {"plain.region": "south", "scale": 2.5}),
        Case(
            "secrets", secrets, fails=True, variables={"ZOO_SECRET": "s3cr3t/of+the zoo", "ZOO_COLOUR": "é b"}
        ),
        Case("fresh", chain, between=_nothing),
        Case("changed", ever, between=_new_input),
        Case("apart", apart, apart=True),
        Case("example", example, {"max_trees": 20, "window_hours": 2}, only=EXAMPLE),
    )
}


def share(root: Path, url: str = "s3://bucket/nowhere") -> None:
    """Name a store for a pipeline, in place of its own: some targets give each task a machine of its own."""
    settings = root / "pipeline.yaml"
    kept = [line for line in settings.read_text().splitlines() if not line.startswith("store:")]
    settings.write_text("\n".join([*kept, f"store: {{path: '{url}'}}\n"]))


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
    facts: Mapping[str, str] = field(default_factory=dict)


def observe(*roots: Path) -> Observed:
    """Read what is on record, in one folder or in those of several machines."""
    records: dict[str, Any] = {}
    failures: dict[str, Any] = {}
    for root in roots:
        with open_state(state_folder(root)) as state:
            records |= state.last_records()
            failures |= state.last_failures()
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


def leaks(case: Case, *places: Path) -> Iterator[str]:
    """Name the files that hold a hidden value, as it is or as JSON, a URL and base64 write it."""
    import base64
    import urllib.parse

    for value in case.hidden:
        words = {
            value,
            json.dumps(value)[1:-1],
            urllib.parse.quote(value, safe=""),
            urllib.parse.quote(value),
        }
        needles = [one.encode() for one in words] + [base64.b64encode(value.encode()).rstrip(b"=")[:-1]]
        for path in (one for place in places for one in place.rglob("*") if one.is_file()):
            if any(one in path.read_bytes() for one in needles):
                yield f"a secret stands in {path.name}"


def differences(
    pipeline: Pipeline, local: Observed, there: Observed, only: tuple[str, ...] = ()
) -> Iterator[str]:
    """Say where a run elsewhere meant something else than a local one; nothing where it did not."""
    for title, here, found in (
        ("outputs", local.outputs, there.outputs),
        ("parameters", local.parameters, there.parameters),
        ("failures", local.failures, there.failures),
        ("facts", local.facts, there.facts),
    ):
        compared = {*here, *found} if title != "outputs" or not only else {*only}
        for name in sorted(compared):
            if title == "outputs" and only and name not in here:
                yield f"outputs of {name}: not made by the local run"
            if here.get(name) != found.get(name):
                yield f"{title} of {name}: {found.get(name)} instead of {here.get(name)}"
    for edge in pipeline.edges:
        before, after = there.spans.get(edge.upstream), there.spans.get(edge.downstream)
        if after is not None and (before is None or after[0] < before[1]):
            yield f"order: {edge.downstream} began before {edge.upstream} had ended"
