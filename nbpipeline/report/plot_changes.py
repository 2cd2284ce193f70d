"""Which pictures differ between two executions of a stage."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from nbpipeline.report.plots import Plot, plots_of
from nbpipeline.values import dataclass


class Pair(NamedTuple):
    """One place in a notebook, and what stood there before and after."""

    before: Plot | None
    after: Plot | None

    @property
    def place(self) -> tuple[int, int]:
        """Cell, and the how-manieth plot of it."""
        shown = self.after or self.before
        return (shown.cell, shown.number) if shown else (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlotChanges:
    """What differs, in the order of the notebook."""

    pairs: tuple[Pair, ...] = ()
    known: bool = True
    """Whether both notebooks could be looked at."""


def plot_changes(before: Path | None, after: Path | None) -> PlotChanges:
    """Compare the pictures of two executed notebooks; None for a stage that was not executed.

    A picture that only moved to another cell is no change.
    """
    if before == after or before is None or after is None:
        return PlotChanges()
    old, new = plots_of(before), plots_of(after)
    if old.trouble or new.trouble:
        return PlotChanges(known=False)
    common = Counter(one.digest for one in old.found) & Counter(one.digest for one in new.found)
    gone, come = ({_place(one): one for one in _without(plots, common)} for plots in (old.found, new.found))
    return PlotChanges(pairs=tuple(Pair(gone.get(one), come.get(one)) for one in sorted({*gone, *come})))


def _place(plot: Plot) -> tuple[int, int]:
    return plot.cell, plot.number


def _without(plots: Iterable[Plot], common: Counter[str]) -> Iterator[Plot]:
    """Leave out what stands in both, as often as it does."""
    left = Counter(common)
    for one in plots:
        if left[one.digest]:
            left[one.digest] -= 1
        else:
            yield one
