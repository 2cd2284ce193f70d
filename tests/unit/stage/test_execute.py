"""What a stage gets, leaves and tells when it runs well, with real kernels."""

import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from stages import Bench, artifact, bench, instance

from nbpipeline.errors import BusyError
from nbpipeline.kernels.plain import PlainKernels
from nbpipeline.location import Location
from nbpipeline.model import (
    Check,
    Fingerprint,
    Injection,
    KernelNeed,
    PathValue,
    Resources,
    Status,
    StoredOutput,
    Verdict,
)
from nbpipeline.run import CancelSwitch
from nbpipeline.stage import execute, keep, notebook_file, recorder, restore
from nbpipeline.stage.backends import Surroundings
from nbpipeline.stage.lock import hold

MODEL = artifact("model", "models/m.txt")
WRITE = "open('../models/m.txt', 'w').write('new')"


def test_a_success_is_stored_recorded_and_clears_up(at: Bench) -> None:
    at.write("models/m.txt", "made by an earlier run")
    at.backends.store.put(
        at.root / "models/m.txt",
        StoredOutput(path="models/m.txt", digest=at.backends.digests.of(at.root / "models/m.txt")),
    )
    result = at.run(instance(["x = 1", WRITE], outputs=[MODEL]))
    assert result.status is Status.SUCCEEDED
    assert result.attempts == 1
    assert result.notices == ()
    assert at.text("models/m.txt") == "new"
    assert at.leftovers() == []
    record = at.backends.state.last_record("train")
    assert record == result.record
    assert record.run == at.last.run
    assert record.outputs[0].size == 3
    assert at.backends.store.has(record.outputs[0])
    assert at.backends.store.get_record("train", record.state) == record
    assert not (at.root / ".nbpipeline" / "kept").exists()


def test_the_source_is_never_written(at: Bench) -> None:
    source = at.write("notebooks/train.ipynb", "the planned bytes count, these are never read")
    assert at.run(instance(["x = 1"])).status is Status.SUCCEEDED
    assert source.read_text() == "the planned bytes count, these are never read"


def test_events_in_order(at: Bench) -> None:
    at.run(instance(["x = 1", ("never = 1", "skip"), "", ("y = 1", "test"), "z = 1"]))
    told = [
        (event.kind, event.data.get("cell"), event.data.get("n"), event.data.get("of")) for event in at.events
    ]
    assert told == [
        ("attempt_started", None, None, 1),
        ("cell_started", 1, 1, 2),
        ("cell_finished", 1, 1, 2),
        ("cell_started", 5, 2, 2),
        ("cell_finished", 5, 2, 2),
    ]
    assert {event.stage for event in at.events} == {"train"}


def test_skip_and_test_cells_stay_in_the_copy_unexecuted(at: Bench) -> None:
    stage = instance(["x = 1", ("skipped = 1", "skip"), ("assert x == 1", "test")])
    at.run(stage)
    cells = at.executed()["cells"]
    assert [cell["execution_count"] for cell in cells] == [1, None, None]
    assert [cell["id"] for cell in cells] == ["c1", "c2", "c3"]


def test_a_test_runs_test_cells_and_leaves_no_trace(at: Bench) -> None:
    at.write("models/m.txt", "previous")
    stage = instance([WRITE, ("print('tested')", "test")], outputs=[MODEL])
    result = at.run(stage, test=True)
    assert result.status is Status.SUCCEEDED
    assert result.record is None
    assert at.backends.state.last_record("train") is None
    assert at.text("models/m.txt") == "previous"
    assert "tested" in at.log()
    assert (Path(at.last.folder) / "test-outputs" / "models" / "m.txt").read_text() == "new"
    assert at.leftovers() == []


def test_injected_cells_and_the_kernel_s_folder(at: Bench) -> None:
    values = {"where": PathValue("../models"), "text": 'it\'s "quoted"\nin two lines', "nan": float("nan")}
    stage = instance(
        [
            "where = None",
            "import math, os\nassert math.isnan(nan)\n(where / 'm.txt').write_text(text)\nprint(os.getcwd())",
        ],
        outputs=[MODEL],
        parts={"injections": (Injection(after=1, values=values),)},
    )
    before = Path.cwd()
    result = at.run(stage)
    assert result.status is Status.SUCCEEDED, result.failure
    assert at.text("models/m.txt") == 'it\'s "quoted"\nin two lines'
    assert str(at.root / "notebooks") in at.log()
    assert Path.cwd() == before
    assert [cell.cell for cell in result.cells] == [1, 0, 2]
    injected = at.executed()["cells"][1]
    assert injected["metadata"]["tags"] == ["injected-parameters"]
    assert [event.data["cell"] for event in at.events if event.kind == "cell_finished"] == [1, 0, 2]


def test_the_kernel_s_environment(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHERS", "pass")
    monkeypatch.setenv("PYTHONPATH", "/before")
    ask = (
        "import json, os\n"
        "names = ['OMP_NUM_THREADS', 'MKL_NUM_THREADS', 'OTHERS', 'PYTHONPATH', 'TRACKER', 'NBPIPELINE_STAGE', 'JPY_SESSION_NAME']\n"
        "open('../models/m.txt', 'w').write(json.dumps({name: os.environ.get(name) for name in names}))"
    )
    stage = instance([ask], outputs=[MODEL], resources=Resources(cpus=3), pythonpath=("src",))
    result = at.run(stage, environment={"TRACKER": "run 7"})
    assert result.status is Status.SUCCEEDED
    assert json.loads(at.text("models/m.txt")) == {
        "OMP_NUM_THREADS": "3",
        "MKL_NUM_THREADS": "3",
        "OTHERS": "pass",
        "PYTHONPATH": f"{at.root / 'src'}:/before",
        "TRACKER": "run 7",
        "NBPIPELINE_STAGE": "train",
        "JPY_SESSION_NAME": str(at.root / "notebooks/train.ipynb"),
    }


def test_the_cell_profile_knows_peak_memory_of_each_cell(at: Bench) -> None:
    result = at.run(
        instance(["big = bytearray(200_000_000); big[::4096] = bytes(len(big[::4096]))\ndel big", "x = 1"])
    )
    first, second = result.cells
    assert first.peak_memory - second.peak_memory > 150_000_000
    assert first.seconds > 0


def test_metrics_are_numbers_and_the_rest_is_told(at: Bench) -> None:
    cell = (
        "auc = 0.5\ncount = 3\nclass Scalar:\n    shape = ()\n    def item(self): return 0.25\n"
        "scalar = Scalar()\nways = 10**400\nmore = 10**5000\nname = 'best'\nlost = float('nan')\nrows = [1, 2]\nflag = True\n_private = 1\n"
        "print([inner := n for n in rows][0])\nfor step in rows: last = step"
    )
    result = at.run(instance(["other = 1", (cell, "metrics")]))
    assert result.record.metrics == {"auc": 0.5, "count": 3, "scalar": 0.25, "last": 2, "step": 2}
    assert result.notices == (
        (
            "metrics not recorded, since they are no finite numbers: "
            "ways (an int past 1e308), more (an int past 1e308), name (str), lost (nan), rows (list), flag (bool)"
        ),
    )
    executed = at.executed()["cells"]
    assert [one["execution_count"] for one in executed] == [1, 2]
    assert len(executed[1]["outputs"]) == 1


def test_numpy_scalars_are_metrics(at: Bench) -> None:
    numpy = pytest.importorskip("numpy")
    assert numpy
    result = at.run(
        instance(
            [
                (
                    "import numpy as np\na = np.float32(0.5)\nb = np.int64(4)\nc = np.array(2.0)\nd = np.zeros(3)",
                    "metrics",
                )
            ]
        )
    )
    assert result.record.metrics == {"a": 0.5, "b": 4, "c": 2.0}
    assert "d (ndarray)" in result.notices[0]


def test_a_stage_without_outputs_keeps_its_executed_notebook(at: Bench) -> None:
    result = at.run(instance(["print('seen')"]))
    (output,) = result.record.outputs
    assert output.kind == "executed"
    assert at.backends.store.has(output)
    assert output.path == f".nbpipeline/runs/{at.last.run}/train/attempt-1.ipynb"


def test_the_executed_notebook_is_also_kept_where_asked(at: Bench) -> None:
    result = at.run(
        instance([WRITE, "print('seen')"], outputs=[MODEL], parts={"executed": "out/train.ipynb"})
    )
    assert result.status is Status.SUCCEEDED
    assert "seen" in at.text("out/train.ipynb")


def test_an_executed_format_that_is_not_known(at: Bench) -> None:
    from nbpipeline.errors import UsageError

    with pytest.raises(UsageError, match=r"`executed: out/train.docx` has a format that is not known."):
        at.run(instance(["x = 1"], parts={"executed": "out/train.docx"}))


def test_retries_with_back_off_keep_every_attempt(at: Bench) -> None:
    flaky = (
        "import pathlib\ncount = pathlib.Path('../count.txt')\n"
        "n = int(count.read_text()) + 1 if count.exists() else 1\ncount.write_text(str(n))\n"
        "open('../models/m.txt', 'w').write(f'attempt {n}')\nassert n == 3, n"
    )
    at.write("models/m.txt", "previous")
    result = at.run(instance([flaky], outputs=[MODEL], retries=3, retry_delay=0.01, retry_backoff=2.0))
    assert result.status is Status.SUCCEEDED
    assert result.attempts == 3
    assert result.record.attempt == 3
    assert at.text("models/m.txt") == "attempt 3"
    folder = Path(at.last.folder)
    assert sorted(one.name for one in folder.glob("attempt-*")) == [
        "attempt-1.ipynb", "attempt-2.ipynb", "attempt-3.ipynb",
    ]  # fmt: skip
    assert (folder / "rejected-2/models/m.txt").read_text() == "attempt 2"
    failed = [event.data for event in at.events if event.kind == "attempt_failed"]
    assert [one["attempt"] for one in failed] == [1, 2]
    assert failed[0]["what"] == "the cell raised AssertionError: 1"
    assert not failed[0]["last"]


def test_a_retry_s_pause_ends_with_the_run(at: Bench) -> None:
    at.on_event = lambda event: at.switch.raise_to(1) if event.kind == "attempt_failed" else None
    result = at.run(instance(["1 / 0"], retries=5, retry_delay=3600))
    assert result.attempts == 1
    assert result.status is Status.FAILED


# --- secrets ---------------------------------------------------------------------------------

SECRET = "s3cr3t/päss word+1"


def test_a_secret_shows_nowhere(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("SHORT", "abc")
    leak = (
        "import os, sys, json, base64, urllib.parse\nt = os.environ['TOKEN']\n"
        "print(t); print(urllib.parse.quote(t)); print(json.dumps({'t': t}))\n"
        "print(base64.b64encode(('user:' + t).encode()).decode())\n"
        "print(t[:5], end='', flush=True); print('!', file=sys.stderr, flush=True); print(t[5:], flush=True)"
    )
    result = at.run(
        instance([leak, "{'data': t}", "raise ValueError(t)"], secrets=("TOKEN", "SHORT"), outputs=[MODEL])
    )
    assert result.notices == ("secret 'SHORT' has less than 8 characters, so it is not masked",)
    assert result.failure.what == "the cell raised ValueError: [masked]"
    forms = [SECRET, "s3cr3t/p%C3%A4ss%20word%2B1", json.dumps(SECRET)[1:-1], "czNjcjN0"]
    everything = [
        (Path(at.last.folder) / "attempt-1.ipynb").read_text(),
        at.log(),
        repr(at.events),
        repr(result),
    ]
    for text in everything:
        for form in forms:
            assert form not in text
    (cell,) = (one for one in at.executed()["cells"] if one["id"] == "c1")
    texts = ["".join(one["text"]) for one in cell["outputs"] if one.get("name") == "stdout"]
    assert len(texts) == 2
    assert "t/päss" not in "".join(texts) + at.log()


# --- protection ------------------------------------------------------------------------------


def test_bytes_that_nobody_recorded_are_kept(at: Bench) -> None:
    at.write("models/m.txt", "made by hand")
    result = at.run(instance([WRITE], outputs=[MODEL]))
    kept = f".nbpipeline/kept/{at.last.run}/models/m.txt"
    assert result.notices == (f"models/m.txt held bytes that no run had recorded; they are kept at {kept}",)
    assert at.text(kept) == "made by hand"
    again = at.run(instance([WRITE], outputs=[MODEL]))
    assert again.notices == ()


def test_bytes_that_the_store_holds_damaged_are_kept(at: Bench) -> None:
    at.run(instance([WRITE], outputs=[MODEL]))
    good = at.text("models/m.txt")
    assert good is not None
    at.run(instance([WRITE.replace(good, "another")], outputs=[MODEL]))
    assert at.text("models/m.txt") == "another"
    (place,) = (one for one in (at.root / ".nbpipeline/store/objects").glob("*/*") if one.read_text() == good)
    place.chmod(0o600)
    place.write_text("rotten")
    at.write("models/m.txt", good)
    result = at.run(instance([WRITE.replace(good, "third")], outputs=[MODEL]))
    assert at.text(f".nbpipeline/kept/{at.last.run}/models/m.txt") == good
    assert "they are kept at" in result.notices[0]


def test_outputs_are_away_while_the_notebook_runs(at: Bench) -> None:
    at.write("models/m.txt", "previous")
    result = at.run(
        instance(["import os\nassert not os.path.exists('../models/m.txt')", WRITE], outputs=[MODEL])
    )
    assert result.status is Status.SUCCEEDED


def test_an_updated_output_is_there_and_comes_back(at: Bench) -> None:
    (at.root / "data").mkdir()
    with sqlite3.connect(at.root / "data/x.db") as db:
        db.execute("create table t (n)")
    before = (at.root / "data/x.db").read_bytes()
    base = artifact("db", "data/x.db", mode="update")
    add = "import sqlite3\nwith sqlite3.connect('../data/x.db') as db: db.execute('insert into t values (1)')\ndb.close()"
    failed = at.run(instance([add, "1 / 0"], outputs=[base]))
    assert failed.status is Status.FAILED
    assert (at.root / "data/x.db").read_bytes() == before
    assert at.leftovers() == []
    done = at.run(instance([add], outputs=[base]))
    assert done.status is Status.SUCCEEDED
    with sqlite3.connect(at.root / "data/x.db") as db:
        assert db.execute("select count(*) from t").fetchone() == (1,)


def kept(at: Bench, text: str) -> str:
    """Put bytes into the store; gives their digest."""
    path = at.write("elsewhere", text)
    digest = at.backends.digests.of(path)
    at.backends.store.put(path, StoredOutput(path="elsewhere", digest=digest))
    return digest


@pytest.mark.parametrize(("cell", "left"), [("", "base and more"), ("\n1 / 0", "written on")])
def test_an_update_begins_with_what_the_stage_before_left(at: Bench, cell: str, left: str) -> None:
    """Another stage wrote on in the file since, or this one did the last time."""
    before = Fingerprint(inputs={"models/m.txt": kept(at, "base")})
    at.write("models/m.txt", "written on")
    stage = instance(
        ["open('../models/m.txt', 'a').write(' and more')" + cell],
        outputs=[artifact("model", "models/m.txt", mode="update")],
    )
    at.run(stage, fingerprint=before)
    assert at.text("models/m.txt") == left
    assert at.leftovers() == []


def test_an_update_of_what_the_store_does_not_hold_is_told(at: Bench) -> None:
    at.write("models/m.txt", "written on")
    stage = instance(
        ["open('../models/m.txt', 'a').write(' and more')"],
        outputs=[artifact("model", "models/m.txt", mode="update")],
    )
    result = at.run(stage, fingerprint=Fingerprint(inputs={"models/m.txt": "0" * 64}))
    assert at.text("models/m.txt") == "written on and more"
    assert result.notices[0] == (
        "models/m.txt is updated as it stands: what the stage before left is not in the store"
    )


def test_an_atomic_output_is_swapped_in_at_the_end(at: Bench) -> None:
    at.write("models/m.txt", "previous")
    model = artifact("model", "models/m.txt", publish="atomic", cell=1)
    cell = (
        "assert open('../models/m.txt').read() == 'previous'\nassert model.endswith('.txt')\n"
        "open(model, 'w').write('new')\nassert open('../models/m.txt').read() == 'previous'"
    )
    result = at.run(instance(["model = '../models/m.txt'", cell], outputs=[model]))
    assert result.status is Status.SUCCEEDED, result.failure
    assert at.text("models/m.txt") == "new"
    assert at.leftovers() == []
    failed = at.run(
        instance(["model = '../models/m.txt'", "open(model, 'w').write('half')\n1 / 0"], outputs=[model])
    )
    assert failed.status is Status.FAILED
    assert at.text("models/m.txt") == "new"
    assert at.leftovers() == []
    assert (Path(at.last.folder) / "rejected-1/models/m.txt").read_text() == "half"


def test_an_atomic_folder_is_swapped_in_whole(at: Bench) -> None:
    at.write("data/shards/a.csv", "previous")
    shards = artifact("shards", "data/shards", publish="atomic", kind="directory", cell=1)
    cell = "import os\nos.mkdir(shards)\nopen(shards + '/b.csv', 'w').write('new')"
    result = at.run(instance(["shards = '../data/shards'", cell], outputs=[shards]))
    assert result.status is Status.SUCCEEDED, result.failure
    assert sorted(one.name for one in (at.root / "data/shards").iterdir()) == ["b.csv"]
    assert at.leftovers() == []


def test_an_output_behind_a_link_stays_behind_it(at: Bench, tmp_path: Path) -> None:
    outside = artifact("model", "models/m.txt", allow_outside=True)
    elsewhere = tmp_path / "big-disk"
    elsewhere.mkdir()
    (elsewhere / "m.txt").write_text("previous")
    (at.root / "models").mkdir()
    (at.root / "models/m.txt").symlink_to(elsewhere / "m.txt")
    assert at.run(instance([WRITE, "1 / 0"], outputs=[outside])).status is Status.FAILED
    assert (elsewhere / "m.txt").read_text() == "previous"
    assert at.run(instance([WRITE], outputs=[outside])).status is Status.SUCCEEDED
    assert (elsewhere / "m.txt").read_text() == "new"
    assert (at.root / "models/m.txt").is_symlink()
    assert sorted(one.name for one in elsewhere.iterdir()) == ["m.txt"]


def test_a_file_left_open_is_flushed_by_the_kernel_s_end(at: Bench) -> None:
    result = at.run(instance(["f = open('../models/m.txt', 'w'); f.write('buffered')"], outputs=[MODEL]))
    assert result.status is Status.SUCCEEDED
    assert at.text("models/m.txt") == "buffered"


# --- changes meanwhile, undeclared files, checks ---------------------------------------------


def test_a_module_that_changed_meanwhile_is_not_recorded(root: Path) -> None:
    with bench(root, fingerprint=lambda stage: Fingerprint(modules={"src/features.py": "new"})) as at:
        at.write("models/m.txt", "previous")
        job = {"fingerprint": Fingerprint(modules={"src/features.py": "old"})}
        result = at.run(instance([WRITE], outputs=[MODEL]), **job)
        assert result.status is Status.SUCCEEDED
        assert result.record is None
        assert at.backends.state.last_record("train") is None
        assert at.text("models/m.txt") == "new"
        assert result.notices[0] == (
            "src/features.py changed while the stage ran, so its result is not recorded as fresh"
        )
        assert at.leftovers() == []


def test_undeclared_files_are_seen(at: Bench) -> None:
    at.write("data/declared.csv", "a")
    at.write("data/hidden_input.csv", "b")
    at.write("notebooks/helper_undeclared.py", "x = 1")
    read = (
        "import helper_undeclared\nopen('../data/declared.csv').read(); open('../data/hidden_input.csv').read()\n"
        "open('../data/side.csv', 'w').write('s'); open('/tmp/nbpipeline-outside.txt', 'w').close()\n" + WRITE
    )
    stage = instance([read], outputs=[MODEL], inputs=[artifact("declared", "data/declared.csv")])
    result = at.run(stage)
    assert result.record.undeclared == ("data/hidden_input.csv", "data/side.csv")
    assert result.record.followed == ("notebooks/helper_undeclared.py",)
    assert "_nbpipeline" not in json.dumps(at.executed())


def test_files_are_seen_that_no_open_of_pythons_own_shows(at: Bench) -> None:
    at.write("notebooks/program.py", "print(1)")
    read = (
        "import os, sqlite3, subprocess, sys\n"
        "sqlite3.connect('../data/a.db').execute('create table t (x)')\n"
        "sqlite3.connect('file:../data/b.db?mode=rwc', uri=True).execute('create table t (x)')\n"
        "sqlite3.connect(':memory:')\n"
        "open('../data/c.part', 'w').close(); os.replace('../data/c.part', '../data/c.csv')\n"
        "subprocess.run([sys.executable, '-u', 'notebooks/program.py', 'out.py'], cwd='..', check=True)\n"
        + WRITE
    )
    at.write("data/x", "")
    at.write("notebooks/shown.py", "x = 1")
    at.write("notebooks/script.py", "import warnings; warnings.warn('shows its line, so reads it')")
    read += "\nimport runpy; runpy.run_path('script.py'); get_ipython().run_line_magic('run', 'script.py')"
    read += "\nfrom pathlib import Path; Path('shown.py').read_text(); open('too.py').read()"
    at.write("notebooks/too.py", "x = 1")
    record = at.run(instance([read], outputs=[MODEL])).record
    assert record.undeclared == ("data/a.db", "data/b.db", "data/c.csv")
    assert record.followed == (
        "=notebooks/shown.py",
        "=notebooks/too.py",
        "notebooks/program.py",
        "notebooks/script.py",
    )


def _small(paths: tuple[Path, ...], checks: tuple[Check, ...], _around: Surroundings) -> tuple[Verdict, ...]:
    found = paths[0].read_text()
    return tuple(
        Verdict(check=one, passed=len(found) <= one.arguments, message=f"{len(found)} characters")
        for one in checks
    )


@pytest.mark.parametrize("publish", ["direct", "atomic"])
def test_a_failed_check_rejects_the_output(root: Path, publish: str) -> None:
    check = Check(name="at_most", arguments=2, where=Location(path="notebooks/train.ipynb", cell=3))
    with bench(root, validators=_small) as at:
        at.write("models/m.txt", "previous")
        model = artifact("model", "models/m.txt", publish=publish, cell=1)
        stage = instance(
            ["model = '../models/m.txt'", "open(model, 'w').write('new')"],
            outputs=[model],
            expect={"model": (check,)},
        )
        result = at.run(stage)
        assert result.status is Status.CHECK_FAILED
        assert result.failure.what == "output 'model' fails a check: at_most: 3 characters"
        assert str(result.failure.where) == "notebooks/train.ipynb, cell 3"
        (told,) = [one.data for one in at.events if one.kind == "check_finished"]
        assert told == {
            "side": "output",
            "artifact": "model",
            "check": "at_most",
            "arguments": 2,
            "passed": False,
            "severity": "fail",
            "message": "3 characters",
            "validator": "columns",
            "details": {},
        }
        assert at.text("models/m.txt") == "previous"
        assert at.leftovers() == []
        rejected = Path(at.last.folder) / "rejected-1"
        assert (rejected / "models/m.txt").read_text() == "new"
        assert (
            result.failure.known == f"what was written is kept in {rejected.relative_to(root)}: models/m.txt"
        )


def test_a_failed_check_on_an_input_starts_no_kernel(root: Path) -> None:
    check = Check(name="at_most", arguments=2, where=Location(path="notebooks/train.ipynb", cell=3))
    with bench(root, validators=_small) as at:
        at.write("data/raw.csv", "abc")
        stage = instance([WRITE], inputs=[artifact("raw", "data/raw.csv")], expect={"raw": (check,)})
        result = at.run(stage)
        assert result.status is Status.CHECK_FAILED
        assert result.failure.what == "input 'raw' fails a check: at_most: 3 characters"
        assert result.failure.known == ""
        assert [(one.kind, one.data["side"]) for one in at.events] == [("check_finished", "input")]


# --- record and restore ----------------------------------------------------------------------


def test_outputs_made_by_hand_are_recorded(at: Bench) -> None:
    at.write("models/m.txt", "by hand")
    record = keep(
        instance([WRITE], outputs=[MODEL]), Fingerprint(), at.backends, root=at.root, origin="recorded"
    )
    assert record.origin == "recorded"
    assert at.backends.state.last_record("train") == record


def test_outputs_come_back_from_the_store(at: Bench) -> None:
    data = artifact("shards", "data/shards", kind="directory")
    stage = instance([WRITE, "open('../data/shards/a.csv', 'w').write('1')"], outputs=[MODEL, data])
    record = at.run(stage).record
    at.write("models/m.txt", "overwritten by hand")
    (at.root / "data/shards/a.csv").unlink()
    result = restore(at.job(stage), record, at.backends)
    assert result.status is Status.RESTORED, result.failure
    assert at.text("models/m.txt") == "new"
    assert at.text("data/shards/a.csv") == "1"
    assert [notice for notice in result.notices if "models/m.txt held bytes" in notice]
    assert at.leftovers() == []


def test_waiting_to_restore_ends_with_ctrl_c(at: Bench) -> None:
    stage = instance([WRITE], outputs=[MODEL])
    record = at.run(stage).record
    patient, cancel = replace(at.backends, wait=True), CancelSwitch()
    cancel.raise_to(1)
    with hold(at.root, "train"):
        assert restore(at.job(stage), record, patient, cancel).status is Status.CANCELLED
    assert restore(at.job(stage), record, patient, cancel).status is Status.RESTORED, "nothing to wait for"


def test_restoring_what_another_run_holds_is_refused(at: Bench) -> None:
    stage = instance([WRITE], outputs=[MODEL])
    record = at.run(stage).record
    with hold(at.root, "train"), pytest.raises(BusyError):
        restore(at.job(stage), record, at.backends)


def test_what_the_store_lacks_leaves_all_as_it_was(at: Bench) -> None:
    stage = instance([WRITE], outputs=[MODEL])
    record = at.run(stage).record
    at.write("models/m.txt", "by hand")
    lost = replace(record, outputs=(replace(record.outputs[0], digest="0" * 64),))
    result = restore(at.job(stage), lost, at.backends)
    assert result.status is Status.FAILED
    assert result.failure.what == "the store no longer holds models/m.txt"
    assert result.failure.mend == "run the stage: `nbpipeline run train`"
    assert at.text("models/m.txt") == "by hand"
    assert at.leftovers() == []


def test_two_at_once(at: Bench) -> None:
    from nbpipeline.errors import BusyError
    from nbpipeline.stage.lock import hold

    with hold(at.root, "train", run="other-run"), pytest.raises(BusyError) as caught:
        at.run(instance([WRITE], outputs=[MODEL]))
    text = str(caught.value)
    assert text.startswith("stage 'train' is held by another run.\n")
    assert f"holder: process {os.getpid()}, run other-run, since " in text
    assert "mend: wait until it ends, or give `--wait` to wait for it" in text
    assert caught.value.exit_code == 7


def test_a_failed_stage_s_kernel_is_kept_for_debug(at: Bench) -> None:
    from nbpipeline.kernels import registry

    at.write("models/m.txt", "previous")
    result = at.run(instance([WRITE, "1 / 0"], outputs=[MODEL]), keep_kernel=True)
    assert result.status is Status.FAILED
    assert "the kernel is kept: `nbpipeline debug train`" in result.notices
    kept = registry.find(at.root, "train")
    try:
        assert kept.run == at.last.run
        assert registry.is_alive(kept)
        assert at.text("models/m.txt") == "previous"
    finally:
        registry.end(at.root, kept)


def test_pools_that_a_cell_left_do_not_hold_up_the_kernel_s_end(at: Bench) -> None:
    pool = (
        "import multiprocessing\nfrom concurrent.futures import ProcessPoolExecutor\n"
        "fork = multiprocessing.get_context('fork')\npool = fork.Pool(2)\nprint(pool.map(abs, [-1]))\n"
        "more = ProcessPoolExecutor(1, mp_context=fork)\nprint(more.submit(abs, -2).result())\n"
        "late = open('../models/m.txt', 'w'); late.write('buffered')"
    )
    result = at.run(instance([pool], outputs=[MODEL]))
    assert result.status is Status.SUCCEEDED
    assert at.text("models/m.txt") == "buffered"
    assert result.seconds < 10


def test_a_notebook_that_clears_its_output_folder_loses_nothing(at: Bench) -> None:
    clear = "import os, shutil\nshutil.rmtree('../models'); os.makedirs('../models')\n"
    good = instance([clear + WRITE], outputs=[MODEL])
    assert at.run(good).status is Status.SUCCEEDED
    kept = at.text("models/m.txt")
    half = WRITE.replace("new", "half")
    failed = at.run(instance([clear + half + "\nraise ValueError"], outputs=[MODEL]))
    assert failed.status is Status.FAILED
    (notice,) = failed.notices
    assert notice.startswith("models/m.txt was put aside while the stage ran, and something removed it there")
    assert notice.endswith("; it is back from the store")
    assert at.text("models/m.txt") == kept
    assert at.leftovers() == []


@pytest.mark.parametrize("store", [True, False])
def test_altered_bytes_survive_a_notebook_that_clears_its_output_folder(at: Bench, store: bool) -> None:
    clear = "import os, shutil\nshutil.rmtree('../models'); os.makedirs('../models')\n"
    model = artifact("model", "models/m.txt", store=store)
    at.write("models/m.txt", "by hand")
    failed = at.run(instance([clear + WRITE + "\nraise ValueError"], outputs=[model]))
    assert failed.notices == ()
    assert at.text("models/m.txt") == "by hand"
    done = at.run(instance([clear + WRITE], outputs=[model]))
    assert done.status is Status.SUCCEEDED
    assert len(done.notices) == 1
    kept = Path(at.root, ".nbpipeline/kept", at.last.run, "models/m.txt")
    assert kept.read_text() == "by hand"
    assert at.leftovers() == []


def test_many_cells_with_displays_that_later_cells_update(at: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is as nbformat writes it, however its pieces came to disk."""
    monkeypatch.setattr(notebook_file, "WHOLE_BELOW", 2000)
    monkeypatch.setattr(recorder, "SHORTEST_PAUSE", 0.0)
    monkeypatch.setattr(recorder, "SAVE_SHARE", 0.0)
    show = "from IPython.display import display, update_display\nshown = display('before', display_id='one')"
    cells = [
        show,
        *(f"print('x' * 300, {number})" for number in range(30)),
        "update_display('after', display_id='one')",
    ]
    assert at.run(instance(cells)).status is Status.SUCCEEDED
    text = (Path(at.last.folder) / "attempt-1.ipynb").read_text(encoding="utf-8")
    book = nbformat.reads(text, as_version=4)
    assert text == nbformat.v4.writes(book) + "\n"
    nbformat.validate(book)
    assert book.cells[0].outputs[0].data["text/plain"] == "'after'"
    assert [cell.outputs[0].text for cell in book.cells[1:-1]] == [f"{'x' * 300} {n}\n" for n in range(30)]
    assert {cell.metadata.papermill.status for cell in book.cells} == {"completed"}
    assert book.metadata.papermill.input_path is None
    assert not list(Path(at.last.folder).glob("*.part"))


def test_papermill_marks_the_failing_cell(at: Bench) -> None:
    assert at.run(instance(["x = 1", "1 / 0"])).status is Status.FAILED
    sources = [cell["source"] for cell in at.executed()["cells"]]
    assert len(sources) == 4
    assert any("papermill-error-cell" in "".join(one) for one in sources)


def test_a_kernel_that_cannot_be_prepared_runs_no_cell(
    at: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "ipython/profile_default/startup/00-own.py"
    startup.parent.mkdir(parents=True)
    startup.write_text("exec = None\n")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    result = at.run(instance(["open('../ran', 'w')"]))
    assert result.failure is not None
    assert (result.status, result.failure.kind) == (Status.FAILED, "dead_kernel")
    assert result.failure.what == (
        "the kernel did not start: its preparation failed: TypeError: 'NoneType' object is not callable"
    )
    assert not (at.root / "ran").exists()


def test_the_kernel_is_quiet_at_its_end_though_its_pools_cannot_be_closed(at: Bench) -> None:
    said = "lambda: open('../said', 'w').write(kernel._publish_status.__name__)"
    sources = [
        f"import atexit, sys\nkernel = get_ipython().kernel\natexit.register({said})",
        "import multiprocessing.util as u; u.Finalize(None, lambda: sys.exit(1), exitpriority=10)",
    ]
    assert at.run(instance(sources)).status is Status.SUCCEEDED
    assert at.text("said") == "<lambda>"


class Asked(PlainKernels):
    """Plain kernels that count how often they were asked for one."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def manager(self, need: KernelNeed, *, stays: bool = False) -> Any:
        self.times += 1
        return super().manager(need, stays=stays)


def test_no_kernel_is_asked_for_where_the_record_cannot_be_opened(root: Path) -> None:
    with Asked() as kernels, bench(root, kernels=kernels) as at:
        job = at.job(instance(["print(1)"]))
        (Path(job.folder) / "log").mkdir()
        result = execute(job, at.backends, at.events.append, at.switch)
        assert result.failure is not None
        assert (result.status, result.failure.kind) == (Status.FAILED, "storage")
        assert kernels.times == 0
