"""What determined how long a run took: the chain of stages of which each had to end before the next began."""

from bisect import bisect_right
from collections.abc import Collection, Mapping

from nbpipeline.values import dataclass

AT_ONCE = 0.25
"""Seconds between two stages that count as nothing: deciding, starting."""
_TICK = 0.005
"""Seconds by which a stage may seem to begin before another's end: two events of one moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When a stage ran: Unix times."""

    started: float
    finished: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One stage of the chain."""

    stage: str
    seconds: float
    after: str = ""
    """The stage whose end it waited for; empty for the first."""
    why: str = ""
    """`output`: it needs the other stage; `room`: the other held the place that it then took."""
    waited: float = 0.0
    """Seconds between the two, or from the run's beginning to the first."""


def critical_path(
    spans: Mapping[str, Span], upstream: Mapping[str, Collection[str]], began: float
) -> tuple[Link, ...]:
    """Follow the run back from the stage that ended last; `upstream` are the direct ones of every stage.

    Of two reasons to wait the later one counts. A stage that has no span (it was fresh) lets the waiting
    through.
    """
    if not spans:
        return ()
    by_end = sorted(spans, key=lambda name: (spans[name].finished, name))
    ends = [spans[name].finished for name in by_end]
    found: list[Link] = []
    stage = by_end[-1]
    while True:
        span = spans[stage]
        needed = [
            one for one in _needed(stage, spans, upstream) if spans[one].finished <= span.started + _TICK
        ]
        last = max(needed, key=lambda one: spans[one].finished, default="")
        place = bisect_right(ends, span.started + _TICK) - 1
        before, why = _reason(last, by_end[place] if place >= 0 else "", spans, span.started)
        if before == stage or any(one.stage == before for one in found):  # spans without a length
            before, why = "", ""
        since = spans[before].finished if before else began
        found.append(
            Link(
                stage=stage,
                seconds=span.finished - span.started,
                after=before,
                why=why,
                waited=max(0.0, span.started - since),
            )
        )
        if not before:
            return tuple(reversed(found))
        stage = before


def _reason(last: str, freed: str, spans: Mapping[str, Span], started: float) -> tuple[str, str]:
    """Say what a stage waited for: the last that it needs, unless another's end gave it its place later."""
    if last and started - spans[last].finished <= AT_ONCE:
        return last, "output"
    if freed and freed != last and started - spans[freed].finished <= AT_ONCE:
        return freed, "room"
    return (last, "output") if last else ("", "")


def _needed(
    stage: str, spans: Mapping[str, Span], upstream: Mapping[str, Collection[str]]
) -> Collection[str]:
    """Find the nearest stages above that ran."""
    found: dict[str, None] = {}
    seen = {stage}
    waiting = list(upstream.get(stage, ()))
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in spans:
            found[one] = None
        else:
            waiting += upstream.get(one, ())
    return found
