"""What is fuzzed: each target puts an input into a small project and reads it as the commands do."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import exports
from oracle import Breach, Find, judge_complaints, judge_same, scratch, watched

from nbpipeline import content
from nbpipeline.api import loading
from nbpipeline.content import parse_listing
from nbpipeline.encoding import record_from_text
from nbpipeline.errors import NbpipelineError
from nbpipeline.kernels import registry
from nbpipeline.plan import accept
from nbpipeline.reading import names, remembered, syntax
from nbpipeline.reading.spelling import SpellingError, spoken
from nbpipeline.reading.text_notebook import as_json
from nbpipeline.report.results import begun_in, reasons_of
from nbpipeline.run import folder as run_folder
from nbpipeline.run import standing
from nbpipeline.run.folder import RunFolder
from nbpipeline.stage import lock
from nbpipeline.state.memory import MemoryState
from nbpipeline.state.sqlite import open_state
from nbpipeline.tracking import outbox
from nbpipeline.tracking.log import RunReader

CELL = "#%%"
"""Begins a cell in an input of the targets `cells` and `tags`; its tags follow on the line."""
_STEM = "train"
_NOTEBOOK = f"notebooks/{_STEM}.ipynb"
_RUN = "20260101-000000-0000"
_MYST = "---\nfile_format: mystnb\nkernelspec: {name: python3, display_name: p}\n---\n```{code-cell}\n:tags: [outputs]\no = 1\n```\n"
_MODULE = "raise SystemExit('a module of the project was executed')\n"


def code(source: str, tags: Any = ()) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {"tags": tags} if tags else {}, "source": source, "outputs": []}


def notebook(*cells: Mapping[str, Any], **metadata: Any) -> str:
    """A notebook's text."""
    kernel = {"kernelspec": {"name": "python3", "language": "python"}}
    return json.dumps(
        {"nbformat": 4, "nbformat_minor": 4, "metadata": {**kernel, **metadata}, "cells": list(cells)}
    )


class Bench:
    """A project on disk that one file of changes from input to input."""

    def __init__(self, base: Path) -> None:
        self.root = base / "project"
        self.state = self.root / ".nbpipeline"
        self.run = self.state / "runs" / _RUN
        for one in (
            "notebooks",
            "data",
            ".nbpipeline/journals",
            f".nbpipeline/runs/{_RUN}",
            ".nbpipeline/locks",
        ):
            (self.root / one).mkdir(parents=True, exist_ok=True)
        (base / "elsewhere").mkdir(exist_ok=True)
        self.put("notebooks/fuzzed_module.py", _MODULE)
        self.put("fuzzed_module.py", _MODULE)
        self.put("data/raw.csv", "a,b\n1,2\n")
        self.put("regions.yaml", "[eu, us]\n")
        self.put("notebooks/other.ipynb", notebook(code("o = '../out/other.csv'", ["outputs"])))
        self.put("notebooks/clean.ipynb", notebook(code("x: float = 1.0", ["parameters"])))
        if not (self.root / "away").is_symlink():
            (self.root / "away").symlink_to(base / "elsewhere")
            (self.root / "link").symlink_to("data")

    def put(self, name: str, data: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        return path

    def forget(self) -> None:
        """Begin the history anew."""
        for path in self.state.glob("state.db*"):
            path.unlink()


def _warm_up() -> None:
    """Load what readers load when they first need it, so that it is not taken for an input's doing."""
    import calendar  # noqa: F401 - see above

    import filelock  # noqa: F401

    syntax.normalised("if 1:\n    x = !ls\n    %time y\n?z")
    for text, suffix in (("# %%\nx = 1\n", ".py"), ("```python\nx\n```\n", ".md"), (_MYST, ".md")):
        as_json(text, suffix)


@contextmanager
def bench() -> Iterator[Bench]:
    """Make a project to read from; its files count as ones that have not changed for long."""
    settled, content.SETTLED = content.SETTLED, -3600.0  # type: ignore[misc]
    try:
        _warm_up()
        with scratch() as base:
            yield Bench(Path(base))
    finally:
        content.SETTLED = settled  # type: ignore[misc]


# --- the project -----------------------------------------------------------------------------


def load(root: Path, cache: Any = None) -> Any:
    """Read and link the project, as every command does."""
    return loading.load(root, None, (), cache)


def look(loaded: Any) -> Any:
    """Look at the cells of its stages, as `check` and fingerprints do; gives all complaints."""
    told = [*loaded.complaints]
    for stage in loaded.spec.stages:
        told += names.check_stage(stage)
        names.header_only_names(stage)
        for cell in stage.notebook.cells:
            if cell.kind == "code":
                syntax.normalised(cell.source, stage.notebook.language)
    return told


def _judge_paths(loaded: Any, root: Path) -> None:
    """No output leads out of the project that does not say so, not by a link either."""
    for instance in loaded.pipeline or ():
        for bound in instance.outputs:
            for path in bound.paths:
                if bound.spec.allow_outside or "://" in path:
                    continue
                if not (root / path).resolve().is_relative_to(root.resolve()):
                    raise Breach(Find("outside", "an output", f"{instance.id} {bound.name} {path!r}"))


def read_project(one: Bench, load: Callable[..., Any] = load) -> Any:
    """Read the project without a cache, with an empty one, and with the one that this left. Raises Breach."""
    loaded = watched(lambda: load(one.root), one.root)
    judge_complaints(watched(lambda: look(loaded), one.root))
    _judge_paths(loaded, one.root)
    cache = MemoryState()
    for how in ("with an empty cache", "from the cache"):
        again = watched(lambda: load(one.root, cache), one.root)
        judge_same((loaded.spec, loaded.complaints), (again.spec, again.complaints), how)
    return loaded


# --- targets ---------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def header(one: Bench, data: bytes) -> Any:
    """The input is a raw cell of a notebook with parameters, an input and an output."""
    raw = {"cell_type": "raw", "metadata": {}, "source": _text(data)}
    rest = (code("C: float = 1.0\nn = 3", ["parameters"]), code("model = '../out/m.bin'", ["outputs"]))
    one.put(_NOTEBOOK, notebook(raw, *rest, code("print(model, C)")))
    return read_project(one)


def _cells(text: str) -> Iterator[tuple[str, str]]:
    for part in f"\n{text}".split(f"\n{CELL}")[1:]:
        tags, _, source = part.partition("\n")
        yield tags, source


def cells(one: Bench, data: bytes) -> Any:
    """The input is cells, each after a line `#%% TAG,TAG`."""
    text = _text(data)
    made = [code(source, [tag.strip() for tag in tags.split(",")]) for tags, source in _cells(text)]
    one.put(_NOTEBOOK, notebook(*(made or [code(text, ["inputs"])])))
    return read_project(one)


def tags(one: Bench, data: bytes) -> Any:
    """The same, but what follows `#%%` is the JSON of the cell's metadata where it is JSON."""
    made = []
    for text, source in _cells(_text(data)):
        try:
            metadata = json.loads(text)
        except (ValueError, RecursionError):
            metadata = {"tags": text.split(",")}
        made.append(
            {"cell_type": "code", "metadata": metadata, "source": source, "execution_count": len(text)}
        )
    try:
        one.put(_NOTEBOOK, notebook(*made))
    except RecursionError:
        return None
    return read_project(one)


def pipeline(one: Bench, data: bytes) -> Any:
    """The input is pipeline.yaml, beside three notebooks."""
    if not (one.root / _NOTEBOOK).exists():
        parts = (code("C: float = 1.0\nn = 3", ["parameters"]), code("i = '../data/raw.csv'", ["inputs"]))
        one.put(_NOTEBOOK, notebook(*parts, code("m = '../out/m.bin'", ["outputs"])))
    one.put("pipeline.yaml", data)
    return read_project(one)


def suite(one: Bench, data: bytes) -> Any:
    """The input is a file of checks, beside the stage that it is about."""
    if not (one.root / _NOTEBOOK).exists():
        parts = (code("i = '../data/raw.csv'", ["inputs"]), code("m = '../out/m.bin'", ["outputs"]))
        one.put(_NOTEBOOK, notebook(*parts))
    (one.root / "expectations").mkdir(exist_ok=True)
    one.put(f"expectations/{_STEM}.m.yml", data)
    return read_project(one)


def whole_notebook(one: Bench, data: bytes) -> Any:
    """The input is a notebook file: JSON, or a text notebook where it begins like one."""
    start = data.lstrip()[:3]
    suffix = "ipynb" if start[:1] in {b"{", b"[", b""} else "py" if start[:1] in {b"#", b"i"} else "md"
    for other in ("ipynb", "py", "md"):
        (one.root / f"notebooks/{_STEM}.{other}").unlink(missing_ok=True)
    one.put("pipeline.yaml", "notebooks: [notebooks/*.ipynb, notebooks/*.py, notebooks/*.md]\n")
    one.put(f"notebooks/{_STEM}.{suffix}", data)
    return read_project(one)


# --- records ---------------------------------------------------------------------------------


def _journal(one: Bench, _: str) -> None:
    for aside in standing.asides(one.root, time.time()):
        _ = aside.notice


def _control(one: Bench, _: str) -> None:
    control = run_folder.read_control(one.run)
    run_folder.is_running(control, time.time())
    if control is not None:
        run_folder.began(control)


def _accept(one: Bench, _: str) -> None:
    found = accept.read(one.root)
    known = accept.Accepted(found)
    for entry in found:
        for change in entry.changes:
            known.covers(entry.stage, change)


def _listing(_: Bench, text: str) -> None:
    found = parse_listing(text)
    ends = {PurePosixPath(entry.name) for entry in found if entry.kind != "folder"}
    for entry in found:
        place = PurePosixPath(entry.name)
        if place.is_absolute() or ".." in place.parts or not ends.isdisjoint(place.parents):
            raise Breach(Find("outside", "a listing", entry.name))


def _rows(one: Bench, _: str) -> None:
    with open_state(one.state) as state:
        reads = (state.last_records, state.last_failures, state.runs)
        found = [read() for read in reads]
        found += [read(_STEM) for read in (state.last_record, state.earlier_records, state.last_failure)]
        found.append(state.results(_RUN))


def _put_rows(one: Bench, data: bytes) -> None:
    """Rows of the history with a text that was damaged where SQLite cannot see it."""
    with open_state(one.state):
        text = _text(data)
    with closing(sqlite3.connect(one.state / "state.db")) as db, db:
        db.execute("INSERT OR REPLACE INTO latest VALUES (?, 1, 1, ?)", (_STEM, text))
        db.execute("INSERT OR REPLACE INTO earlier VALUES (1, ?, 's', ?)", (_STEM, text))
        db.execute("INSERT OR REPLACE INTO earlier VALUES (2, ?, 't', ?)", (_STEM, text))
        db.execute("INSERT OR REPLACE INTO failures VALUES (?, ?)", (_STEM, text))
        db.execute("INSERT OR REPLACE INTO runs VALUES (?, 1, 2, 'ok', ?)", (_RUN, text))
        db.execute("INSERT OR REPLACE INTO results VALUES (1, ?, ?, 2, ?)", (_RUN, _STEM, text))


def _put_database(one: Bench, data: bytes) -> None:
    one.forget()
    one.put(".nbpipeline/state.db", data)


_OF_SQLITE = frozenset(
    {"open", "os.chmod", "os.rename", "os.remove", "os.mkdir"}
    | {"sqlite3.connect", "sqlite3.connect/handle", "sqlite3.enable_load_extension"}
)
"""What the history's own file needs: opened for writing, made private, moved aside where it is damaged."""


class _Reader:
    """A reader of the state folder, and where its file stands."""

    def __init__(
        self,
        read: Callable[[Bench, str], object],
        *,
        file: str = "",
        put: Callable[[Bench, bytes], object] | None = None,
        errors: tuple[type[Exception], ...] = (NbpipelineError,),
    ) -> None:
        self.read = read
        self.put = put or (lambda one, data: file and one.put(file, data))
        self.errors = errors
        self.allowed = _OF_SQLITE if put else frozenset[str]()


def _told_log(one: Bench, _text: str) -> Any:
    """Read the run's events, and the state that a stage ran in, as trackers are told of them."""
    folder = RunFolder(run=_RUN, path=one.run)
    folder.fingerprint("train")
    return RunReader(one.root, folder, "project", MemoryState()).read(0.0)


READERS = {
    "journal": _Reader(_journal, file=f".nbpipeline/journals/{_STEM}.json", errors=()),
    "control": _Reader(_control, file=f".nbpipeline/runs/{_RUN}/control.json", errors=()),
    "plan": _Reader(lambda one, _: reasons_of(one.run), file=f".nbpipeline/runs/{_RUN}/plan.json", errors=()),
    "events": _Reader(
        lambda one, _: begun_in(one.run), file=f".nbpipeline/runs/{_RUN}/events.jsonl", errors=()
    ),
    "accept": _Reader(_accept, file=accept.FILE),
    "owner": _Reader(
        lambda one, _: lock.owner(one.root, _STEM), file=f".nbpipeline/locks/{_STEM}.owner", errors=()
    ),
    "kept": _Reader(
        lambda one, _: registry._read(registry._entry(one.root, _STEM)),
        file=f".nbpipeline/kernels/{_STEM}.json",
        errors=(),
    ),
    "tracking": _Reader(
        lambda one, _: outbox.read(one.run), file=f".nbpipeline/runs/{_RUN}/tracking.json", errors=()
    ),
    "told": _Reader(_told_log, file=f".nbpipeline/runs/{_RUN}/events.jsonl", errors=()),
    "record": _Reader(lambda _, text: record_from_text(text), errors=()),
    "listing": _Reader(_listing, errors=(ValueError, TypeError)),
    "spoken": _Reader(lambda _, text: spoken(text), errors=(SpellingError,)),
    "rows": _Reader(_rows, put=_put_rows),
    "database": _Reader(_rows, put=_put_database),
}
"""By the first line of an input of the target `records`; `cache` is one more."""


def _cache(one: Bench, data: bytes) -> None:
    """Entries of the cache for each notebook are damaged by the input's text: as good as none.

    What is read of an entry whose digest fits is tried as `spoken`.
    """
    kind, _, text = _text(data).partition("\n")
    if not (one.root / _NOTEBOOK).exists():
        one.put(_NOTEBOOK, notebook(code("C: float = 1.0", ["parameters"])))
    plain = load(one.root)
    cache = MemoryState()
    load(one.root, cache)
    if kind in remembered.KINDS:
        old = cache.load(kind)
        cut = text.encode("utf-8", "surrogatepass")[:1] or b"0"
        cache.save(kind, {name: _damaged(entry, text, cut[0]) for name, entry in old.items()})
    again = watched(lambda: load(one.root, cache), one.root)
    judge_same(
        (plain.spec, plain.complaints), (again.spec, again.complaints), f"from a damaged cache of {kind}"
    )


def _damaged(entry: str, text: str, how: int) -> str:
    """Replace an entry's text, or a part of it; in a third of the cases the head of the old one stays."""
    head, _, _ = entry.partition("\n")
    if how % 3 == 0:
        return text
    if how % 3 == 1:
        return f"{head}\n{text}"
    place = how * 7 % (len(entry) + 1)
    return f"{entry[:place]}{text}{entry[place:]}"


def records(one: Bench, data: bytes) -> Any:
    """The first line names a file of the state folder, the rest is what stands in it."""
    first, _, rest = data.partition(b"\n")
    name = first.decode("ascii", "replace").strip()
    if name == "cache":
        return _cache(one, rest)
    reader = READERS.get(name) or READERS[sorted(READERS)[sum(first) % len(READERS)]]
    try:
        reader.put(one, rest)
    except (NbpipelineError, sqlite3.Error, ValueError):  # the history is as an earlier input has left it
        one.forget()
        return None
    text = _text(rest)
    found = watched(lambda: reader.read(one, text), one.root, errors=reader.errors, allowed=reader.allowed)
    if isinstance(found, NbpipelineError):
        judge_complaints(found.complaints)
    return found


def exported(_bench: Bench, data: bytes) -> None:
    """Make a workflow of the bytes and export it: what went in has to come back as data."""
    exports.tried(data)


TARGETS: dict[str, Callable[[Bench, bytes], Any]] = {
    "header": header,
    "tags": tags,
    "cells": cells,
    "pipeline": pipeline,
    "suite": suite,
    "notebook": whole_notebook,
    "records": records,
    "exports": exported,
}
