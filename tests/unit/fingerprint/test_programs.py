"""Files that cells run as programs."""

import pytest

from nbpipeline.fingerprint.programs import programs
from nbpipeline.reading.syntax import parse_cell

CELLS = {
    "%run script.py --fast": ("script.py",),
    "%run -i script": ("script.py",),
    "%run other.ipynb": ("other.ipynb",),
    "%run ../tools.d/script": ("../tools.d/script.py",),
    "%sx python one.py": ("one.py",),
    "%run 'unclosed": (),
    "%run": (),
    "!python ../scripts/prep.py --year 2013": ("../scripts/prep.py",),
    "!python3 -u prep.py > log.txt": ("prep.py",),
    "!{sys.executable} ../scripts/prep.py": ("../scripts/prep.py",),
    "!cd .. && bash tools/fetch.sh": ("tools/fetch.sh",),
    "!./fetch.sh": ("./fetch.sh",),
    "lines = !Rscript fit.R": ("fit.R",),
    "!jupyter nbconvert --to script a.ipynb --output b.py": (),
    "!cp a.py b.py": (),
    "!wc -l ../data/raw.csv": (),
    "!python -m package.module": (),
    "%%bash\nset -e\npython one.py\n./two.sh | tee out.txt\n": ("one.py", "./two.sh"),
    "%%writefile made.py\nx = 1\n": (),
    "import os\nos.system('python one.py')": ("one.py",),
    "subprocess.run(['python', '-u', 'one.py', 'other.py'], check=True)": ("one.py",),
    "subprocess.check_call((sys.executable, '../one.py'))": ("../one.py",),
    "subprocess.run(command)": (),
    "model.run('fast')": (),
    "run([])": (),
}


@pytest.mark.parametrize(("source", "expected"), CELLS.items())
def test_which_files_are_programs(source: str, expected: tuple[str, ...]) -> None:
    assert programs(parse_cell(source)) == expected
