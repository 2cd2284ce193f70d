"""The DAG drawn: as text for a terminal, as mermaid, as SVG, as a self-contained HTML page.

With a `Plan`, every drawing shows what would be done with each instance, and why.
"""

from nbpipeline.model import Pipeline, Plan
from nbpipeline.report import drawing_html, drawing_mermaid, drawing_svg, drawing_text


def text(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Draw boxes and lines in characters, or list the stages where the drawing would be too wide."""
    return drawing_text.draw(pipeline, plan)


def mermaid(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Write a mermaid flowchart."""
    return drawing_mermaid.draw(pipeline, plan)


def svg(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Draw an SVG that stands by itself."""
    return drawing_svg.draw(pipeline, plan)


def html(pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Write an HTML page that stands by itself."""
    return drawing_html.draw(pipeline, plan)


def draw(form: str, pipeline: Pipeline, plan: Plan | None = None) -> str:
    """Draw it as `text`, `mermaid`, `svg` or `html`."""
    return {"text": text, "mermaid": mermaid, "svg": svg, "html": html}[form](pipeline, plan)
