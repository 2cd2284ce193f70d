"""Feather and Arrow's IPC files and streams, by pyarrow."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from nbpipeline.validators.tables import arrow
from nbpipeline.validators.tables.libraries import lacking
from nbpipeline.validators.tables.table import Piece, Table, UnreadableTableError, only_file

_FILE = b"ARROW1"
_OLD = b"FEA1"


def read(table: Table, path: Path, wanted: frozenset[str]) -> Iterator[Piece]:
    """Read record batches, one after another."""
    only_file(table, path, "a Feather or Arrow file")
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
    except ImportError as error:
        raise lacking("pyarrow", path) from error
    with path.open("rb") as file:
        head = file.read(len(_FILE))
    if head.startswith(_OLD):
        raise UnreadableTableError(
            f"{path.name} is Feather of version 1, which is no longer read; write it anew"
        )
    if not head:
        raise UnreadableTableError(f"{path.name} is empty")
    try:
        with pa.memory_map(str(path)) as source:
            yield from _batches(pa, table, path, source, wanted, stream=head != _FILE)
    except (
        pa.ArrowException,
        OverflowError,
        ValueError,
    ) as error:  # the last two: moments Python cannot hold
        raise UnreadableTableError(arrow.damaged(path, error)) from error


def _batches(
    pa: ModuleType, table: Table, path: Path, source: Any, wanted: frozenset[str], *, stream: bool
) -> Iterator[Piece]:
    opened = pa.ipc.open_stream if stream else pa.ipc.open_file
    with opened(source) as reader:
        names = reader.schema.names
        table.meet_all(path, names, arrow.types(pa, reader.schema))
    columns = [name for name in names if name in wanted]
    # An empty list of fields would mean all of them; the first one tells how many rows there are.
    options = pa.ipc.IpcReadOptions(included_fields=[names.index(name) for name in columns or names[:1]])
    source.seek(0)
    with opened(source, options=options) as reader:
        batches = reader if stream else map(reader.get_batch, range(reader.num_record_batches))
        for batch in batches:
            yield from arrow.pieces(batch, columns)
