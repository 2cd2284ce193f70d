"""How data differ from those of an earlier run, column by column, and from the checks about them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from nbpipeline.encoding import verdict_data
from nbpipeline.model import Verdict
from nbpipeline.report.wording import VERSION, Page, change, figure
from nbpipeline.validators.profile import ColumnProfile, Profile
from nbpipeline.values import dataclass

_SHOWN = 12
_LEAST_SHARE = 0.0005
"""Shares of missing values that differ by less count as equal where they are shown; not in the JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Then:
    """One file now, and as it was."""

    stage: str
    path: str
    before: Profile
    after: Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One file now, and how its checks go."""

    stage: str
    path: str
    profile: Profile
    verdicts: tuple[Verdict, ...]


def since_run(what: str, run: str, files: Sequence[Then]) -> Page:
    """Compare with the data of an earlier run."""
    told = [_file(one) for one in files]
    data = {
        "version": VERSION,
        "artifact": what,
        "against": run,
        "same": not any(_differs(one) for one in told),
        "files": told,
    }
    parts = [f"{what}: run {run} -> now"]
    for one in told:
        parts += ["", f"{one['path']} ({one['stage']})", *(f"  {line}" for line in _file_lines(one))]
    return Page(data=data, text="\n".join(parts))


def _file(one: Then) -> dict[str, Any]:
    before, after = one.before.columns, one.after.columns
    columns = {name: _column(one, name) for name in after if name in before}
    return {
        "stage": one.stage,
        "path": one.path,
        "rows": [one.before.rows, one.after.rows],
        "looked": [one.before.looked, one.after.looked],
        "added": [{"column": name, "type": after[name].type} for name in after if name not in before],
        "removed": [{"column": name, "type": before[name].type} for name in before if name not in after],
        "changed": [{"column": name, **found} for name, found in columns.items() if found],
    }


def _differs(one: Mapping[str, Any]) -> bool:
    return bool(one["added"] or one["removed"] or one["changed"] or one["rows"][0] != one["rows"][1])


def _column(one: Then, name: str) -> dict[str, Any]:
    """Say what differs in a column: `[before, after]` each, and what texts came and went."""
    before, after = one.before.columns[name], one.after.columns[name]
    pairs: dict[str, list[Any]] = {
        "type": [before.type, after.type],
        "null_share": [one.before.null_share(name), one.after.null_share(name)],
        "min": [plain_bound(before.low), plain_bound(after.low)],
        "max": [plain_bound(before.high), plain_bound(after.high)],
        "mean": [before.mean, after.mean],
        "unique": [before.unique, after.unique],
    }
    found: dict[str, Any] = {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}
    return found | _texts(before, after)


def _texts(before: ColumnProfile, after: ColumnProfile) -> dict[str, list[str]]:
    """Say which categories are new or gone, where both have some."""
    if before.categories is None or after.categories is None:
        return {}
    new = [one for one in after.categories if one not in before.categories]
    gone = [one for one in before.categories if one not in after.categories]
    return {key: texts for key, texts in (("new", new), ("gone", gone)) if texts}


def plain_bound(value: Any) -> Any:
    """Write a least or greatest value as JSON can."""
    return value.isoformat() if isinstance(value, datetime) else value


def _file_lines(one: Mapping[str, Any]) -> Iterator[str]:
    if not _differs(one):
        yield "no difference in columns, types, ranges, texts, missing values or number of rows"
        return
    before, after = one["rows"]
    if before != after:
        moved = f" ({(after - before) / before:+.1%})" if before else ""
        yield f"rows: {before:,} -> {after:,}{moved}"
    for key in ("added", "removed"):
        for column in one[key]:
            yield f"column {column['column']}: {key}, {column['type'] or 'of no one type'}"
    for column in one["changed"]:
        said = list(_said(column))
        if said:
            yield f"column {column['column']}: {'; '.join(said)}"


def _said(column: Mapping[str, Any]) -> Iterator[str]:
    if "type" in column:
        yield f"type {column['type'][0] or 'mixed'} -> {column['type'][1] or 'mixed'}"
    if "null_share" in column:
        before, after = column["null_share"]
        if abs(before - after) >= _LEAST_SHARE or not before or not after:
            yield f"missing {before:.1%} -> {after:.1%}"
    for key in ("min", "max", "mean"):
        if key in column:
            before, after = column[key]
            moved = change(before, after)
            yield f"{key} {_shown(before)} -> {_shown(after)}{f' ({moved})' if moved else ''}"
    if "unique" in column and None not in column["unique"]:
        yield "no longer unique" if column["unique"][0] else "now unique"
    for key in ("new", "gone"):
        if key in column:
            texts = column[key]
            more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            yield f"{key}: {', '.join(texts[:_SHOWN])}{more}"


def _shown(value: Any) -> str:
    return "none" if value is None else figure(value)


# --- checks --------------------------------------------------------------------------------------


def since_checks(what: str, files: Sequence[Tried]) -> Page:
    """Say which checks do not hold for the data as they are, and which columns no check names."""
    told: list[dict[str, Any]] = [
        {
            "stage": one.stage,
            "path": one.path,
            "rows": one.profile.rows,
            "checks": [{**verdict_data(each), "where": str(each.check.where)} for each in one.verdicts],
            "unnamed": _unnamed(one),
        }
        for one in files
    ]
    data = {
        "version": VERSION,
        "artifact": what,
        "against": None,
        "same": all(each["passed"] for one in told for each in one["checks"]),
        "files": told,
    }
    parts = [f"{what}: checks -> now"]
    for one in told:
        parts += ["", f"{one['path']} ({one['stage']}): {one['rows']:,} rows"]
        parts += [f"  {line}" for line in _check_lines(one)]
    return Page(data=data, text="\n".join(parts))


def _check_lines(one: Mapping[str, Any]) -> Iterator[str]:
    failed = [each for each in one["checks"] if not each["passed"]]
    for each in failed:
        mark = "warns" if each["severity"] == "warn" else "fails"
        yield f"{mark}  {each['check']}: {each['message']}  ({each['where']})"
    yield f"{len(one['checks']) - len(failed)} of {len(one['checks'])} checks hold"
    if one["unnamed"]:
        listed = ", ".join(
            f"{each['column']} ({each['type'] or 'of no one type'})" for each in one["unnamed"][:_SHOWN]
        )
        more = f" and {len(one['unnamed']) - _SHOWN} more" if len(one["unnamed"]) > _SHOWN else ""
        yield f"named by no check: {listed}{more}"


def _unnamed(one: Tried) -> list[dict[str, str]]:
    named = {text for verdict in one.verdicts for text in _texts_in(verdict.check.arguments)}
    return [
        {"column": name, "type": column.type}
        for name, column in one.profile.columns.items()
        if name not in named
    ]


def _texts_in(value: Any) -> Iterator[str]:
    """Give every text of a check's arguments, keys too: columns are among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from _texts_in(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts_in(inner)
