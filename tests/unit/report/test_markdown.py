"""A run in short as Markdown: nothing that notebooks write gets out of its place."""

from pathlib import Path

import zoo
from builders import code, command, header, write_files, write_notebook
from hypothesis import given
from hypothesis import strategies as st

from nbpipeline.report.markdown import escaped, fenced


@given(st.text())
def test_escaped_texts_stay_on_their_line_and_mean_nothing(text: str) -> None:
    shown = escaped(text)
    assert "\n" not in shown
    assert "\r" not in shown
    bare = shown.replace("\\\\", "").replace("\\|", "").replace("\\<", "").replace("\\`", "")
    assert not {"|", "<", "`"} & set(bare)


@given(st.text(alphabet="`ab\n~"))
def test_a_block_ends_where_it_ends(text: str) -> None:
    lines = fenced(text).splitlines()
    fence = lines[0].removesuffix("text")
    assert set(fence) == {"`"}
    assert lines[-1] == fence
    assert fence not in "\n".join(lines[1:-1])


def test_a_run_that_failed(root: Path) -> None:
    zoo.failing_check(root)
    assert command("run", cwd=root).returncode == 4
    text = command("report", "--markdown", cwd=root).stdout
    assert text.startswith("### unchecked: failed in ")
    assert "| make | \u274c check failed |" in text
    assert "**make**: failed check `between` on `rows`" in text
    assert "| use | \u26d4 blocked |" in text


def test_metrics_and_what_changed(root: Path) -> None:
    write_files(root, {"pipeline.yaml": 'name: "a|b <i> `c`"\n'})
    for value in (1, 2):
        write_notebook(
            root / "notebooks/m.ipynb",
            header("outputs: {o: ../o.txt}"),
            code(f"score = {value}", "metrics"),
            code("open(o, 'w').write('x')"),
        )
        assert command("run", cwd=root).returncode == 0
    text = command("report", "--markdown", "--output", "short.md", cwd=root)
    assert (text.returncode, text.stdout) == (0, "")
    written = (root / "short.md").read_text()
    assert written.startswith("### a\\|b \\<i\\> \\`c\\`: succeeded in")
    assert "score **2**" in written
    assert "code: cell 2 changed" in written.replace("\\", "")
    assert command("run", cwd=root).returncode == 0
    assert "1 stage was fresh." in command("report", "--markdown", cwd=root).stdout
