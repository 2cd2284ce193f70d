"""Words on files that stages of a run read or wrote without declaring them."""

from collections.abc import Iterator, Mapping, Sequence

from nbpipeline.model import Pipeline, StageRecord, StageResult, Status

_SHOWN = 4
"""Paths named in one notice."""


def notices(
    pipeline: Pipeline, results: Sequence[StageResult], records: Mapping[str, StageRecord]
) -> Iterator[tuple[str, str]]:
    """Give (stage, what to tell its author) for each that ran and was seen to open undeclared files.

    `records` are the newest successes of all stages: they tell who wrote what another one reads.
    """
    for result in results:
        record = result.record
        if result.status is not Status.SUCCEEDED or record is None or not record.undeclared:
            continue
        read = [path for path in record.undeclared if path not in record.written]
        if read:
            made_by = makers(pipeline, records, read, but=result.instance)
            yield result.instance, _of_read(read, made_by)
        if record.written:
            yield result.instance, _of_written(record.written)


def _of_read(paths: Sequence[str], made_by: Mapping[str, str]) -> str:
    made = "".join(f"; '{made_by[path]}' makes {path}" for path in paths[:_SHOWN] if path in made_by)
    order = "runs after what makes it, and " if made else ""
    return (
        f"read {_listed(paths)}, which it does not declare{made}; it runs every time. Name it in a cell "
        f"with the tag `inputs`: then the stage {order}is skipped while nothing changes"
    )


def _of_written(paths: Sequence[str]) -> str:
    return (
        f"wrote {_listed(paths)}, which it does not declare; it runs every time. Name it in a cell with the "
        "tag `outputs`: then what reads it waits for it, and the stage is skipped while nothing changes"
    )


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return ", ".join(paths[:_SHOWN]) + more


def makers(
    pipeline: Pipeline, records: Mapping[str, StageRecord], paths: Sequence[str], *, but: str
) -> dict[str, str]:
    """Name who makes each path: as declared, else as was seen."""
    found: dict[str, str] = {}
    for one in pipeline:
        if one.id != but:
            record = records.get(one.id)
            declared = {path.rstrip("/") for output in one.outputs for path in output.paths}
            made = declared | set(record.written if record else ())
            for path in paths:
                if path in made or any(path.startswith(f"{folder}/") for folder in declared):
                    found.setdefault(path, one.id)
    return found
