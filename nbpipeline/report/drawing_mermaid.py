"""The DAG as a mermaid flowchart, as GitHub and JupyterLab's markdown draw it."""

from collections.abc import Iterator, Mapping

from nbpipeline.model import Pipeline, Plan
from nbpipeline.report.drawing_labels import Label, joined, labels

COLOURS: Mapping[str, str] = {
    "fresh": "fill:#e3f5e6,stroke:#2f855a,color:#1f2933",
    "restore": "fill:#e1effe,stroke:#2b6cb0,color:#1f2933",
    "run": "fill:#ffe8d5,stroke:#c05621,color:#1f2933",
    "maybe": "fill:#fff9db,stroke:#b7791f,color:#1f2933,stroke-dasharray:5 3",
}

# Characters that mermaid, or the HTML that it makes, would read as more than text.
_SPECIAL = frozenset("\"#<>&`;\\{}[]()|*_~$%'")


def draw(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Write the flowchart; dotted arrows mean order only."""
    return "\n".join(["flowchart TD", *_body(pipeline, plan), ""])


def _body(pipeline: Pipeline, plan: Plan | None) -> Iterator[str]:
    texts = labels(pipeline, plan)
    numbers = {one: f"s{number}" for number, one in enumerate(texts, start=1)}
    for one, label in texts.items():
        kind = f":::{label.status}" if label.status else ""
        yield f'  {numbers[one]}["{_shown(label)}"]{kind}'
    for (upstream, downstream), paths in joined(pipeline).items():
        yield f"  {numbers[upstream]} {'-->' if paths else '-.->'} {numbers[downstream]}"
    for status in dict.fromkeys(label.status for label in texts.values() if label.status):
        yield f"  classDef {status} {COLOURS[status]}"


def _shown(label: Label) -> str:
    second = f"<br/>{_escaped(label.subtitle)}" if label.status else ""
    return _escaped(label.id) + second


def _escaped(text: str) -> str:
    """Write what is special as mermaid's own character codes."""
    return "".join(f"#{ord(one)};" if one in _SPECIAL else one for one in text)
