"""What cannot go well is refused before the first stage runs."""

import importlib.util
from pathlib import Path

import pytest
from builders import code, header, write_notebook

from nbpipeline.__main__ import main


@pytest.fixture
def chain(root: Path) -> Path:
    """Two stages, the second of which wants its executed notebook as a page."""
    write_notebook(
        root / "notebooks" / "a.ipynb",
        code("made = '../made.txt'", "outputs"),
        code("open(made, 'w').write('1')"),
    )
    write_notebook(
        root / "notebooks" / "b.ipynb",
        header("executed: ../pages/b.html"),
        code("made = '../made.txt'", "inputs"),
        code("print(open(made).read())"),
    )
    return root


def test_a_copy_that_cannot_be_made_is_refused_before_the_run(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "nbconvert" else found(name)
    )
    assert main(["run", "--project", str(chain)]) == 5
    told = capsys.readouterr()
    assert (told.out, told.err) == (
        "",
        (
            "notebooks/b.ipynb, cell 1: `executed: pages/b.html` needs nbconvert.\n"
            "  mend: pip install 'nbpipeline[convert]', "
            "or in a clone of nbpipeline: pip install -e '.[convert]'\n"
        ),
    )
    assert not (chain / "made.txt").exists()
    assert not (chain / ".nbpipeline/runs").exists()
    assert main(["run", "a", "--project", str(chain)]) == 0, "what is left out refuses nothing"
