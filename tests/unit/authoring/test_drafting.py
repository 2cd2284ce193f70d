"""Drafted suites: word for word on a small table, and true of whatever they were learned from."""

import csv
import json
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nbpipeline.authoring.drafting import Found, draft
from nbpipeline.model import Check
from nbpipeline.reading import yaml12
from nbpipeline.reading.checks import CHECKS
from nbpipeline.reading.place import Place
from nbpipeline.validators import columns
from nbpipeline.validators.profile import profile


def drafted(*paths: Path, tolerance: float = 0.1, table: str = "", sample: int | None = None) -> str:
    found = [Found(source=f"{one.name} (run r1)", profile=profile(one, table, sample)) for one in paths]
    count, text = draft("clean.features", table, found, tolerance)
    assert count == len(yaml12.load(text).value["expect"])
    return text


def checks_of(text: str) -> tuple[Check, ...]:
    findings: list = []
    suite = yaml12.load(text).value
    found = CHECKS.read(suite["expect"], Place(file="suite.yml", findings=findings))
    assert findings == []
    assert len(found) == len(suite["expect"])
    return found


def failing(path: Path, text: str) -> list[str]:
    checks = checks_of(text)
    assert [columns.complaints(one) for one in checks] == [()] * len(checks)
    return [
        f"{one.check.name} {one.check.arguments}: {one.message}"
        for one in columns.validate((path,), checks)
        if not one.passed
    ]


def small_table(path: Path, rows: int = 40) -> Path:
    lines = [
        f"{n},{'EWR' if n % 4 else 'JFK'},{100 + n * 10},2013-01-{n % 28 + 1:02},{'' if n % 10 == 0 else n / 100},0{n % 2}"
        for n in range(rows)
    ]
    path.write_text("id,origin,distance,day,late share,zip\n" + "\n".join(lines) + "\n")
    return path


def test_a_draft_word_for_word(tmp_path):
    path = small_table(tmp_path / "a.csv")
    assert drafted(path) == (
        """# Drafted by `nbpipeline expect learn clean.features`:
# review it, and take out what need not hold.
# Learned from a.csv (run r1): 40 rows.
# Ranges, numbers of rows and shares of missing values may go 10 % further.
artifact: clean.features
expect:
  # 40 rows
  - rows: {min: 36, max: 44}
  # 6 columns; further ones may be there (`only:` forbids them)
  - columns: {required: [id, origin, distance, day, "late share", zip]}
  # every value had this type
  - types: {id: int, origin: str, distance: int, day: date, "late share": float, zip: str}
  # never missing
  - not_null: [id, origin, distance, day, zip]
  # late share: missing in 10 % of the rows
  - not_null: ["late share"]
    mostly: 0.89
  # id: no value came twice
  - unique: [id]
  # origin: 2 different texts; most often EWR (75 %), JFK (25 %)
  - in_set: {column: origin, values: [EWR, JFK]}
  # distance: no value came twice
  - unique: [distance]
  # day: 2013-01-01 to 2013-01-28; later data may be later, so there is no `max`
  - between: {column: day, min: "2013-01-01"}
  # late share: 0.01 to 0.39, mean 0.2
  - between: {column: "late share", min: 0.0, max: 0.43}
  # zip: 2 different texts; most often 00 (50 %), 01 (50 %)
  - in_set: {column: zip, values: ["00", "01"]}
"""
    )
    assert failing(path, drafted(path)) == []


@pytest.mark.parametrize(
    ("line", "failed"),
    [
        ("50,EWR,300,2013-01-05,0.2,00", set()),
        ("0,EWR,300,2013-01-05,0.2,00", {"unique"}),
        ("x,EWR,300,2013-01-05,0.2,00", {"types"}),
        ("50,ORD,300,2013-01-05,0.2,00", {"in_set"}),
        ("50,EWR,300,2012-12-31,0.2,00", {"between"}),
        ("50,EWR,300,2013-01-05,7,00", {"between"}),
        ("50,,300,2013-01-05,0.2,00", {"not_null"}),
    ],
)
def test_a_draft_refuses_what_it_has_not_seen(tmp_path, line, failed):
    text = drafted(small_table(tmp_path / "a.csv"))
    path = small_table(tmp_path / "b.csv")
    path.write_text(path.read_text() + line.replace("300", "1305") + "\n")
    assert {one.split()[0] for one in failing(path, text)} == failed


def test_more_rows_than_the_tolerance_lets_through(tmp_path):
    text = drafted(small_table(tmp_path / "a.csv"))
    assert {one.split()[0] for one in failing(small_table(tmp_path / "b.csv", 60), text)} >= {"rows"}


def test_of_few_rows_little_is_drafted(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,origin\n" + "".join(f"{n},EWR\n" for n in range(19)))
    text = drafted(path)
    assert "unique" not in text
    assert "in_set" not in text
    assert "between: {column: id, min: 0, max: 20}" in text


def test_several_files_must_each_pass(tmp_path):
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("a,b,only\n" + "".join(f"{n},x,1\n" for n in range(30)))
    second.write_text("a,b\n" + "".join(f"{n}.5,{'y' if n % 2 else ''}\n" for n in range(60)))
    text = drafted(first, second)
    assert "# 30 to 60 rows\n  - rows: {min: 27, max: 66}" in text
    assert "required: [a, b]" in text
    assert "types: {a: float, b: str}" in text
    assert "values: [x, y]" in text
    assert [failing(one, text) for one in (first, second)] == [[], []]


def test_of_a_sample_it_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id\n" + "".join(f"{n}\n" for n in range(30_000)))
    text = drafted(path, sample=100)
    assert "30,000 rows, of which" in text
    assert "unique" not in text
    assert "rows: {min: 27000, max: 33000}" in text


def test_names_and_texts_that_yaml_would_read_as_something_else(tmp_path):
    path = tmp_path / "a.json"
    texts = [
        "no",
        "null",
        "1e3",
        "- x",
        'a "b"',
        "a: b",
        "ü",
        "\x07",
        "#",
        "C:\\n",
        "{",
        "\u2028",
        "😀",
        "0x1f",
        "~",
        "true",
    ]
    path.write_text(json.dumps([{one: one for one in texts}] * 20))
    text = drafted(path)
    assert failing(path, text) == []
    (named,) = [one for one in checks_of(text) if one.name == "columns"]
    assert named.arguments["required"] == texts
    values = {
        one.arguments["column"]: one.arguments["values"] for one in checks_of(text) if one.name == "in_set"
    }
    assert values == {one: [one] for one in texts}


def test_a_table_is_named(tmp_path):
    path = small_table(tmp_path / "a.csv")
    found = [Found(source="a", profile=profile(path))]
    text = draft("load.db", "my flights", found, 0.1)[1]
    assert 'learn load.db --table "my flights"`' in text
    assert yaml12.load(text).value["table"] == "my flights"


# --- properties -------------------------------------------------------------------------------------

WORDS = st.text(max_size=6)
DAYS = st.dates(date(1, 1, 2), date(9999, 12, 30))
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))  # noqa: DTZ001 - tables mostly know no zones
PURE = [
    st.integers(-(2**62), 2**62),
    st.integers(0, 3),
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(0, 1),
    st.booleans(),
    WORDS,
    st.sampled_from(["EWR", "JFK", "1", "0x1", "no"]),
    st.from_regex(r"[+-]?[0-9_]{1,4}(\.[0-9]{0,2})?", fullmatch=True),
]
DATED = [DAYS.map(date.isoformat), TIMES.map(datetime.isoformat), st.tuples(TIMES, st.integers(-12, 12)).map(
    lambda one: (one[0] + timedelta(0)).isoformat() + f"{one[1]:+03}:00"
)]  # fmt: skip
MIXED = st.one_of(*PURE, *DATED, st.lists(st.integers(), max_size=2))
TOLERANCES = st.sampled_from([0.0, 0.01, 0.1, 1.0, 5.0])


@st.composite
def tables(draw, names, *kinds):
    """Columns of one kind each, with nulls in some; now and then so many rows that more is drafted."""
    size = draw(st.sampled_from([1, 3, 25]))
    found = {}
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        values = draw(st.sampled_from(kinds))
        values = draw(st.sampled_from([values, st.none() | values, st.none()]))
        found[name] = draw(st.lists(values, min_size=size, max_size=size))
    return [{name: found[name][row] for name in found} for row in range(size)]


@settings(max_examples=150)
@given(records=tables(WORDS, *PURE, *DATED, MIXED), lines=st.booleans(), tolerance=TOLERANCES)
def test_what_is_learned_from_json_holds_for_it(tmp_path_factory, records, lines, tolerance):
    path = tmp_path_factory.mktemp("d") / f"a.{'jsonl' if lines else 'json'}"
    text = "".join(json.dumps(one) + "\n" for one in records) if lines else json.dumps(records)
    path.write_text(text)
    assert failing(path, drafted(path, tolerance=tolerance)) == []


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters=',;\t|"\ufeff'),
    min_size=1,
    max_size=5,
)


@settings(max_examples=150)
@given(records=tables(NAMES, *PURE, *DATED, MIXED), tolerance=TOLERANCES)
def test_what_is_learned_from_csv_holds_for_it(tmp_path_factory, records, tolerance):
    path = tmp_path_factory.mktemp("d") / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    assume("\0" not in path.read_text(encoding="utf-8"))
    assert failing(path, drafted(path, tolerance=tolerance)) == []


TYPED = [DAYS, TIMES, st.decimals(-100, 100, places=2), st.binary(max_size=3)]


@settings(max_examples=100)
@given(records=tables(WORDS, *PURE, *TYPED, st.lists(st.integers(0, 9))), tolerance=TOLERANCES)
def test_what_is_learned_from_parquet_holds_for_it(tmp_path_factory, records, tolerance):
    path = tmp_path_factory.mktemp("d") / "a.parquet"
    pq.write_table(pa.Table.from_pylist(records), path)
    assert failing(path, drafted(path, tolerance=tolerance)) == []


def test_flags_stay_flags(tmp_path):
    path = tmp_path / "flags.csv"
    path.write_text("late,two\n" + "".join(f"{n % 2},{n % 3}\n" for n in range(40)))
    text = drafted(path)
    assert "between: {column: late, min: 0, max: 1}" in text
    assert "between: {column: two, min: 0, max: 3}" in text
