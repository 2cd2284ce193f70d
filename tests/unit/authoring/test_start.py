"""init: a template's project, and the skeletons of a pipeline.yaml."""

import json
from pathlib import Path

import pytest
from builders import code, command, write_files, write_notebook

from nbpipeline.__main__ import main
from nbpipeline.authoring.start import templates


def tree(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and ".nbpipeline" not in path.parts
    )


LINEAR = [
    ".gitignore", "README.md", "notebooks/clean.ipynb", "notebooks/collect.ipynb", "notebooks/fit.ipynb",
    "notebooks/report.ipynb", "pipeline.yaml",
]  # fmt: skip


def test_the_template_is_a_project_without_a_complaint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert templates() == ("linear",)
    target = tmp_path / "roof: weather"
    assert main(["init", str(target)]) == 0
    assert tree(target) == sorted(LINEAR)
    assert 'name: "roof: weather"' in (target / "pipeline.yaml").read_text()
    assert (target / "README.md").read_text().startswith("# roof: weather\n")
    assert "next: cd " in capsys.readouterr().out
    assert main(["check", "--strict", "--project", str(target)]) == 0
    assert capsys.readouterr() == ("4 stages: nothing to complain of\n", "")


def test_the_templates_notebooks_carry_no_outputs(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path)]) == 0
    for path in (tmp_path / "notebooks").iterdir():
        cells = json.loads(path.read_text())["cells"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        assert len({cell["id"] for cell in cells}) == len(cells)


def test_nothing_is_overwritten_and_nothing_half_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / "pipeline.yaml").write_text("name: mine\n")
    assert main(["init", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "2 of the files to write are there already; nothing was written.\n"
        "  there already: README.md, pipeline.yaml\n"
        "  mend: move them away, or choose another folder or name\n"
    )
    assert tree(tmp_path) == ["README.md", "pipeline.yaml"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_an_unknown_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path), "--template", "linaer"]) == 2
    assert capsys.readouterr().err == (
        "there is no template 'linaer'.\n  templates: linear\n  mend: did you mean 'linear'?\n"
    )


SHORT = """
stages:
  - name: data_preparation
  - {name: model_training, dependencies: [data_preparation]}
  - {name: report, notebook: reporting/final report.ipynb, dependencies: [data_preparation, model_training]}
"""


def test_the_short_form_becomes_notebooks_that_run(root: Path) -> None:
    (root / "pipeline.yaml").write_text(SHORT)
    made = command("init", "--from", "pipeline.yaml", cwd=root)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines() == [
        "made notebooks/data_preparation.ipynb",
        "made notebooks/model_training.ipynb",
        "made reporting/final report.ipynb",
        "next: nbpipeline run",
    ]
    checked = command("check", "--strict", cwd=root)
    assert (checked.returncode, checked.stderr) == (0, "")
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((root / "data/report.json").read_text())
    assert [one["stage"] for one in report["from"]] == ["data_preparation", "model_training"]


def test_notebooks_that_are_there_are_kept(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "pipeline.yaml").write_text(SHORT)
    (root / "notebooks").mkdir()
    (root / "notebooks/model_training.ipynb").write_text("mine")
    assert main(["init", "--from", str(root / "pipeline.yaml")]) == 0
    assert "kept notebooks/model_training.ipynb, which is there already\n" in capsys.readouterr().out
    assert (root / "notebooks/model_training.ipynb").read_text() == "mine"


def evaluation_of(root: Path, stages: str) -> str:
    """Make what is missing; gives the source of `evaluation`."""
    write_files(root, {"pipeline.yaml": f"stages:\n{stages}"})
    assert main(["init", "--from", str(root / "pipeline.yaml")]) == 0
    cells = json.loads((root / "notebooks/evaluation.ipynb").read_text())["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


AFTER_TRAINING = "  - name: model_training\n  - {name: evaluation, dependencies: [model_training]}\n"


def test_a_notebook_that_is_there_and_says_nothing_of_files_is_only_waited_for(root: Path) -> None:
    training = root / "notebooks/model_training.ipynb"
    write_notebook(training, code("alpha = 0.1", "parameters"), code("print(alpha)"))
    source = evaluation_of(root, AFTER_TRAINING)
    assert "model_training" not in source
    checked = command("check", "--strict", cwd=root)
    assert (checked.returncode, checked.stderr) == (0, "")
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((root / "data/evaluation.json").read_text())["stage"] == "evaluation"


def test_outputs_of_a_notebook_that_is_there_are_read_where_they_are(root: Path) -> None:
    write_notebook(
        root / "notebooks/model_training.ipynb",
        code("alpha = 0.1", "parameters"),
        code('model = "../models/model.txt"\nscore = f"../models/score-{alpha}.txt"', "outputs"),
        code("for path in (model, score):\n    open(path, 'w').write('7')"),
    )
    write_files(root, {"models/.gitkeep": ""})
    source = evaluation_of(root, AFTER_TRAINING)
    assert 'model_training_model = "../models/model.txt"' in source
    assert 'model_training_score = "../models/score-0.1.txt"' in source
    checked = command("check", "--strict", cwd=root)
    assert (checked.returncode, checked.stderr) == (0, "")
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    content = json.loads((root / "data/evaluation.json").read_text())
    assert content["bytes"] == {"model_training_model": 1, "model_training_score": 1}


def test_of_a_matrix_that_is_there_no_paths_are_guessed(root: Path) -> None:
    write_notebook(
        root / "notebooks/model_training.ipynb",
        code('region = "eu"', "parameters"),
        code('model = f"../models/{region}.txt"', "outputs"),
        code("open(model, 'w').write(region)"),
    )
    entry = "  - {name: model_training, matrix: {region: [eu, us]}}\n"
    source = evaluation_of(root, entry + AFTER_TRAINING.partition("\n")[2])
    assert "models/" not in source
    assert "model_training" not in source
    assert main(["check", "--strict", "--project", str(root)]) == 0


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        ("name: x\n", "names no stages", 2),
        ("stages: [{nme: a}]\n", "an entry of `stages` has no name", 2),
        ("stages: [1a]\n", "'1a' cannot name a stage", 2),
        ("stages: [a, a]\n", "stage 'a' is listed twice", 2),
        ("stages: [{name: a, dependencies: b}]\n", "`dependencies` of stage 'a' is no list of names", 2),
        ("stages: [{name: a, notebook: a.txt}]\n", "`notebook` of stage 'a' is no path of an .ipynb file", 2),
        (
            "stages: [{name: a, notebook: ../a.ipynb}]\n",
            "`notebook` of stage 'a' lies outside the project",
            2,
        ),
        ("stages: [clean, {name: b, dependencies: [claen]}]\n", "did you mean 'clean'?", 2),
        (
            "stages: [{name: a, dependencies: [b]}, {name: b, dependencies: [a]}]\n",
            "stages wait for each other in a circle: a -> b -> a.",
            3,
        ),
        ("stages: [\n", "pipeline.yaml, line 2: cannot be read:", 2),
    ],
)
def test_a_faulty_pipeline_yaml_makes_nothing(
    text: str, words: str, code: int, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "pipeline.yaml").write_text(text)
    assert main(["init", "--from", str(root / "pipeline.yaml")]) == code
    error = capsys.readouterr().err
    assert words in error
    assert "mend: " in error
    assert tree(root) == ["pipeline.yaml"]


def test_from_a_file_that_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "--from", str(root / "no.yaml")]) == 2
    assert capsys.readouterr().err == (
        f"there is no file {root / 'no.yaml'}.\n  mend: give the path of a pipeline.yaml with `stages`\n"
    )
