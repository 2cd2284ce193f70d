"""What the fuzzer begins with: the project's own notebooks, papermill's samples, the docs' examples, awkward ones of ours."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

from fuzz_targets import CELL, code, notebook

from nbpipeline.content import TREE_HEAD

ROOT = Path(__file__).parents[2]
_LARGEST = 40_000
_FENCE = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)

_HEADERS = (
    "stage: train\ndescription: Fit\ntags: [weekly]\nretries: 2\nretry_delay: 30s\ntimeout: 1h\n",
    "inputs: {features: ../data/raw.csv, encoder: {from: other.o}}\noutputs: {m: ../out/m-{region}.bin}\nmatrix: {region: [eu, us]}\n",
    "outputs: {s: {path: ../out/s/, kind: directory}, db: {path: ../x.db, mode: update}, b: {path: ../b, store: false}}\n",
    "params: {C: {type: float, min: 0, max: 9, help: h, choices: [1.0, 2.0]}}\nexpect: {model: [{rows: {min: 1}}, {not_null: a}]}\n",
    "matrix: {region: {from_file: ../regions.yaml}}\ninputs: {i: {from: 'other[*].o'}}\ncwd: project\n",
    "resources: {cpus: 1, memory: 2GB, gpus: 0}\nenv: [TZ]\nsecrets: [TOKEN]\nfresh_for: 24h\ncache: false\nexecuted: ../out/t.html\n",
    "test: {inputs: {i: tests/x.csv}, params: {C: 0.1}}\nafter: [other]\ndependencies: [clean]\nkernel: python3\n",
    "a: &a [1, 2]\nb: *a\nstage: false\npublish: atomic\noutputs: {x: {path: ../../out.csv, allow_outside: true}}\n",
    "matrix: {a: [1, 2, 3], b: [x, y], c: [true, null, 1.5]}\noutputs: {o: 'o-{a}-{b}-{c}.csv', away: ../away/x.csv}\n",
)
_PIPELINES = (
    "name: flights\nnotebooks: [notebooks/*.ipynb]\nexclude: [notebooks/tour.ipynb]\nparams: {C: 2.0}\ndefaults: {retries: 1}\n",
    "profiles: {dev: {params: {C: 0.05}}}\nstages:\n  - name: model\n    notebook: notebooks/train.ipynb\n    dependencies: [other]\n",
    "stages: [{name: train, dependencies: [clean]}, {name: clean}]\nschedule: {cron: '0 3 * * *', timezone: UTC}\n",
    "environment: {lock: regions.yaml}\nstore: {path: .nbpipeline/store, max_size: 10GB}\ntracking: {mlflow: {uri: 'sqlite:///m.db'}}\nalerts: {urls: ['json://127.0.0.1/${KEY}'], on: [failure], rows: false}\n",
    "stages: [{name: train, matrix: {r: [1, 2]}, outputs: {m: 'out/{r}.bin'}, expect: {m: [exists]}, kernels: plain}]\nkernels: fork\n",
)
_CELLS = (
    f"{CELL} parameters\nC: float = 1.0  # help\nname = 'x'\nn, m = 1, 2\nbig = compute()\n{CELL} inputs\nraw = f'../data/{{name}}.csv'\n",
    f"{CELL} parameters\nx = 1\ny = f'{{x:>05}}'\n{CELL} outputs\nfrom pathlib import Path\nimport os\nm = Path('..') / 'out' / f'{{y}}.bin'\n",
    f"{CELL} dependencies\nafter = ['other']\ndependencies = ['clean']\n{CELL} expectations\nraw = [{{'not_null': 'a'}}, 'exists']\n",
    f"{CELL} inputs\na = ['x', 'y']\nb = {{'k': 'v' + 'w'}}\nc = ('x',) + ('y',)\nd = os.path.join('a', 'b')\n{CELL} \nprint(a, b)\n",
    f"{CELL} metrics\n%%time\nauc = roc_auc_score(y, p)\n{CELL} test\nassert x\n{CELL} skip\n!ls\nx = !ls\n%timeit f(x)\n{CELL} \n%run a.py\nx?\n",
    f"{CELL} outputs\nm = '../away/x.csv'\nn = '../../out.csv'\no = '/tmp/x'\n{CELL} \nfrom fuzzed_module import *\nimport fuzzed_module\n",
    f"{CELL} \ndef f(a, *b, c=1, **d):\n    global e\n    e = [x for x in a if (y := x)]\n    return lambda: e\nclass A(B):\n    z = f(1)\n",
)
_RECORDS = (
    (
        'journal\n{"root": "/p", "instance": "train", "run": "r", "state": "s", "token": "t", "rejected": "/p/r", "phase": "running", '
        '"entries": [{"path": "o.csv", "target": "/p/o.csv", "how": "rename", "existed": true}], "folders": ["/p/o"], "version": 1}'
    ),
    'control\n{"version": 1, "run": "r", "root": "/p", "pid": 1, "process_started": 1.5, "host": "h", "started": 1.0, "finished": null}',
    'plan\n{"run": "r", "version": 1, "stages": [{"stage": "train", "reasons": [{"kind": "code", "subject": "cell 1", "before": 1}]}]}',
    'events\n{"kind": "stage_started", "stage": "train", "data": {}}\n{"kind": "attempt_started", "stage": "train", "data": {"attempt": 1}}\n',
    "accept\naccepted:\n- stage: train\n  because: x\n  date: 2026-01-01\n  changes:\n  - {kind: code, subject: cell 1, before: a, after: b}\n",
    "accept\naccepted:\n- stage: t\n  because: x\n  date: d\n  changes: [{kind: parameter, subject: C, before: &a [1, 2], after: {k: *a}}]\n",
    'owner\n{"stage": "train", "pid": 1, "since": 1.0, "run": "r"}',
    'kept\n{"stage": "train", "connection": "/c.json", "pid": 1, "started": 1.0, "run": "r", "since": 1.0, "warden": 2}',
    'record\n{"instance": "train", "state": "s", "fingerprint": {"code": {"1": "a"}, "parameters": {}, "inputs": {}}, "outputs": {}, "run": "r"}',
    f'listing\n{TREE_HEAD}["file", "d", "a/b"]\n["link", "../x", "c"]\n["file", "d", "c/x"]\n',
    'spoken\n{"@": "Parameter", "name": "C", "where": {"@place": ["n", 1, 2]}}',
    'rows\n{"run": "r", "kind": "k", "what": "w", "state": "s", "finished": 1.0}',
    'rows\n{"instance": "train", "status": "failed", "attempts": 1, "failure": {"kind": "k", "what": "w", "mend": "m"}}',
    'cache\nnotebook\n["python3", "python", {}, "ipynb"]\n[]',
    "cache\nglimpse\n[false, true, true, []]",
    'cache\nstage\n{"name": "train"}',
    "database\nSQLite format 3\0",
)


def _notebooks() -> Iterator[bytes]:
    import papermill

    samples = Path(papermill.__file__).parent / "tests" / "notebooks"
    for path in sorted([*ROOT.glob("notebooks/*.ipynb"), *samples.glob("*.ipynb")]):
        data = path.read_bytes()
        if len(data) <= _LARGEST:
            yield data


def _documented(*, header: bool) -> Iterator[bytes]:
    """The examples of the docs: those that are headers, or those that are pipeline.yaml."""
    for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")]):
        for text in _FENCE.findall(path.read_text(encoding="utf-8")):
            if ("nbpipeline:" in text) is header:
                whole = text if text.startswith("---") or not header else f"---\n{text}---"
                yield whole.encode()


def _cells_of(data: bytes, *, as_json: bool) -> bytes:
    parts = []
    for cell in json.loads(data).get("cells", ()):
        if cell.get("cell_type") == "code":
            metadata = cell.get("metadata", {})
            tags = json.dumps(metadata) if as_json else ",".join(metadata.get("tags", ()))
            parts.append(f"{CELL} {tags}\n{''.join(cell.get('source', ()))}\n")
    return "".join(parts).encode()


def _bodies(texts: tuple[str, ...]) -> Iterator[bytes]:
    for text in texts:
        inside = "".join(f"  {line}\n" for line in text.splitlines())
        yield f"---\nnbpipeline:\n{inside}---".encode()


def _texts() -> Iterator[bytes]:
    yield b'# %% [markdown]\n# text\n# %% tags=["parameters"]\nC = 1\n# %% tags=["outputs"]\no = "../out/o.csv"\n'
    yield b"---\njupyter:\n  nbpipeline: {tags: [x]}\n---\n# T\n```python tags=[\"outputs\"]\no = '../out/o.csv'\n```\n"
    yield b"---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: p}\n---\n```{code-cell}\n:tags: [outputs]\no = 'o.csv'\n```\n"
    raw = {"cell_type": "raw", "metadata": {}, "source": "---\nnbpipeline: {stage: x}\n---"}
    yield notebook(raw, code("x = 1", ["parameters"]), nbpipeline={"stage": "x"}).encode()


_SUITES = (
    "artifact: train.m\nseverity: warn\ntable: t\nmeta: {a: 1}\nexpect:\n  - exists\n  - not_null: a\n    mostly: 0.5\n",
    "expect: [{between: {column: a, min: 0, max: 1, severity: warn, mostly: 0.9}}, {pandera: m:T}]",
    "expect:\n  - {type: expect_column_to_exist, kwargs: {column: a}, meta: {}, id: x}\n",
    "expect: [{mean_between: {column: a, min: 0}}, {unique: [a, b]}, {types: {a: int}}]",
)


def of(target: str) -> tuple[bytes, ...]:
    """Give the seeds of a target."""
    if target == "header":
        return (*_bodies(_HEADERS), *_documented(header=True))
    if target == "pipeline":
        own = (ROOT / "pipeline.yaml").read_bytes()
        return (own, *(text.encode() for text in _PIPELINES), *_documented(header=False))
    if target == "exports":  # what Hypothesis draws from; anything will do
        return tuple(random.Random(number).randbytes(600) for number in range(20))
    if target in ("records", "suite"):
        return tuple(text.encode() for text in (_RECORDS if target == "records" else _SUITES))
    if target == "notebook":
        return (*_texts(), *_notebooks())
    as_json = target == "tags"
    found = [*(_cells_of(one, as_json=as_json) for one in _notebooks())]
    return (*(text.encode() for text in _CELLS), *filter(None, found))
