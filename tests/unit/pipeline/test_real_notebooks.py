"""From notebooks on the disk to a pipeline: what reading gives is what the pipeline is made of."""

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline.model import PathValue
from nbpipeline.pipeline import build, missing_inputs
from nbpipeline.reading.project import read_project


def read(root, profile=None):
    project, complaints = read_project(root, profile=profile)
    assert [str(one) for one in complaints if not one.warning] == []
    return project


def test_a_small_project_from_cells_and_headers(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        code('raw = "../data/raw.csv"', "inputs"),
        code('from pathlib import Path\nclean = Path("../data") / "clean.csv"', "outputs"),
    )
    write_notebook(
        root / "notebooks/train.ipynb",
        header("inputs: {clean: {from: clean.clean}}\nmatrix: {region: [eu, us]}"),
        code('region = "eu"\nC: float = 1.0', "parameters"),
        code('model = f"../models/{region}.bin"', "outputs"),
    )
    write_notebook(
        root / "notebooks/report.ipynb",
        header('inputs: {models: {from: "train[*].model"}}\noutputs: {page: ../out/report.html}'),
    )
    write_files(root, {"pipeline.yaml": "stages: [{name: train, params: {C: 0.5}}]\n"})
    pipeline, complaints = build(read(root))
    assert complaints == ()
    assert list(pipeline.instances) == ["clean", "train[region=eu]", "train[region=us]", "report"]
    clean, eu, us, report = pipeline
    assert clean.outputs[0].value == PathValue("../data/clean.csv")
    assert clean.injections == ()
    assert [(one.after, dict(one.values)) for one in eu.injections] == [
        (2, {"C": 0.5}),
        (3, {"clean": "../data/clean.csv"}),
    ]
    assert [(one.after, dict(one.values)) for one in us.injections] == [
        (2, {"region": "us", "C": 0.5}),
        (3, {"clean": "../data/clean.csv"}),
    ]
    assert us.outputs[0].paths == ("models/us.bin",)
    assert report.inputs[0].value == {"eu": "../models/eu.bin", "us": "../models/us.bin"}
    assert [str(one) for one in missing_inputs(pipeline, root)] == [
        (
            "notebooks/clean.ipynb, cell 1, line 1: input 'raw' is made by no stage, and data/raw.csv is not "
            "there.\n"
            "  known outputs: data/clean.csv (clean.ipynb), models/eu.bin (train.ipynb), "
            "models/us.bin (train.ipynb), out/report.html (report.ipynb)\n"
            "  mend: put the file at data/raw.csv, or declare it as an output of the stage that makes it"
        )
    ]


def test_a_cell_that_only_annotates_gets_the_headers_default(root):
    write_notebook(
        root / "notebooks/a.ipynb", header("params: {C: {default: 1.5}}"), code("C: float", "parameters")
    )
    pipeline, complaints = build(read(root))
    assert complaints == ()
    assert [(one.after, dict(one.values)) for one in pipeline.instances["a"].injections] == [(2, {"C": 1.5})]


def test_papermills_plain_notebooks_are_stages_without_links(root):
    write_notebook(root / "notebooks/a.ipynb", code("x = 1", "parameters"), code("print(x)"))
    pipeline, complaints = build(read(root))
    assert complaints == ()
    assert pipeline.instances["a"].parameters == {"x": 1}


def test_a_circle_names_cells_and_lines(root):
    write_notebook(root / "notebooks/a.ipynb", code('x = "x.csv"', "inputs"), code('y = "y.csv"', "outputs"))
    write_notebook(
        root / "notebooks/b.ipynb", code('\ny = "y.csv"', "inputs"), code('x = "x.csv"', "outputs")
    )
    pipeline, complaints = build(read(root))
    assert pipeline is None
    assert [str(one) for one in complaints] == [
        (
            "notebooks/b.ipynb, cell 1, line 1: the stages go in a circle: a -> b -> a.\n"
            "  b reads notebooks/y.csv of a (notebooks/b.ipynb, cell 1, line 1); "
            "a reads notebooks/x.csv of b (notebooks/a.ipynb, cell 1, line 1)\n"
            "  mend: take one of these inputs, `after` or `dependencies` away"
        )
    ]


def test_a_profile_moves_paths_and_both_cwds_agree(root):
    write_notebook(
        root / "notebooks/a.ipynb", header("outputs: {x: 'out/{profile}/x.csv'}\ncwd: project"), code("1")
    )
    write_notebook(root / "notebooks/b.ipynb", header("inputs: {x: {from: a.x}}"), code("1"))
    write_files(root, {"pipeline.yaml": "profiles: {dev: {}}\n"})
    pipeline, _ = build(read(root, "dev"))
    assert pipeline.instances["a"].outputs[0].paths == ("out/dev/x.csv",)
    assert pipeline.instances["a"].outputs[0].value == "out/dev/x.csv"
    assert pipeline.instances["b"].inputs[0].value == "../out/dev/x.csv"


@pytest.mark.parametrize("tag", ["inputs", "outputs"])
@pytest.mark.parametrize("written", ['""', '["a", ""]', '"" + ""', "' '"])
def test_a_cell_that_declares_an_empty_path_is_told(root, tag, written):
    write_notebook(root / "notebooks/train.ipynb", code(f"a = 'x'\nm = {written}", tag))
    _, complaints = build(read(root))
    assert [str(one).splitlines() for one in complaints] == [
        [
            f"notebooks/train.ipynb, cell 1, line 2: {tag[:-1]} 'm': the path is empty.",
            "  mend: write a path that is known before the notebook runs",
        ]
    ]


@pytest.mark.parametrize("written", ['m: ""', 'm: {path: ""}', 'm: [a, ""]', "m: ' '"])
@pytest.mark.parametrize("key", ["inputs", "outputs"])
def test_a_header_that_declares_an_empty_path_is_told(root, key, written):
    write_notebook(root / "notebooks/train.ipynb", header(f"{key}: {{{written}}}"))
    _, complaints = read_project(root)
    (told,) = [str(one) for one in complaints if not one.warning]
    assert told.startswith("notebooks/train.ipynb, cell 1, line 3: ")
    assert told.endswith("; it wants some text.\n  mend: write it, or take it out.")


AXIS = "'region' is an axis of the matrix{of}, not a parameter."
WRITE = "write its values under 'matrix': `region: [...]`, or select the instances that are to run."


@pytest.mark.parametrize("cells", [[code("region = 'eu'", "parameters")], []])
@pytest.mark.parametrize(
    ("text", "where", "of"),
    [
        ("params: {region: eu}", "pipeline.yaml, line 1", " of stage 'train'"),
        ("name: p\nprofiles: {dev: {params: {region: eu}}}", "pipeline.yaml, line 2", " of stage 'train'"),
        ("stages: [{name: train, params: {region: eu}}]", "pipeline.yaml, line 1", ""),
    ],
)
def test_an_axis_takes_no_value_from_pipeline_yaml(root, cells, text, where, of):
    write_notebook(
        root / "notebooks/train.ipynb",
        header("matrix: {region: [eu, us]}\noutputs: {model: '../models/{region}.bin'}"),
        *cells,
    )
    write_notebook(root / "notebooks/report.ipynb", code("region = 'eu'", "parameters"))
    write_files(root, {"pipeline.yaml": f"{text}\n"})
    project, complaints = read_project(root, profile="dev" if "dev" in text else None)
    told = [str(one) for one in complaints if not one.warning]
    assert told == [f"{where}: {AXIS.format(of=of)}\n  mend: {WRITE}"]
    assert build(project)[1] == ()


def test_an_inherited_axis_takes_no_value_from_pipeline_yaml(root):
    write_notebook(
        root / "notebooks/train.ipynb",
        header("matrix: {region: [eu, us]}\noutputs: {model: '../models/{region}.bin'}"),
    )
    write_notebook(
        root / "notebooks/judge.ipynb",
        header("inputs: {model: {from: train.model}}"),
        code("region = 'eu'", "parameters"),
    )
    write_files(root, {"pipeline.yaml": "stages: [{name: judge, params: {region: eu}}]\n"})
    pipeline, complaints = build(read(root))
    assert pipeline is None
    assert [str(one).splitlines() for one in complaints] == [
        [
            "pipeline.yaml: 'region' is an axis of stage 'judge'.",
            "  values of 'region': eu, us",
            "  mend: select the instance: judge@region=eu",
        ]
    ]


def test_a_profile_gives_an_axis_fewer_values(root):
    write_notebook(
        root / "notebooks/train.ipynb",
        header("matrix: {region: [eu, us]}\noutputs: {model: '../models/{region}.bin'}"),
    )
    profile = "{dev: {stages: [{name: train, matrix: {region: [eu]}}]}}"
    write_files(root, {"pipeline.yaml": f"name: p\nprofiles: {profile}\n"})
    assert list(build(read(root, profile="dev"))[0].instances) == ["train[region=eu]"]
