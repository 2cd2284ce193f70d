"""What every validator must do, whichever library it uses."""

from pathlib import Path
from types import ModuleType

import pytest

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators import columns

HERE = Location(path="notebooks/train.ipynb", cell=1, line=4)


def check(name, arguments=None):
    return Check(name=name, arguments=arguments, where=HERE)


VALIDATORS = {
    "columns": (columns, check("not_null", "a"), check("not_null", 5)),
}
"""Each with a sound check of its own on the column `a`, which wants no nulls, and one that is written wrongly."""


@pytest.fixture(params=VALIDATORS)
def validator(request) -> tuple[ModuleType, Check, Check]:
    return VALIDATORS[request.param]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.csv"
    path.write_text("a,b\n1,x\n2,y\n")
    return path


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,x\n,y\n")
    return path


def test_knows_its_own_checks_and_no_others(validator):
    module, sound, _ = validator
    assert module.knows(sound)
    assert not module.knows(check("no_such_check_anywhere"))


def test_complains_of_wrong_arguments_before_any_data(validator):
    module, sound, wrong = validator
    assert module.complaints(sound) == ()
    assert module.complaints(wrong)


def test_passes_good_data_and_refuses_bad(validator, good, bad):
    module, sound, _ = validator
    (passed,) = module.validate((good,), (sound,))
    assert (passed.check, passed.passed, passed.message) == (sound, True, "")
    (failed,) = module.validate((bad,), (sound,))
    assert (failed.check, failed.passed) == (sound, False)
    assert failed.message


def test_one_verdict_a_check_in_order(validator, good):
    module, sound, wrong = validator
    verdicts = module.validate((good,), (wrong, sound, wrong))
    assert [one.check for one in verdicts] == [wrong, sound, wrong]
    assert [one.passed for one in verdicts] == [False, True, False]


def test_every_file_must_pass(validator, good, bad):
    module, sound, _ = validator
    assert [one.passed for one in module.validate((good, bad), (sound,))] == [False]
    assert [one.passed for one in module.validate((good, good), (sound,))] == [True]


def test_a_missing_or_cut_file_is_a_failed_verdict(validator, tmp_path):
    module, sound, _ = validator
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(b"PAR1 and then nothing")
    for path in (tmp_path / "nowhere.csv", cut):
        (verdict,) = module.validate((path,), (sound,))
        assert not verdict.passed
        assert path.name in verdict.message
