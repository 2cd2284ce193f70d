"""What a stage reads and writes as OpenLineage's datasets, with their facets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nbpipeline.encoding import plain
from nbpipeline.location import is_url
from nbpipeline.model import StoredOutput, Value
from nbpipeline.model.told import CheckLog, StageLog
from nbpipeline.trackers.columns import Columns, columns_of

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset

_SEVERITIES = {"fail": "error", "warn": "warn"}
_LATE = 1.0
"""Seconds that the time of a file may lie behind: clocks of file systems are coarse."""


class Datasets:
    """The datasets of one project."""

    def __init__(self, root: Path, namespace: str) -> None:
        """Read nothing yet; without a `namespace` of their own files are named by where they stand."""
        self._root = root
        self._namespace = namespace

    def inputs(self, one: StageLog, producer: str, *, checked: bool) -> list[InputDataset]:
        """Give what the stage read, with what checks said of it where they are all done."""
        from openlineage.client.event_v2 import InputDataset  # noqa: PLC0415 - loaded when there is news

        digests = dict(one.fingerprint.inputs) if one.fingerprint else {}
        found = {path: digests.get(path) or "" for paths in one.reads.values() for path in paths}
        found |= {path: digest or "" for path, digest in digests.items()}
        datasets = []
        for path, digest in found.items():
            facets = self._facets(path, digest, self._columns(path, one.started), producer)
            said = _assertions(one, "input", _names(one.reads, path), producer) if checked else {}
            namespace, name = self._named(path)
            datasets.append(InputDataset(namespace, name, facets=facets, inputFacets=said))
        return datasets

    def outputs(self, one: StageLog, producer: str) -> list[OutputDataset]:
        """Give what the stage left, and of what it failed to leave that which checks looked at."""
        from openlineage.client.event_v2 import OutputDataset  # noqa: PLC0415 - as above

        left = {output.path: output for output in one.outputs}
        looked_at = {check.artifact for check in one.checks if check.side == "output"}
        paths = [path for name in looked_at for path in one.writes.get(name, ()) if path not in left]
        datasets = []
        for path in (*left, *paths):
            output = left.get(path)
            columns = self._columns(path, one.finished) if output else None
            facets = self._facets(path, output.digest if output else "", columns, producer)
            # OpenLineage has assertions as facets of what a job reads; of what it writes they are common ones
            facets |= _assertions(one, "output", _names(one.writes, path), producer)
            size = _size(output, columns, producer) if output else {}
            namespace, name = self._named(path)
            datasets.append(OutputDataset(namespace, name, facets=facets, outputFacets=size))
        return datasets

    def _named(self, path: str) -> tuple[str, str]:
        """Name a dataset as OpenLineage's rules do: https://openlineage.io/docs/spec/naming."""
        if is_url(path):
            parts = urlsplit(path)
            host = parts.netloc.rpartition("@")[2]
            return f"{parts.scheme}://{host}", parts.path.lstrip("/") or "/"
        if self._namespace:
            return self._namespace, path
        return "file", (self._root / path).as_posix()

    def _columns(self, path: str, time: float | None) -> Columns | None:
        """Read the columns of a file, unless it was written after it was read or left."""
        if is_url(path) or time is None:
            return None
        return columns_of(self._root / path, time + _LATE)

    def _facets(self, path: str, digest: str, columns: Columns | None, producer: str) -> dict[str, Any]:
        from openlineage.client.facet_v2 import (  # noqa: PLC0415 - as above
            dataset_version_dataset,
            datasource_dataset,
            schema_dataset,
            storage_dataset,
        )

        namespace, name = self._named(path)
        uri = f"{namespace}/{name}" if is_url(path) else (self._root / path).as_uri()
        facets: dict[str, Any] = {
            "dataSource": datasource_dataset.DatasourceDatasetFacet(
                name=namespace, uri=uri, producer=producer
            )
        }
        kind = PurePosixPath(path).suffix.removeprefix(".")
        if kind:
            layer = urlsplit(path).scheme if is_url(path) else "file"
            facets["storage"] = storage_dataset.StorageDatasetFacet(
                storageLayer=layer, fileFormat=kind, producer=producer
            )
        if digest:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(
                datasetVersion=digest, producer=producer
            )
        if columns is not None:
            fields = [
                schema_dataset.SchemaDatasetFacetFields(name=column, type=kind)
                for column, kind in columns.types
            ]
            facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields, producer=producer)
        return facets


def _size(output: StoredOutput, columns: Columns | None, producer: str) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset as facet  # noqa: PLC0415 - as above

    rows = columns.rows if columns else None
    made = facet.OutputStatisticsOutputDatasetFacet(size=output.size, rowCount=rows, producer=producer)
    return {"outputStatistics": made}


def _names(declared: Mapping[str, Sequence[str]], path: str) -> frozenset[str]:
    return frozenset(name for name, paths in declared.items() if path in paths)


def _assertions(one: StageLog, side: str, names: frozenset[str], producer: str) -> dict[str, Any]:
    """Make the facet of what checks said of an artifact; none where there were none."""
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as facet  # noqa: PLC0415 - as above

    known = {
        field.name for field in facet.Assertion.__attrs_attrs__
    }  # later releases of the client know more
    said = [
        facet.Assertion(**{key: value for key, value in _assertion(check).items() if key in known})
        for check in one.checks
        if check.side == side and check.artifact in names
    ]
    if not said:
        return {}
    return {
        "dataQualityAssertions": facet.DataQualityAssertionsDatasetFacet(assertions=said, producer=producer)
    }


def _assertion(check: CheckLog) -> dict[str, Value]:
    return {
        "assertion": check.check,
        "success": check.passed,
        "column": _column(check.arguments),
        "severity": _SEVERITIES.get(check.severity, check.severity),
        "name": f"{check.artifact}: {check.check}",
        "actual": check.message or None,
        "content": json.dumps({check.check: plain(check.arguments)}, ensure_ascii=False),
        "contentType": "json",
    }


def _column(arguments: Value) -> str | None:
    """Find the one column that a check is of."""
    if isinstance(arguments, Mapping):
        arguments = arguments.get("column")
    return arguments if isinstance(arguments, str) else None
