"""What a drawing says of each instance: its name, its notebook, what would be done with it and why.

Names, tags and reasons come from notebooks: they are plain text here, and every drawing escapes them.
"""

import unicodedata
from collections.abc import Mapping

from nbpipeline.model import Action, Pipeline, Plan
from nbpipeline.plan.explain import words
from nbpipeline.values import dataclass

LONGEST = 44
"""Characters of a line in a box; the rest stands in the tooltip."""

ACTIONS: Mapping[str, str] = {
    Action.SKIP: "fresh",
    Action.RESTORE: "restore",
    Action.RUN: "run",
    Action.MAYBE: "maybe",
}
"""The plan's actions as drawings name them."""

SIGNS: Mapping[str, str] = {"fresh": "=", "restore": "<", "run": "*", "maybe": "?"}
"""The same in one character, for terminals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The texts of one box."""

    id: str
    notebook: str
    description: str
    status: str = ""
    """A value of ACTIONS, or of a run's `Status`; empty where no plan is drawn."""
    reasons: tuple[str, ...] = ()
    note: str = ""
    """The second line of a box, in place of the status with its first reason."""

    @property
    def subtitle(self) -> str:
        """The second line of a box: the status with its first reason, else the notebook."""
        if self.note:
            return self.note
        if not self.status:
            return self.notebook
        more = f" (+{len(self.reasons) - 1})" if len(self.reasons) > 1 else ""
        return f"{self.status}: {self.reasons[0]}{more}" if self.reasons else self.status


def labels(pipeline: Pipeline, plan: Plan | None) -> Mapping[str, Label]:
    """Give every instance's label by its id, in run order."""
    steps = {step.instance.id: step for step in plan.steps} if plan else {}
    found = {}
    for instance in pipeline:
        step = steps.get(instance.id)
        found[instance.id] = Label(
            id=clean(instance.id),
            notebook=clean(instance.spec.notebook.path),
            description=clean(instance.spec.description),
            status=ACTIONS[step.action] if step else "",
            reasons=tuple(clean(words(reason)) for reason in step.reasons) if step else (),
        )
    return found


def joined(pipeline: Pipeline) -> Mapping[tuple[str, str], tuple[str, ...]]:
    """Give each pair of joined instances with the paths between them; none where only order is meant."""
    pairs: dict[tuple[str, str], dict[str, None]] = {}
    for edge in pipeline.edges:
        paths = pairs.setdefault((edge.upstream, edge.downstream), {})
        if edge.kind != "after":
            paths[clean(edge.path) or "dependencies"] = None
    return {pair: tuple(paths) for pair, paths in pairs.items()}


def clean(text: str) -> str:
    """Put a sign in place of what would steer a terminal or is no character of XML; one line."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(one if _shown(one) else "\ufffd" for one in line)


def _shown(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Cn", "Co"}


def shortened(text: str, longest: int = LONGEST) -> str:
    """Cut the text to `longest` characters, the last of them an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}\u2026"
