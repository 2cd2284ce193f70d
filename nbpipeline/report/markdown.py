"""A run in short as Markdown: for a pull request's comment, a job's summary, a chat."""

from collections.abc import Iterator

from nbpipeline.report.run_facts import MetricFact, RunFacts, StageFacts
from nbpipeline.report.wording import change, duration, figure

_SIGNS = {
    "succeeded": "\u2705",
    "restored": "\u267b\ufe0f",
    "fresh": "\u23ed\ufe0f",
    "failed": "\u274c",
    "check_failed": "\u274c",
    "blocked": "\u26d4",
    "cancelled": "\u26d4",
}
_MOST_ROWS = 100
_LONGEST = 2000
_REASONS = 3
_SPECIAL = "\\`*_{}[]()<>#+-.!|~@"


def summary(facts: RunFacts) -> str:
    """Give the run's status, its stages with what made them run, metrics that changed, checks that failed."""
    return "\n".join(_lines(facts)).rstrip() + "\n"


def _lines(facts: RunFacts) -> Iterator[str]:
    seconds = facts.end - facts.started
    yield f"### {escaped(facts.project)}: {facts.status} in {duration(seconds)}"
    yield ""
    told = [one for one in facts.stages if one.status != "fresh"]
    fresh = len(facts.stages) - len(told)
    if told:
        yield "| stage | | time | why | metrics |"
        yield "|---|---|---|---|---|"
        yield from (_row(one) for one in told[:_MOST_ROWS])
        if len(told) > _MOST_ROWS:
            yield f"\n{len(told) - _MOST_ROWS} more stages are not shown."
        yield ""
    if fresh:
        yield f"{fresh} {'stage was' if fresh == 1 else 'stages were'} fresh."
        yield ""
    for one in facts.stages:
        yield from _wrong(one)


def _row(one: StageFacts) -> str:
    cells = (
        escaped(one.stage),
        f"{_SIGNS.get(one.status, '')} {one.status.replace('_', ' ')}".strip(),
        duration(one.seconds) if one.seconds else "",
        escaped("; ".join(one.reasons[:_REASONS]) + (" ..." if len(one.reasons) > _REASONS else "")),
        ", ".join(_metric(metric) for metric in one.metrics),
    )
    return f"| {' | '.join(cells)} |"


def _metric(metric: MetricFact) -> str:
    if not metric.before_run or metric.before == metric.value:
        return escaped(f"{metric.name} {figure(metric.value)}")
    now, since = escaped(figure(metric.value)), escaped(change(metric.before, metric.value))
    return f"{escaped(metric.name)} **{now}** ({since})"


def _wrong(one: StageFacts) -> Iterator[str]:
    """Tell a stage's failure, and the checks that did not hold."""
    failure = one.failure or {}
    if failure.get("what"):
        yield f"**{escaped(one.stage)}**"
        yield fenced(str(failure["what"]))
        yield ""
    for check in one.checks:
        if not check.passed:
            word = "warning" if check.severity == "warn" else "failed check"
            yield f"**{escaped(one.stage)}**: {word} `{_bare(check.check)}` on `{_bare(check.artifact)}`"
            yield fenced(check.message)
            yield ""


def escaped(text: str) -> str:
    """Write a text so that Markdown shows it as it is, on one line."""
    return "".join(f"\\{one}" if one in _SPECIAL else one for one in " ".join(text.split()))


def fenced(text: str) -> str:
    """Write a text as a block of code that it cannot leave."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    fence = "```"
    while fence in shown:
        fence += "`"
    return f"{fence}text\n{shown.rstrip()}\n{fence}"


def _bare(text: str) -> str:
    return text.replace("`", "'")
