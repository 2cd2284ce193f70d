"""Whether a pandera schema is there, told without an import: user code that ends the process proves it."""

import pytest
from builders import write_files

from nbpipeline.location import Location
from nbpipeline.model import Check
from nbpipeline.validators.schema_files import lack

MODULES = {
    "nb/plain.py": "raise SystemExit\nclass Flights(Base): pass\nOther = made()\nif True:\n    Hidden = 1\n",
    "nb/taken.py": "from elsewhere import Flights as Mine, far\n",
    "nb/star.py": "from elsewhere import *\n",
    "nb/late.py": "def __getattr__(name): ...\n",
    "nb/broken.py": "class (\n",
    "nb/package/__init__.py": "class Top: pass\n",
    "src/package2/inner.py": "class Deep: pass\n",
}


@pytest.fixture
def told(tmp_path):
    write_files(tmp_path, MODULES)
    roots = [tmp_path / "nb", tmp_path / "src"]
    return lambda named: lack(Check(name="pandera", arguments=named, where=Location(path="n.ipynb")), roots)


@pytest.mark.parametrize(
    "named",
    [
        "plain:Flights",
        "plain:Other",
        "plain:Hidden",
        "taken:Mine",
        "star:Any",
        "late:Any",
        "broken:Any",
        "package:Top",
        "package2.inner:Deep",
        "pytest:Schema",  # installed: only an import could tell
    ],
)
def test_what_is_there_or_cannot_be_told(told, named):
    assert told(named) is None


@pytest.mark.parametrize(
    ("named", "what", "mend"),
    [
        ("plain:Flight", "the module plain (plain.py) has no Flight.", "did you mean 'Flights'?"),
        (
            "taken:Flights",
            "the module taken (taken.py) has no Flights.",
            "define the schema Flights in taken.py",
        ),
        (
            "plian:Flights",
            "there is no module plian.",
            "did you mean 'plain'? Else put plian.py beside the notebook, or into a folder of `pythonpath`",
        ),
        (
            "package.nomod:X",
            "there is no module package.nomod.",
            "put package/nomod.py beside the notebook, or into a folder of `pythonpath`",
        ),
    ],
)
def test_what_is_not_there(told, named, what, mend):
    assert told(named) == (what, mend)
