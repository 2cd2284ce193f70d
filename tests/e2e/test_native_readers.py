"""The table of readers in docs/reference/watching.md, tried with the newest versions in an environment of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nbpipeline.stage import watching

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "watching.md"
NEEDED = ("duckdb", "fastparquet", "h5py", "joblib", "numpy", "pandas", "polars", "pyarrow")
READERS = {
    "open": "open('{}.csv').read()",
    "pathlib": "import pathlib; pathlib.Path('{}.csv').read_text()",
    "pandas.read_csv": "import pandas; pandas.read_csv('{}.csv')",
    "pandas.read_csv(engine='pyarrow')": "import pandas; pandas.read_csv('{}.csv', engine='pyarrow')",
    "pandas.read_parquet": "import pandas; pandas.read_parquet('{}.parquet')",
    "pandas.read_parquet(engine='fastparquet')": "import pandas; pandas.read_parquet('{}.parquet', engine='fastparquet')",
    "DataFrame.to_parquet": "import pandas; pandas.DataFrame({'x': [1]}).to_parquet('{}.new')",
    "pyarrow.parquet.read_table": "import pyarrow.parquet; pyarrow.parquet.read_table('{}.parquet')",
    "pyarrow.parquet.write_table": "import pyarrow.parquet as p; p.write_table(p.read_table(ANY), '{}.new')",
    "pyarrow.dataset": "import pyarrow.dataset; pyarrow.dataset.dataset('{}.parquet').to_table()",
    "pyarrow.csv": "import pyarrow.csv; pyarrow.csv.read_csv('{}.csv')",
    "pyarrow.memory_map": "import pyarrow; pyarrow.memory_map('{}.csv').read()",
    "duckdb, read_parquet": "import duckdb; duckdb.sql(\"select * from read_parquet('{}.parquet')\").fetchall()",
    "duckdb, COPY ... TO": "import duckdb; duckdb.sql(\"copy (select 1 as x) to '{}.new' (format parquet)\")",
    "duckdb.connect": "import duckdb; duckdb.connect('{}.new').execute('create table t (x int)')",
    "h5py.File, read": "import h5py; h5py.File('{}.h5', 'r').close()",
    "h5py.File, write": "import h5py; h5py.File('{}.new', 'w').close()",
    "polars.read_csv": "import polars; polars.read_csv('{}.csv')",
    "polars.read_parquet": "import polars; polars.read_parquet('{}.parquet')",
    "polars.scan_parquet": "import polars; polars.scan_parquet('{}.parquet').collect()",
    "polars.write_parquet": "import polars; polars.DataFrame({'x': [1]}).write_parquet('{}.new')",
    "numpy.load": "import numpy; numpy.load('{}.npy')",
    "numpy.fromfile": "import numpy; numpy.fromfile('{}.npy')",
    "numpy.memmap": "import numpy; numpy.memmap('{}.npy', mode='r')",
    "ndarray.tofile": "import numpy; numpy.zeros(3).tofile('{}.new')",
    "joblib.load": "import joblib; joblib.load('{}.joblib', mmap_mode='r')",
    "zipfile": "import zipfile; zipfile.ZipFile('{}.new', 'w').close()",
    "tarfile": "import tarfile; tarfile.open('{}.new', 'w').close()",
    "sqlite3.connect": "import sqlite3; sqlite3.connect('{}.db').execute('select * from sqlite_master')",
    "sqlite3, ATTACH": "import sqlite3; db = sqlite3.connect(':memory:'); db.execute(\"attach '{}.db' as d\"); "
    "db.execute('select * from d.sqlite_master')",
    "dbm": "import dbm; dbm.open('{}.new', 'c').close()",
}
FILES = """
import sys, h5py, joblib, numpy, pandas
table = pandas.DataFrame({'x': [1.0, 2.0]})
for stem in sys.argv[1:]:
    table.to_csv(stem + '.csv', index=False); table.to_parquet(stem + '.parquet')
    numpy.save(stem + '.npy', numpy.zeros(3)); joblib.dump(numpy.zeros(3), stem + '.joblib')
    h5py.File(stem + '.h5', 'w').close(); open(stem + '.db', 'w').close()
"""
REFUSED = "import sys; system, sys.platform = sys.platform, 'another'\n"
REFUSED += "sys.audit('import', 'pyarrow', None, None, None, None); sys.platform = system\n"


def stem(name: str) -> str:
    return re.sub(r"\W", "_", name)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = str(folder / "bin" / "python")
    subprocess.run([made, "-m", "pip", "install", "-q", "--no-compile", *NEEDED], check=True)
    return made


def seen(python: str, root: Path, before: str) -> set[str]:
    """Name the readers whose files were seen, each read in one process."""
    (root / "data").mkdir(parents=True)
    (root / "notebooks").mkdir()
    stems = [str(root / "data" / stem(name)) for name in (*READERS, "any")]
    subprocess.run([python, "-c", FILES, *stems], check=True)
    sources = (one.replace("{}", f"../data/{stem(name)}") for name, one in READERS.items())
    program = [f"ANY = {stems[-1] + '.parquet'!r}", watching.start(str(root), str(root / ".spool")), before]
    program += [*sources, f"print(repr({watching.QUESTION}))"]
    done = subprocess.run(
        [python, "-c", "\n".join(program)],
        cwd=root / "notebooks",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = watching.read({"data": {"text/plain": done.stdout.splitlines()[-1]}})
    names = {Path(one).name.partition(".")[0] for one in found.files if "/data/" in one}
    return {name for name in READERS if stem(name) in names}


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_the_table_of_readers(python: str, tmp_path: Path) -> None:
    rows = re.findall(r"^\| (`.*?`) \| (\w+) \| (\w+) \|$", PAGE.read_text(), flags=re.MULTILINE)
    table = {name: said for names, *said in rows for name in re.findall(r"`([^`]+)`", names)}
    alone, both = seen(python, tmp_path / "alone", REFUSED), seen(python, tmp_path / "both", "")
    words = {
        name: ["seen" if name in alone else "unseen", "seen" if name in both else "unseen"]
        for name in READERS
    }
    assert words == table
