"""Places with several makers: `mode: update` lets stages write one after the other, in a known order."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from nbpipeline.errors import Complaint
from nbpipeline.graph import Graph
from nbpipeline.model import Edge
from nbpipeline.pipeline.drafts import Draft
from nbpipeline.pipeline.linking import Index, Maker
from nbpipeline.pipeline.wording import and_joined, refusal


class Updates:
    """Chains the makers of shared places, and says which of them each reader follows."""

    def __init__(self, index: Index, order: Graph[str]) -> None:
        """Take the paths, and the stages as everything but shared places orders them."""
        self._index = index
        self._order = order
        self._after: dict[str, frozenset[str]] = {}
        self._position = _positions(order)
        self.complaints: list[Complaint] = []
        self.chains: dict[str, tuple[Maker, ...]] = {}
        told: set[tuple[str, ...]] = set()
        for key, makers in index.shared():
            complaint = self._chain(key, makers)
            signature = tuple(f"{one.draft.spec.name}.{one.output.name}" for one in makers)
            if complaint and signature not in told:
                told.add(signature)
                self.complaints.append(complaint)

    def _chain(self, key: str, makers: list[Maker]) -> Complaint | None:
        """Put the makers into their order; complain where they may not share, or nothing orders them."""
        writers = [maker for maker in makers if maker.output.spec.mode != "update"]
        if len(writers) > 1 or len({maker.draft.id for maker in makers}) < len(makers):
            return _two_makers(makers)
        stages = list(dict.fromkeys(maker.draft.spec.name for maker in makers))
        updating = [name for name in stages if not writers or name != writers[0].draft.spec.name]
        ordered = sorted(updating, key=lambda name: self._position.get(name, 0))
        for before, after in pairwise(ordered):
            if after not in self._order.successors(before) and after not in self._reach(before):
                return _unordered(makers, before, after)
        names = [*(writer.draft.spec.name for writer in writers), *ordered]
        rank = {name: number for number, name in enumerate(names)}
        self.chains[key] = tuple(sorted(makers, key=lambda one: rank[one.draft.spec.name]))
        return None

    def _reach(self, stage: str) -> frozenset[str]:
        if stage not in self._after:
            self._after[stage] = self._order.descendants([stage])
        return self._after[stage]

    def edges(self) -> Iterator[Edge]:
        """Each maker waits for the one before it."""
        for makers in self.chains.values():
            for before, after in pairwise(makers):
                yield Edge(upstream=before.draft.id, downstream=after.draft.id, kind="data", path=after.path)

    def followed(self) -> Mapping[tuple[str, str], Maker]:
        """By place and reader: the last maker that does not itself wait for the reader."""
        found: dict[tuple[str, str], Maker] = {}
        for reader in self._index.readers:
            chain = self.chains.get(reader.key)
            if chain:
                found[reader.key, reader.draft.id] = self._last_before(reader.draft, chain)
        return found

    def _last_before(self, reader: Draft, chain: Sequence[Maker]) -> Maker:
        for number, maker in enumerate(chain):
            if maker.draft is reader:
                # One that updates what it reads follows the maker before it.
                return chain[max(number - 1, 0)]
        later = self._reach(reader.spec.name)
        earlier = [maker for maker in chain if maker.draft.spec.name not in later]
        return earlier[-1] if earlier else chain[-1]


def _positions(order: Graph[str]) -> Mapping[str, int]:
    """Where each stage stands; nowhere when they go in a circle, which is complained of elsewhere."""
    try:
        return {name: number for number, name in enumerate(order.order())}
    except ValueError:
        return {}


def _described(maker: Maker) -> str:
    return f"output '{maker.output.name}' of stage '{maker.draft.spec.name}'"


def _known(makers: Sequence[Maker]) -> str:
    seen = {f"{one.draft.spec.name}.{one.output.name} ({one.output.spec.where})": None for one in makers}
    return f"known makers: {', '.join(seen)}"


def _two_makers(makers: Sequence[Maker]) -> Complaint:
    first, last = makers[0], makers[-1]
    if first.draft.spec is last.draft.spec and first.output.spec is last.output.spec:
        axes = and_joined([f"'{{{axis}}}'" for axis, _ in first.draft.axes])
        return refusal(
            last.output.spec.where,
            f"{_described(last)} is {last.path} in all of its instances.",
            f"put {axes} into the path",
            known=f"known makers: {first.draft.id}, {last.draft.id}",
        )
    return refusal(
        last.output.spec.where,
        f"{_described(last)} and {_described(first)} are both {last.path}.",
        "give each its own path, or say `mode: update` in the later one",
        known=_known(makers),
    )


def _unordered(makers: Sequence[Maker], before: str, after: str) -> Complaint:
    last = makers[-1]
    return refusal(
        last.output.spec.where,
        f"stages '{before}' and '{after}' both update {last.path}, and nothing says which comes first.",
        f"write `after: [{before}]` in '{after}', or the other way round",
        known=_known(makers),
    )
