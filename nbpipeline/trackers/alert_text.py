"""What an alert says, made from what a run has told: secrets are masked there already."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from nbpipeline.model import Value, shell_name
from nbpipeline.model.told import CheckLog, RunLog, StageLog
from nbpipeline.values import dataclass

MOST_STAGES = 5
MOST_ROWS = 5
LONGEST = 3_000
"""Characters of an alert: chats refuse longer ones, or cut them."""
_LONGEST_LINE = 400
_GOOD = frozenset({"succeeded", "restored", "fresh"})
_BAD = {"failed": "failure", "check_failed": "check_failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message."""

    occasion: str
    """What it is of: one of `alerts: {on: ...}`."""
    title: str
    body: str


def alert_of(run: RunLog, occasions: Collection[str], *, rows: bool = True) -> Alert | None:
    """Give the alert of a run that has ended; None where it is of no occasion that is asked for."""
    failed = [one for one in run.stages if one.status in _BAD]
    killed = run.status == "interrupted" and any(one.finished is None for one in run.stages)
    recovered = [one for one in run.stages if one.status in _GOOD and one.before in _BAD]
    warned = [one for one in run.stages if any(_warns(check) for check in one.checks)]
    found = [_BAD[one.status] for one in failed] + ["failure"] * killed
    if not found and run.status == "succeeded":
        found = ["recovery"] * bool(recovered) + ["warning"] * bool(warned)
    wanted = [one for one in found if one in occasions]
    if not wanted:
        return None
    title = f"{run.project}: {_title(wanted[0], failed, recovered, warned)}"
    lines = [*_lines(run, failed, recovered, warned, killed=killed, rows=rows)]
    return Alert(occasion=wanted[0], title=title, body=_cut("\n".join(lines), LONGEST))


def _title(
    occasion: str, failed: Sequence[StageLog], recovered: Sequence[StageLog], warned: Sequence[StageLog]
) -> str:
    if occasion == "recovery":
        return f"{_names(recovered)} works again"
    if occasion == "warning":
        return f"{_names(warned)}: a check warns"
    if not failed:
        return "the run was killed"
    checks = {one.status for one in failed} == {"check_failed"}
    return f"{_names(failed)} {'fails a check' if checks else 'failed'}"


def _names(stages: Sequence[StageLog]) -> str:
    others = len(stages) - 1
    return f"{stages[0].stage} and {others} more" if others else stages[0].stage


def _lines(
    run: RunLog,
    failed: Sequence[StageLog],
    recovered: Sequence[StageLog],
    warned: Sequence[StageLog],
    *,
    killed: bool,
    rows: bool,
) -> Iterator[str]:
    yield f"Run {run.run} of {run.project} in {run.root}: {'killed' if killed else run.status}."
    for one in failed[:MOST_STAGES]:
        yield ""
        yield from _failure(one, rows=rows)
    if len(failed) > MOST_STAGES:
        yield ""
        yield f"{len(failed) - MOST_STAGES} more stages failed."
    if killed:
        running = ", ".join(one.stage for one in run.stages if one.finished is None)
        yield f"Its process ended in the middle of: {running}"
        yield "mend: nbpipeline doctor, then nbpipeline run"
    yield from _also(run, recovered, warned, rows=rows)
    yield ""
    yield f"Look closer: {_command(run, failed)}"


def _also(
    run: RunLog, recovered: Sequence[StageLog], warned: Sequence[StageLog], *, rows: bool
) -> Iterator[str]:
    blocked = [one.stage for one in run.stages if one.status == "blocked"]
    if blocked:
        yield ""
        yield f"Not started: {_some(blocked)}"
    if recovered:
        yield ""
        yield f"Works again: {_some([one.stage for one in recovered])}"
    for one in warned[:MOST_STAGES]:
        yield ""
        for check in filter(_warns, one.checks):
            yield f"{one.stage}, warning: {_check(check, rows=rows)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_STAGES} more" if len(names) > MOST_STAGES else ""
    return ", ".join(names[:MOST_STAGES]) + more


def _command(run: RunLog, failed: Sequence[StageLog]) -> str:
    if not failed:
        return f"nbpipeline show {run.run}"
    look = "show" if failed[0].status == "check_failed" else "log"
    return f"nbpipeline {look} {shell_name(failed[0].stage)}, or nbpipeline show {run.run}"


def _failure(one: StageLog, *, rows: bool) -> Iterator[str]:
    failure = one.failure or {}
    checks = [check for check in one.checks if not check.passed and not _warns(check)]
    where = f"{failure['where']}: " if failure.get("where") else ""
    if failure.get("kind") == "check" and checks:
        yield f"{one.stage} fails a check. {where}".rstrip(": ")
        for check in checks:
            yield _check(check, rows=rows)
            yield from _rows(check) if rows else ()
    else:
        yield _cut(f"{one.stage} failed. {where}{failure.get('what', one.status)}", _LONGEST_LINE)
        if failure.get("known"):
            yield _cut(str(failure["known"]), _LONGEST_LINE)
    if failure.get("mend"):
        yield f"mend: {failure['mend']}"


def _warns(check: CheckLog) -> bool:
    return not check.passed and check.severity == "warn"


def _check(check: CheckLog, *, rows: bool) -> str:
    """Say what a check found: in its own words, which may hold values of the data, or by counts alone."""
    told = f"{check.side} '{check.artifact}': {check.check}"
    if rows:
        return _cut(f"{told}: {check.message}", _LONGEST_LINE)
    failed, of = check.details.get("failed"), check.details.get("rows")
    if isinstance(failed, int) and isinstance(of, int):
        return f"{told}: {failed} of {of} rows fail"
    return f"{told} does not hold"


def _rows(check: CheckLog) -> Iterator[str]:
    examples = check.details.get("examples")
    for row in (examples if isinstance(examples, list) else [])[:MOST_ROWS]:
        yield _cut(f"  {_row(row)}", _LONGEST_LINE)


def _row(row: Value) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    return ", ".join(f"{column} = {value}" for column, value in row.items())


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
