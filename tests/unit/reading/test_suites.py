"""Checks as they are written, in headers and in files of their own."""

import pytest
from builders import code, header, write_files, write_notebook

from nbpipeline.api.loading import load
from nbpipeline.reading.project import read_project


@pytest.fixture
def project(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        header("expect: {features: [exists]}"),
        code("raw = '../data/raw.csv'", "inputs"),
        code("features = '../data/features.csv'", "outputs"),
    )
    return root


def checks(root, name="features"):
    spec, complaints = read_project(root)
    assert complaints == ()
    return spec.stages[0].expect.get(name, ())


def told(root):
    return [str(one) for one in load(root, None, ()).complaints]


def test_a_suite_adds_to_what_the_header_says(project):
    write_files(
        project,
        {
            "expectations/any name.yml": "artifact: clean.features\ndescription: x\nmeta: {a: [1]}\nexpect:\n  - rows: {min: 1}\n",
            "expectations/clean.raw.yaml": "severity: warn\ntable: flights\nexpect:\n  - not_null: a\n  - {not_null: b, severity: fail, table: t}\n  - between: {column: a, min: 0, severity: fail}\n",
            "expectations/notes.txt": "not read",
        },
    )
    found = checks(project)
    assert [(one.name, str(one.where)) for one in found] == [
        ("exists", "notebooks/clean.ipynb, cell 1, line 3"),
        ("rows", "expectations/any name.yml, line 5"),
    ]
    raw = checks(project, "raw")
    assert [(one.arguments, one.severity, one.table) for one in raw] == [
        ("a", "warn", "flights"),
        ("b", "fail", "t"),
        ({"column": "a", "min": 0}, "fail", "flights"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "expectations/s.yml, line 2: the file is no YAML: "),
        ("[1]", "expectations/s.yml, line 1: the file holds a list; it wants a mapping with artifact, "),
        ("artifact: clean.features\nexpct: [exists]", "line 2: unknown key 'expct'."),
        ("artifact: clean.features\nexpct: [exists]", "did you mean 'expect'?"),
        ("artifact: clean.features", "the file lists no check."),
        ("expect: [exists]", "the file is about 's'; it wants an input or output, as STAGE.NAME."),
        (
            "artifact: clean.featurs\nexpect: [exists]",
            "line 1: the checks are about 'clean.featurs', which no stage has.\n  known names: clean.features, clean.raw\n  mend: did you mean 'clean.features'?",
        ),
        ("artifact: claen.features\nexpect: [exists]", "did you mean 'clean.features'?"),
        (
            "artifact: clean.features\nexpect:\n  - exists\n  - mean_betwen: {column: a}\n",
            "expectations/s.yml, line 4: check 'mean_betwen': no check is called",
        ),
        (
            "artifact: clean.features\nexpect:\n  - not_null: a\n    mostly: 2\n",
            "line 4: 'mostly' is 2; it wants a number over 0 and up to 1.",
        ),
        (
            "artifact: clean.features\nexpect:\n  - not_null: a\n    severity: wran\n",
            "line 4: 'severity' is 'wran'; it wants `fail` or `warn`.\n  mend: did you mean 'warn'?",
        ),
        ("artifact: clean.features\ntable: 5\nexpect: [exists]", "line 2: 'table' is 5; it wants the name"),
        (
            "artifact: clean.features\nexpect: [{a: 1, b: 2}]",
            "a check is one name with its arguments",
        ),
    ],
)
def test_what_is_wrong_with_a_suite(project, text, words):
    write_files(project, {"expectations/s.yml": text})
    assert words in "\n".join(told(project))


def test_a_suite_is_not_blamed_for_a_stage_that_cannot_be_read(project):
    write_notebook(project / "notebooks/other.ipynb", header("no_such_key: 1"), code("o = 1", "outputs"))
    write_files(
        project, {"expectations/other.o.yml": "expect: [exists]", "expectations/x.y.yml": "expect: [exists]"}
    )
    assert not [one for one in told(project) if "which no stage has" in one]


def test_a_wrong_suite_does_not_keep_the_pipeline_from_being_linked(project):
    write_files(project, {"expectations/s.yml": "a: ["})
    assert load(project, None, ()).pipeline is not None


def test_forms_of_a_check(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        header(
            "expect:\n    f:\n"
            "      - {between: {column: a, min: 0, mostly: 0.5, severity: warn}}\n"
            "      - {not_null: a, mostly: 0.9, severity: warning, table: t}\n"
            "      - {types: {mostly: float, severity: str}}\n"
            "      - {type: expect_column_to_exist, kwargs: {column: a}, meta: {x: 1}, id: y, severity: critical}\n"
            "      - {expectation_type: expect_column_to_exist, kwargs: {column: b}}\n"
            "      - {not_null: a, mostly: 1}\n"
        ),
        code("f = '../data/f.csv'", "outputs"),
    )
    found = [(one.name, one.arguments, one.mostly, one.severity, one.table) for one in checks(root, "f")]
    assert found == [
        ("between", {"column": "a", "min": 0}, 0.5, "warn", ""),
        ("not_null", "a", 0.9, "warn", "t"),
        ("types", {"mostly": "float", "severity": "str"}, None, "fail", ""),
        ("expect_column_to_exist", {"column": "a"}, None, "fail", ""),
        ("expect_column_to_exist", {"column": "b"}, None, "fail", ""),
        ("not_null", "a", None, "fail", ""),
    ]
