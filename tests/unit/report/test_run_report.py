"""The page of a run: from whole folders, damaged ones and very large ones."""

import base64
import json
import os
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from builders import notebook_json

from nbpipeline.errors import StorageError, UsageError
from nbpipeline.model import Fingerprint, StageRecord, StageResult, Status
from nbpipeline.report import run_page
from nbpipeline.report.run_facts import gather
from nbpipeline.report.run_report import write_report
from nbpipeline.run.folder import close_run, open_run
from nbpipeline.state.memory import MemoryState
from nbpipeline.stores.local import LocalStore

EVIL = "<script>alert(1)</script>"
PNG = b"\x89PNG\r\n\x1a\n"
VOID = {"meta", "img", "br", "hr"}


class Page(HTMLParser):
    """Reads a page as a browser does, and holds that every element is closed in its turn."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.text, self.open, self.tags, self.ids, self.hrefs, self.words = (
            path.read_text(),
            [],
            [],
            [],
            [],
            [],
        )
        self.feed(self.text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if "id" in given else []
        self.hrefs += [given["href"]] if "href" in given else []
        assert not [name for name in given if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def state():
    return MemoryState()


@pytest.fixture
def store(root):
    return LocalStore(root / "store")


class Run:
    """A run's folder, written by hand."""

    def __init__(self, root, stages, edges=(), *, now=None, **plan):
        listed = [
            {"stage": name, "fresh": action == "skip", "action": action, "reasons": [{"kind": "never_run"}]}
            for name, action in stages.items()
        ]
        joined = [{"upstream": a, "downstream": b, "kind": "data", "path": f"data/{a}"} for a, b in edges]
        self.began = now or time.time() - 100
        self.folder = open_run(
            root, {"version": 1, "stages": listed, "edges": joined, **plan}, now=self.began
        )
        self.run, self.lines = self.folder.run, []
        self.tell(
            0, "run_started", total=len(stages), fresh=0, command="nbpipeline run", profile="prod", stages=[]
        )

    def tell(self, after, kind, stage="", **data):
        event = {
            "version": 1,
            "time": self.began + after,
            "run": self.run,
            "kind": kind,
            "stage": stage,
            "data": data,
        }
        self.lines.append(json.dumps(event))

    def stage(self, name, start, end, *, status="succeeded", parameters=None, cells=(), checks=(), **more):
        self.tell(start, "stage_started", name, action="run", reasons=[], parameters=parameters or {})
        self.tell(start, "attempt_started", name, attempt=1, of=1)
        for number, seconds in enumerate(cells, start=1):
            self.tell(
                start + number,
                "cell_finished",
                name,
                cell=number,
                n=number,
                of=9,
                seconds=seconds,
                peak_memory=5_000_000,
            )
        for check in checks:
            self.tell(end, "check_finished", name, side="output", artifact="rows", **check)
        self.tell(end, "stage_finished", name, status=status, seconds=end - start, attempts=1, **more)

    def write(self, status="succeeded"):
        self.folder.events.write_text("\n".join(self.lines) + "\n")
        if status:
            self.tell(90, "run_finished", status=status, seconds=90, counts={})
            self.folder.events.write_text("\n".join(self.lines) + "\n")
            close_run(self.folder, now=self.began + 90, status=status)
        return self


def notebook(run, slug, *pictures, text=""):
    own = run.folder.path / slug
    own.mkdir(exist_ok=True)
    data = [
        {"output_type": "display_data", "data": {"image/png": base64.b64encode(one).decode()}}
        for one in pictures
    ]
    output = [{"output_type": "stream", "name": "stdout", "text": text}] if text else []
    cell = {
        "cell_type": "code",
        "metadata": {},
        "source": "",
        "outputs": [*output, *data],
        "execution_count": 1,
    }
    (own / "attempt-1.ipynb").write_text(json.dumps(notebook_json([cell])))
    (own / "log").write_text("\x1b[31mlast words\x1b[0m\n")
    return own


def page_of(root, state, store, run=None, output=None):
    return Page(write_report(state, store, root, run and run.run, "flights", output))


def small(root):
    run = Run(root, {"a": "skip", "b": "run", "c": "run"}, ["ab", "bc"])
    examples = [{"id": 5, "note": EVIL}, {"id": None}]
    check = {
        "check": "unique", "arguments": "id", "passed": False, "message": "repeated: 5",
        "details": {"failed": 7, "examples": examples},
    }  # fmt: skip
    run.stage("b", 1, 31, parameters={"C": 0.5, EVIL: EVIL}, cells=(2.0, 5.0), metrics={"auc": 0.75})
    failure = {
        "kind": "check",
        "what": f"bad {EVIL}",
        "known": "",
        "mend": "mend it",
        "where": "b.ipynb, cell 1",
    }
    run.stage("c", 31, 81, status="check_failed", checks=[check], failure=failure)
    notebook(run, "b", PNG + b"1")
    notebook(run, "c")
    return run.write("failed")


def test_a_page_has_all_parts_and_stands_alone(root, state, store):
    page = page_of(root, state, store, small(root))
    for said in ("flights", "failed", "nbpipeline run", "prod", "1 stage was as an earlier run had left it", "auc", "0.75",
                 "bad <script>", "mend: mend it", "repeated: 5", "2 of 7 failing rows", "last words", "never run",
                 "2 cells, 7.0 s", "5.0 MB", "2 stages, one after the other, took 1 min 20 s of the run's 1 min 30 s."):  # fmt: skip
        assert said in page.said, said
    assert "script" not in page.tags
    assert page.text.count("<img ") == 1
    assert "default-src 'none'" in page.text
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#|[bc]/)[^"']*""", page.text)
    assert len(page.ids) == len(set(page.ids))


def test_links_lead_to_what_is_there(root, state, store):
    run = small(root)
    page = page_of(root, state, store, run)
    assert {one[1:] for one in page.hrefs if one.startswith("#")} <= set(page.ids)
    files = [one for one in page.hrefs if not one.startswith("#")]
    assert files == ["b/attempt-1.ipynb", "b/log", "c/attempt-1.ipynb", "c/log"]
    (run.folder.path / "b/attempt-1.html").write_text("<p>the notebook as a page</p>")
    files = [one for one in page_of(root, state, store, run).hrefs if not one.startswith("#")]
    assert files[:2] == ["b/attempt-1.html", "b/attempt-1.ipynb"], "a browser shows the page"
    (run.folder.path / "b/attempt-1.html").unlink()
    elsewhere = root / "a folder: 100 %" / "page.html"
    elsewhere.parent.mkdir()
    page = page_of(root, state, store, run, elsewhere)
    files = [one for one in page.hrefs if not one.startswith("#")]
    assert len(files) == 4
    assert all((elsewhere.parent / unquote(one)).resolve().is_file() for one in files)


def test_a_relative_output_is_meant_from_the_working_folder(root, state, store, monkeypatch):
    small(root)
    monkeypatch.chdir(root)
    assert write_report(state, store, root, "last", "flights", Path("x.html")) == root / "x.html"


def test_a_metric_is_compared_with_the_last_run_that_had_it(root, state, store):
    for number, auc in enumerate((0.5, 0.6, float("nan"), "text")):
        run = f"20200101-00000{number}-0000"
        state.add_run(run, started=float(number), data={})
        kept = StageRecord(
            instance="b",
            state="s",
            fingerprint=Fingerprint(),
            metrics={"auc": auc} if number < 2 else {"loss": auc},
        )
        state.add_result(
            run, StageResult(instance="b", status=Status.SUCCEEDED, attempts=1, record=kept), finished=1.0
        )
    run = small(root)
    stages = {one.stage: one for one in gather(state, store, root, run.run, "flights", time.time()).stages}
    (auc,) = stages["b"].metrics
    assert (auc.value, auc.before, auc.before_run, auc.trail) == (
        0.75,
        0.6,
        "20200101-000001-0000",
        (0.5, 0.6, 0.75),
    )
    page = page_of(root, state, store, run)
    assert "0.75 0.6 \u25b2 +0.15" in page.said


def test_a_run_that_goes_on_says_so(root, state, store):
    run = Run(root, {"b": "run", "c": "run"}, ["bc"])
    run.tell(5, "stage_started", "b", action="run", reasons=[], parameters={})
    page = page_of(root, state, store, run.write(""))
    assert "The run still goes on" in page.said
    assert "so far" in page.said
    assert "1 running, 1 waiting" in page.said


def test_a_killed_run_says_so(root, state, store):
    run = Run(root, {"b": "run", "c": "run"}, ["bc"])
    run.tell(5, "stage_started", "b", action="run", reasons=[], parameters={})
    run.write("")
    control = json.loads(run.folder.control.read_text())
    run.folder.control.write_text(json.dumps({**control, "pid": 2**22 + 1}))
    page = page_of(root, state, store, run)
    assert "The run was killed" in page.said
    assert "1 cut off, 1 not started" in page.said


@pytest.mark.parametrize("missing", ["events.jsonl", "plan.json", "control.json", "b", "c"])
def test_a_folder_that_lacks_something_still_gives_a_page(root, state, store, missing):
    run = small(root)
    path = run.folder.path / missing
    if path.is_dir():
        for one in path.iterdir():
            one.unlink()
        path.rmdir()
    else:
        path.unlink()
    page = page_of(root, state, store, run)
    assert (f"{missing} is gone" in page.said) == (missing in ("events.jsonl", "plan.json"))


@pytest.mark.parametrize(
    "damage",
    [
        b"\xff\xfe\x00garbage", b'{"cut', b'{"kind":"stage_started","stage":"b","time":"x","data":{"parameters":[1],"reasons":5}}\n',
        b'{"kind":"cell_finished","stage":"b","time":null,"data":{"seconds":"long","cell":[],"peak_memory":{}}}\n',
        b'{"kind":"stage_finished","stage":"b","time":1e400,"data":{"seconds":[],"status":7,"attempts":"x","failure":[],"metrics":[1]}}\n',
        b'{"kind":"check_finished","stage":"b","time":1,"data":{"side":1,"artifact":2,"check":3,"passed":0,"message":4,"details":[],"arguments":{}}}\n',
        b'{"kind":"check_finished","stage":"b","time":1,"data":{"side":1,"artifact":2,"check":3,"passed":0,"details":{"examples":[[1],{"a":[2]}]}}}\n',
        b'{"kind":"run_started","stage":"","time":[],"data":{"command":5,"profile":[],"fresh":"x"}}\n',
        b'{"kind":"commit","stage":"","time":1,"data":{"id":"\\ud800<b>","dirty":1}}\n',
        b'{"kind":"stage_started","stage":"\\ud800","time":1,"data":{}}\n', b'{"kind":"stage_started","stage":[1],"time":1,"data":{}}\n',
    ],
)  # fmt: skip
def test_damaged_events_still_give_a_page(root, state, store, damage):
    run = small(root)
    run.folder.events.write_bytes(run.folder.events.read_bytes() + damage)
    page_of(root, state, store, run)
    run.folder.events.write_bytes(damage + run.folder.events.read_bytes())
    page_of(root, state, store, run)


@pytest.mark.parametrize(
    "edges",
    [
        5,
        [3],
        [{"upstream": ["x"], "downstream": "b"}],
        [{"upstream": "b", "downstream": "c"}, {"upstream": "c", "downstream": "b"}],
    ],
)
def test_edges_that_are_none_or_a_circle_still_give_a_page(root, state, store, edges):
    run = small(root)
    plan = json.loads(run.folder.plan.read_text())
    run.folder.plan.write_text(json.dumps({**plan, "edges": edges, "notices": [EVIL]}))
    assert "script" not in page_of(root, state, store, run).tags


def test_a_run_whose_folder_is_gone_wants_a_file(root, state, store):
    kept = small(root).run
    state.add_run("20200101-000000-0000", started=1.0, data={"command": "nbpipeline run"})
    with pytest.raises(
        UsageError, match="the folder of run '20200101-000000-0000' is no longer kept"
    ) as caught:
        write_report(state, store, root, "2020", "flights")
    assert kept in str(caught.value)
    page = Page(write_report(state, store, root, "2020", "flights", root / "x.html"))
    assert "events.jsonl is gone" in page.said
    assert not (root / ".nbpipeline/runs/20200101-000000-0000").exists()


def test_a_place_that_refuses_is_told(root, state, store):
    small(root)
    with pytest.raises(StorageError, match=r"nowhere/x.html cannot be written: No such file"):
        write_report(state, store, root, None, "flights", root / "nowhere/x.html")


def test_a_very_large_run_gives_a_small_page(root, state, store):
    names = [f"work[n={number}]" for number in range(1_000)]
    run = Run(root, dict.fromkeys(["begin", *names], "run"), [("begin", one) for one in names])
    run.stage("begin", 0, 1)
    rows = [{f"column {place}": "x" * 300 for place in range(40)} for _ in range(50)]
    for number, name in enumerate(names):
        check = {
            "check": "c",
            "arguments": "x" * 5_000,
            "passed": False,
            "message": "m" * 9_000,
            "details": {"examples": rows},
        }
        run.stage(
            name, 1 + number % 80, 3 + number % 80, cells=[0.01] * 20, checks=[check] * 2 if number % 10 == 0 else (),
            parameters={f"p{place}": "v" * 500 for place in range(60)}, status="check_failed" if number % 10 == 0 else "succeeded",
            failure={"what": "w" * 50_000, "known": "k" * 50_000, "mend": "m"} if number % 10 == 0 else None,
        )  # fmt: skip
    run.write("failed")
    page = page_of(root, state, store, run)
    assert len(page.text) < 8_000_000
    assert "The run is large" in page.said
    assert "A box stands for all instances of a stage" in page.said
    assert "100 check failed, 900 succeeded" in page.said
    assert "100 stages failed in all" in page.said
    assert "shortest stages are left out" in page.said
    assert {one[1:] for one in page.hrefs if one.startswith("#")} <= set(page.ids)


def test_plots_have_a_bound_and_what_is_left_out_is_told(root, state, store):
    run = Run(root, {"b": "run", "c": "run"})
    run.stage("b", 1, 2)
    run.stage("c", 2, 3)
    notebook(run, "b", *(PNG + os.urandom(1_000_000) for _ in range(40)), text="x" * 40_000_000)
    notebook(run, "c", PNG + os.urandom(3_000_000), PNG + b"small")
    page = page_of(root, state, store, run.write())
    shown = page.text.count("<img ")
    assert 0 < shown <= run_page.MOST_PICTURES
    assert len(page.text) < run_page.PICTURES + 200_000
    assert f"{40 - (shown - 1)} plots are left out here" in page.said
    assert "1 plot is left out here" in page.said
