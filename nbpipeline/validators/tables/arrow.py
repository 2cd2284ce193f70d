"""What Parquet and Feather have in common: Arrow's types and batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from nbpipeline.validators.tables.table import BATCH, Piece, not_nan


def pieces(batch: Any, names: Sequence[str]) -> Iterator[Piece]:
    """Cut a record batch, which may be as long as the whole file."""
    for start in range(0, batch.num_rows, BATCH):
        part = batch.slice(start, BATCH)
        yield part.num_rows, {name: _values(part.column(name)) for name in names}


def _values(column: Any) -> Sequence[Any]:
    plain = column.dictionary_decode() if hasattr(column, "dictionary_decode") else column  # quicker
    return [not_nan(one) for one in plain.to_pylist()]


def types(pa: ModuleType, schema: Any) -> dict[str, str]:
    """Say the columns' types in the words of the check `types`."""
    return {one.name: _type_name(pa, one.type) for one in schema}


def _type_name(pa: Any, kind: Any) -> str:
    """Say one type; others by Arrow's own name."""
    if pa.types.is_dictionary(kind):
        return _type_name(pa, kind.value_type)
    tests = {
        "bool": pa.types.is_boolean,
        "int": pa.types.is_integer,
        "float": lambda one: pa.types.is_floating(one) or pa.types.is_decimal(one),
        "str": lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        "datetime": pa.types.is_timestamp,
        "date": pa.types.is_date,
    }
    return next((name for name, test in tests.items() if test(kind)), str(kind))


def damaged(path: Path, error: Exception) -> str:
    """Say that a file is not as its format wants it."""
    return f"{path.name} is cut or damaged: {error}"
