"""`executed:`: the copy is real in each format, overwrites nothing of others, and comes back."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import code, command, header, write_notebook
from stages import Bench, artifact, bench, instance

from nbpipeline.model import StageInstance, Status
from nbpipeline.stage import restore
from nbpipeline.stage.executed import keep_copy

MODEL = artifact("model", "models/m.txt")
CELLS = ("model = '../models/m.txt'", "open(model, 'w').write('made'); print('<b>seen</b>')")
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.fixture
def at(root: Path) -> Iterator[Bench]:
    with bench(root) as made:
        yield made


def stage(path: str, *sources: str, **settings: Any) -> StageInstance:
    return instance(sources or CELLS, outputs=[MODEL], parts={"executed": path}, **settings)


def executed_notebook(root: Path) -> Path:
    """What a run leaves: markdown, a header, a picture."""
    notebook = write_notebook(
        root / "attempt-1.ipynb", header("stage: train"), {**code("plot()"), "execution_count": 1}
    )
    data = json.loads(notebook.read_text())
    bundle = {"data": {"image/png": PICTURE}, "metadata": {}, "output_type": "display_data"}
    data["cells"][1]["outputs"] = [bundle]
    notebook.write_text(json.dumps(data))
    return notebook


def test_html_and_markdown_are_one_file_each_and_ask_nothing_of_the_network(root: Path) -> None:
    notebook = executed_notebook(root)
    for suffix in ("html", "md"):
        made = stage(f"out/train.{suffix}")
        assert keep_copy(made, notebook, root, run="r", attempt=1) == ()
        text = (root / f"out/train.{suffix}").read_text()
        assert "plot" in text
        assert PICTURE[:40] in text
        assert "nbpipeline:" not in text, "the header is no prose"
        assert 'src="http' not in text
    assert sorted(one.name for one in (root / "out").iterdir()) == ["train.html", "train.md"]


def test_a_run_keeps_its_copy_as_html(at: Bench) -> None:
    result = at.run(stage("out/train.html"))
    assert (result.status, result.notices) == (Status.SUCCEEDED, ())
    assert "&lt;b&gt;seen&lt;/b&gt;" in at.text("out/train.html")


def test_what_nobody_recorded_is_kept_and_an_earlier_copy_is_not(at: Bench) -> None:
    at.write("out/train.ipynb", "somebody's")
    first = at.run(stage("out/train.ipynb"))
    kept = ".nbpipeline/kept/run-1/out/train.ipynb"
    told = "out/train.ipynb held bytes that no run had recorded; they are kept at"
    assert first.notices == (f"{told} {kept}",)
    assert at.text(kept) == "somebody's"
    assert "seen" in at.text("out/train.ipynb")
    second = at.run(stage("out/train.ipynb", *CELLS, "print('again')"))
    assert second.notices == ()
    assert "again" in at.text("out/train.ipynb")
    at.write("out/train.ipynb", "annotated by hand")
    third = at.run(stage("out/train.ipynb"))
    assert third.notices == (f"{told} .nbpipeline/kept/run-3/out/train.ipynb",)
    assert at.text(".nbpipeline/kept/run-3/out/train.ipynb") == "annotated by hand"


def test_trouble_with_the_copy_is_a_notice(at: Bench) -> None:
    at.write("out", "a file")
    result = at.run(stage("out/train.ipynb"))
    assert result.status is Status.SUCCEEDED
    (notice,) = result.notices
    assert notice.startswith("the executed notebook could not be kept at out/train.ipynb: ")
    assert at.text("out") == "a file"


def test_a_restored_stage_has_its_copy_again(at: Bench) -> None:
    first = at.run(stage("out/train.ipynb"))
    before = at.text("out/train.ipynb")
    at.run(stage("out/train.ipynb", *CELLS, "print('again')"))
    back = restore(at.job(stage("out/train.ipynb")), first.record, at.backends)
    assert (back.status, back.notices) == (Status.RESTORED, ())
    assert at.text("out/train.ipynb") == before
    stamp = (at.root / "out/train.ipynb").stat().st_mtime_ns
    assert restore(at.job(stage("out/train.ipynb")), first.record, at.backends).notices == ()
    assert (at.root / "out/train.ipynb").stat().st_mtime_ns == stamp, "it stood there already"


def test_a_copy_whose_notebook_is_gone_stays_as_it_is_and_that_is_said(at: Bench) -> None:
    first = at.run(stage("out/train.ipynb"))
    (at.root / "out/train.ipynb").write_text("annotated by hand")
    (Path(at.last.folder) / "attempt-1.ipynb").unlink()
    back = restore(at.job(stage("out/train.ipynb")), first.record, at.backends)
    assert back.status is Status.RESTORED
    assert back.notices == ("out/train.ipynb is not remade: the executed notebook of that result is gone",)
    assert at.text("out/train.ipynb") == "annotated by hand"


def test_the_store_s_notebook_of_a_stage_without_outputs_will_do(at: Bench) -> None:
    made = instance(["print('seen')"], parts={"executed": "out/train.md"})
    first = at.run(made)
    (at.root / "out/train.md").unlink()
    (Path(at.last.folder) / "attempt-1.ipynb").unlink()
    assert restore(at.job(made), first.record, at.backends).notices == ()
    assert "seen" in at.text("out/train.md")


def test_trouble_with_remaking_the_copy_is_a_notice_too(at: Bench) -> None:
    made = instance(["print('seen')"], parts={"executed": "out/train.md"})
    first = at.run(made)
    (at.root / "out/train.md").unlink()
    (Path(at.last.folder) / "attempt-1.ipynb").unlink()
    job = at.job(made)
    Path(job.folder).rmdir()
    Path(job.folder).write_text("a file")
    back = restore(job, first.record, at.backends)
    assert back.status is Status.RESTORED
    (notice,) = back.notices
    assert notice.startswith("out/train.md is not remade: [Errno 17] File exists: ")


@pytest.mark.skipif(importlib.util.find_spec("playwright") is not None, reason="a PDF can be made here")
def test_a_pdf_is_refused_before_anything_runs_where_it_cannot_be_made(root: Path) -> None:
    write_notebook(
        root / "notebooks/train.ipynb", header("executed: ../out/train.pdf"), code("open('../ran', 'w')")
    )
    done = command("run", cwd=root)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (
        "notebooks/train.ipynb, cell 1: `executed: out/train.pdf` needs playwright.\n"
        "  mend: pip install 'nbconvert[webpdf]>=7.16', "
        "or in a clone of nbpipeline: pip install -e '.[pdf]'; then `playwright install chromium`. Or keep it as .html\n"
    )
    assert not (root / "ran").exists()
