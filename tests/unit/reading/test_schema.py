"""The JSON Schemas: up to date, and of one mind with the reader."""

import pytest
from builders import header, write_files, write_notebook

from nbpipeline.reading import quantities, schema, yaml12
from nbpipeline.reading.project import read_project

REMAKE = (
    "python -c 'from nbpipeline.reading import schema as s; "
    "[(s.SCHEMAS / n).write_text(t) for n, t in s.schema_files().items()]'"
)


def test_the_shipped_schemas_are_up_to_date():
    shipped = {path.name: path.read_text(encoding="utf-8") for path in schema.SCHEMAS.glob("*.json")}
    assert shipped == schema.schema_files(), f"the table of keys changed; run: {REMAKE}"


GOOD = [
    "stage: train\nretries: 2\ntimeout: 1h\nresources: {cpus: 0.5, memory: 2GB}",
    "inputs: {a: x, b: {from: s.o}, c: [x, y], d: {path: x, digest: 'blake3:1'}}\nafter: a",
    "outputs: {a: {path: x, mode: update, publish: atomic}}\ncache: false\nexpect: {a: [exists, {rows: 1}]}",
    "matrix: {r: [1, a, true], s: {from_file: f.txt}}\nfresh_for: 30\nparams: {a: 1, b: {default: [1], min: 0}}",
    "retries: null",
    "",
]
BAD = [
    "retires: 2",
    "retries: -1",
    "retries: 1.5",
    "timeout: soon",
    "resources: {cpus: 0}",
    "outputs: {a: {mode: append}}",
    "inputs: {a: {from: nodot}}",
    "stage: true",
    "stage: a b",
    "matrix: {r: []}",
    "retry_backoff: 0.5",
    "tags: [1]",
]


def complaints_of(root, text):
    write_files(root, {"notebooks/f.txt": "a\nb"})
    write_notebook(root / "notebooks/a.ipynb", header(text))
    return read_project(root)[1]


def validator(described):
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(described)


@pytest.mark.parametrize("text", GOOD)
def test_reader_and_schema_accept(root, text):
    assert complaints_of(root, text) == ()
    checker = validator(schema.stage_schema())
    checker.check_schema(schema.stage_schema())
    checker.validate({"title": "others' key", "nbpipeline": yaml12.load(text).value})


@pytest.mark.parametrize("text", BAD)
def test_reader_and_schema_refuse(root, text):
    assert complaints_of(root, text) != ()
    assert not validator(schema.stage_schema()).is_valid({"nbpipeline": yaml12.load(text).value})


def test_the_schema_of_pipeline_yaml():
    checker = validator(schema.project_schema())
    checker.check_schema(schema.project_schema())
    good = "stages: [{name: a, dependencies: [b]}]\nprofiles: {dev: {params: {x: 1}, stages: [{name: a, retries: 1}]}}"
    checker.validate(yaml12.load(good).value)
    for bad in (
        "stages: [{name: a, depends: [b]}]",
        "profiles: {dev: {stages: [{name: a, retires: 1}]}}",
        "store: {max_size: big}",
    ):
        assert not checker.is_valid(yaml12.load(bad).value)


def test_plugins_own_their_keys():
    assert "tune" in schema.stage_schema(["tune"])["properties"]["nbpipeline"]["anyOf"][0]["properties"]
    assert "tune" not in schema.stage_schema()["properties"]["nbpipeline"]["anyOf"][0]["properties"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("24h", 86400),
        ("1.5d", 129600),
        ("2w", 1209600),
    ],
)
def test_durations(text, seconds):
    assert quantities.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "1 month", "-1s", "1h x", "h"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="is no duration"):
        quantities.seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("2GB", 2 * 10**9),
        ("2GiB", 2**31),
        ("512 MB", 512 * 10**6),
        ("1.5k", 1500),
        ("10", 10),
        ("10B", 10),
        ("1Ti", 2**40),
    ],
)
def test_sizes(text, size):
    assert quantities.size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2XB", "-1GB", "1iB"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="is no size"):
        quantities.size(text)
