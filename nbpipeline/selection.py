"""Which instances the words on a command line speak of, in dbt's manner.

`train` is the stage alone (all its instances), `+train` with everything before it, `train+` with
everything after it, `+train+` with both. In place of a stage's name there may stand a notebook's
path, `tag:weekly`, or instances: `train[region=eu]`, `train@region=eu` (nothing for a shell to
expand), `train[*]`. Axes that are not named are free. Several selectors add up; `exclude` takes away,
in the same language.

As with dbt, `train` does not bring what is before it: the stage runs on what is there. A caller that
finds something stale before it says so (`before` names the candidates) and runs the selection all the
same; `+train` is how to ask for more. `only` takes the sign in front away: nothing upstream, whatever
was typed.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from nbpipeline.errors import UsageError, did_you_mean
from nbpipeline.graph import Graph
from nbpipeline.model import Pipeline, StageInstance, axis_text
from nbpipeline.patterns import regex
from nbpipeline.values import dataclass

_INSTANCE = regex(r"(?P<stage>[^\[\]@]+)(?:\[(?P<inside>.*)\]|@(?P<after>.+))", re.DOTALL)
SHOWN = 12
"""So many known names are listed before the rest is counted."""

_AXIS = regex(r",(?=[A-Za-z_]\w*=)")


def select(
    pipeline: Pipeline, selectors: Sequence[str], *, exclude: Sequence[str] = (), only: bool = False
) -> frozenset[str]:
    """Give the ids of the instances that are selected; all of them where no selector is given.

    Raises UsageError for a selector that names nothing there is.
    """
    finder = _Finder(pipeline)
    chosen = finder.all_of(selectors, upstream=not only) if selectors else frozenset(pipeline.instances)
    return chosen - finder.all_of(exclude, upstream=True)


def before(pipeline: Pipeline, selected: Iterable[str]) -> tuple[str, ...]:
    """Give what comes before the selection and is not in it, in run order: what may be stale unseen."""
    chosen = frozenset(selected)
    found = _graph(pipeline).ancestors(chosen) - chosen
    return tuple(one for one in pipeline.instances if one in found)


@dataclass(frozen=True, slots=True)
class _Selector:
    """`+body+` taken apart; `text` is what was typed."""

    text: str
    body: str
    upstream: bool
    downstream: bool


def _parsed(text: str) -> _Selector:
    body = text.strip()
    upstream, downstream = body.startswith("+"), len(body) > 1 and body.endswith("+")
    return _Selector(text, body[upstream : len(body) - downstream], upstream, downstream)


def _graph(pipeline: Pipeline) -> Graph[str]:
    return Graph(pipeline.instances, ((edge.upstream, edge.downstream) for edge in pipeline.edges))


class _Finder:
    """Looks selectors up in one pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._graph = _graph(pipeline)
        self._stages: dict[str, list[StageInstance]] = {}
        for instance in pipeline:
            self._stages.setdefault(instance.spec.name, []).append(instance)

    def all_of(self, selectors: Iterable[str], *, upstream: bool) -> frozenset[str]:
        """Everything that any of the selectors names."""
        found: set[str] = set()
        for selector in map(_parsed, selectors):
            named = self._named(selector)
            found |= named
            if selector.upstream and upstream:
                found |= self._graph.ancestors(named)
            if selector.downstream:
                found |= self._graph.descendants(named)
        return frozenset(found)

    def _named(self, selector: _Selector) -> frozenset[str]:
        body = selector.body
        if body in self._stages:
            return _ids(self._stages[body])
        if body in self._pipeline.instances:
            return frozenset([body])
        match = _INSTANCE.fullmatch(body)
        if match and match["stage"] in self._stages:
            return self._by_axes(selector, match["stage"], match["inside"] or match["after"] or "")
        if body.startswith("tag:"):
            return self._tagged(selector, body.removeprefix("tag:"))
        if "/" in body or (posixpath.splitext(body)[1] and not match):
            return self._by_path(selector)
        stage = match["stage"] if match else body
        raise _nothing(selector, f"there is no stage '{stage}'", "stages", stage, self._stages)

    def _tagged(self, selector: _Selector, tag: str) -> frozenset[str]:
        tags = {one: None for found in self._stages.values() for one in found[0].spec.tags}
        if tag not in tags:
            raise _nothing(selector, f"no stage has the tag '{tag}'", "tags", tag, tags)
        return self._where(lambda instance: tag in instance.spec.tags)

    def _by_path(self, selector: _Selector) -> frozenset[str]:
        """Find a notebook by its path in the project, an absolute one, or by a name that is clear."""
        root = self._pipeline.project.root.rstrip("/") + "/"
        path = posixpath.normpath(selector.body.removeprefix(root))
        paths = {found[0].spec.notebook.path: None for found in self._stages.values()}
        named = [one for one in paths if one == path] or [
            one for one in paths if "/" not in path and posixpath.basename(one) == path
        ]
        if len(named) != 1:
            what = "several notebooks have that name" if named else f"no stage is in {path}"
            raise _nothing(selector, what, "notebooks", path, named or paths)
        return self._where(lambda instance: instance.spec.notebook.path == named[0])

    def _by_axes(self, selector: _Selector, stage: str, inside: str) -> frozenset[str]:
        instances = self._stages[stage]
        if inside == "*":
            return _ids(instances)
        wanted = dict(part.partition("=")[::2] for part in _AXIS.split(inside))
        self._refuse_strangers(selector, stage, wanted)
        return _ids(
            one
            for one in instances
            if wanted.items() <= {axis: axis_text(is_) for axis, is_ in one.axes}.items()
        )

    def _refuse_strangers(self, selector: _Selector, stage: str, wanted: Mapping[str, str]) -> None:
        values: dict[str, dict[str, None]] = {}
        for instance in self._stages[stage]:
            for axis, value in instance.axes:
                values.setdefault(axis, {})[axis_text(value)] = None
        for axis, value in wanted.items():
            if axis not in values:
                raise _nothing(selector, f"stage '{stage}' has no axis '{axis}'", "axes", axis, values)
            if value not in values[axis]:
                what = f"axis '{axis}' of stage '{stage}' has no value '{value}'"
                raise _nothing(selector, what, "values", value, values[axis])

    def _where(self, holds: Callable[[StageInstance], bool]) -> frozenset[str]:
        return _ids(instance for instance in self._pipeline if holds(instance))


def _ids(instances: Iterable[StageInstance]) -> frozenset[str]:
    return frozenset(instance.id for instance in instances)


def _nothing(selector: _Selector, what: str, kind: str, word: str, names: Iterable[str]) -> UsageError:
    known = list(names)
    near = did_you_mean(word, known)
    rest = len(known) - SHOWN
    shown = ", ".join(known[:SHOWN]) + (f", and {rest} more" if rest > 0 else "")
    return UsageError.of(
        f"'{selector.text}' selects nothing: {what}.",
        known=f"known {kind}: {shown or 'none'}",
        mend=f"did you mean '{near}'?" if near and near != word else f"choose among the {kind} above",
    )
