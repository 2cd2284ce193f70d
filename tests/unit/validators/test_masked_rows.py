"""A failing row may hold a secret: nothing of it is told, though values are shortened."""

import json
from pathlib import Path

import pytest

from nbpipeline.location import Location
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check
from nbpipeline.validators import choice
from nbpipeline.validators.link import CheckingProcess

SECRET = "s3cr3t-AAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJJJJKKKKLLLL"
SCHEMA = "import pandera.pandas as pa\nclass T(pa.DataFrameModel):\n    url: str = pa.Field(isin=['x'])\n"
CHECKS = {
    "columns": [
        ("in_set", {"column": "url", "values": ["x"]}),
        ("between", {"column": "url", "min": 1}),
        ("types", {"url": "int"}),
        ("unique", "url"),
        ("disjoint_from", {"other": "o", "columns": ["url"]}),
        ("earlier_than", {"other": "o", "column": "url"}),
    ],
    "great_expectations": [
        ("match_regex", {"column": "url", "regex": "^x$"}),
        ("distinct_values_to_be_in_set", {"column": "url", "values": ["x"]}),
        ("most_common_value_to_be_in_set", {"column": "url", "values": ["x"]}),
        ("column_mean_to_be_between", {"column": "url", "min": 1}),
    ],
    "pandera": [("pandera", "masked_schema:T")],
}


def told(path: Path, names, process, masker) -> str:
    others = {"o": (str(path),)}
    checks = tuple(
        Check(name=name, arguments=given, where=Location(path="n.ipynb"), others=others)
        for name, given in names
    )

    def ask(validator, paths, checks):
        return process.ask(
            validator, paths, checks, folder=path.parent, roots=(), **({"masker": masker} if masker else {})
        )

    more = {"masker": masker} if masker else {}
    found = choice.validate((path,), checks, ask, **more)
    assert not any(one.passed for one in found), [one.check.name for one in found if one.passed]
    return json.dumps([[one.message, dict(one.details)] for one in found])


def parts(text: str) -> list[str]:
    """What of the secret is told, 8 characters at a time."""
    return [SECRET[at : at + 8] for at in range(len(SECRET) - 7) if SECRET[at : at + 8] in text]


@pytest.mark.heavy
def test_whoever_tries_the_checks_and_however_long_a_value_is(tmp_path: Path) -> None:
    (tmp_path / "masked_schema.py").write_text(SCHEMA)
    path = tmp_path / "t.csv"
    before = ["", "https://example.org/?token=", "p" * 40, "p" * 170, "p" * 196]
    path.write_text("url\n" + "".join(f"{one}{SECRET}\n" for one in [*before, *before]))
    with CheckingProcess() as process:
        for names in CHECKS.values():
            assert parts(told(path, names, process, None)), "else this test sees nothing"
            assert parts(told(path, names, process, Masker([SECRET]))) == []


def test_what_a_process_said_last(tmp_path: Path) -> None:
    """Of a long line the end is told: a secret may be cut where that begins."""
    (tmp_path / "dying.py").write_text(
        f"import os\nprint({SECRET!r} + 'x' * 1960, flush=True)\nos._exit(3)\n"
    )
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n")
    check = Check(name="pandera", arguments="dying:T", where=Location(path="n.ipynb"))
    with CheckingProcess() as process:
        (found,) = process.ask(
            "pandera", (path,), (check,), folder=tmp_path, roots=(), masker=Masker([SECRET])
        )
    assert "xxxx" in found.message
    assert parts(found.message) == []
