"""MLflow's tables, made once in a process of tests: that takes MLflow a second or two, copying them nothing."""

import atexit
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path


@cache
def _made() -> Path:
    from mlflow.tracking import MlflowClient

    folder = Path(tempfile.mkdtemp(prefix="nbpipeline-tests-mlflow-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    MlflowClient(f"sqlite:///{folder}/made.db").search_experiments()
    with closing(sqlite3.connect(folder / "made.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "made.db"


def put_database(file: Path) -> Path:
    """Put an empty database of MLflow's there, for tests that are not about how it comes to be."""
    file.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_made(), file)
    return file
