"""Parquet, by pyarrow."""

from collections.abc import Iterator
from pathlib import Path

from nbpipeline.validators.tables import arrow
from nbpipeline.validators.tables.libraries import lacking
from nbpipeline.validators.tables.table import BATCH, Piece, Table, UnreadableTableError, only_file


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read row groups."""
    only_file(table, path, "a Parquet file")
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
        import pyarrow.parquet as pq  # noqa: PLC0415 - the same
    except ImportError as error:
        raise lacking("pyarrow", path) from error
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            table.meet_all(path, names, arrow.types(pa, file.schema_arrow))
            columns = [name for name in names if name in wanted]
            for batch in file.iter_batches(batch_size=BATCH, columns=columns):
                yield from arrow.pieces(batch, columns)
    except (
        pa.ArrowException,
        OverflowError,
        ValueError,
    ) as error:  # the last two: moments Python cannot hold
        raise UnreadableTableError(arrow.damaged(path, error)) from error
