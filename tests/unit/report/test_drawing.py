"""Drawings of the DAG: word for word where they are small; escaped whatever a notebook holds."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spec_builders import project, stage

from nbpipeline.model import Action, Fingerprint, Plan, Reason, ReasonKind, Step
from nbpipeline.pipeline import build
from nbpipeline.report import drawing, drawing_text
from nbpipeline.report.drawing_labels import shortened

SVG = "{http://www.w3.org/2000/svg}"


def made(*stages, **more):
    pipeline, complaints = build(project(*stages, **more))
    assert complaints == ()
    return pipeline


def parsed(drawn):
    return ET.fromstring(drawn)  # noqa: S314 - our own drawing


@pytest.fixture(scope="module")
def diamond():
    return made(
        stage("clean", outputs={"o": "../d/c"}),
        stage("features", inputs={"i": "@clean.o"}, outputs={"o": "../d/f"}),
        stage("labels", inputs={"i": "@clean.o"}, outputs={"o": "../d/l"}),
        stage("train", inputs={"i": "@features.o", "c": "@labels.o"}, outputs={"o": "../m"}),
        stage("report", inputs={"m": "@train.o"}, after=["clean"]),
    )


def planned(pipeline):
    """Fresh, then to run for two reasons, then maybe, then restored, and again."""
    changed = Reason(kind=ReasonKind.PARAMETER, subject="C", before=1.0, after=0.5)
    never = Reason(kind=ReasonKind.NEVER_RUN)
    why = [
        (Action.SKIP, ()),
        (Action.RUN, (changed, never)),
        (Action.MAYBE, (changed,)),
        (Action.RESTORE, (changed,)),
    ]
    steps = (
        Step(instance=one, fingerprint=Fingerprint(), action=action, reasons=reasons)
        for one, (action, reasons) in zip(pipeline, why * len(pipeline.instances), strict=False)
    )
    return Plan(pipeline=pipeline, steps=tuple(steps))


def test_text_draws_boxes_and_lines(diamond):
    assert drawing.text(diamond) == (
        "              ┌───────┐\n"
        "              │ clean │\n"
        "              └───────┘\n"
        "      ┌───────────┬─┴──────┐\n"
        "┌──────────┐  ┌────────┐   │\n"
        "│ features │  │ labels │   │\n"
        "└──────────┘  └────────┘   │\n"
        "    └─────────┐   ┌─┘    ┌─┘\n"
        "           ┌─────────┐   │\n"
        "           │  train  │   │\n"
        "           └─────────┘   │\n"
        "              ┌─┘ ┌──────┘\n"
        "           ┌─────────┐\n"
        "           │  report │\n"
        "           └─────────┘\n"
    )


def test_a_chain_is_a_straight_line():
    chain = made(*(stage(name, after=[before] if before else []) for before, name in [("", "a"), ("a", "b")]))
    assert drawing.text(chain) == ("┌─────┐\n│  a  │\n└─────┘\n    │\n┌─────┐\n│  b  │\n└─────┘\n")


def test_text_with_a_plan_shows_signs_and_reasons(diamond):
    drawn = drawing.text(diamond, planned(diamond))
    assert "│ * features │" in drawn
    assert drawn.endswith(
        "\n\n= fresh   * run   ? maybe   < restore\n"
        "features: parameter C: 1.0 -> 0.5, never run\n"
        "labels: parameter C: 1.0 -> 0.5\n"
        "train: parameter C: 1.0 -> 0.5\n"
    )


def test_what_is_too_wide_is_listed():
    many = [stage(f"worker_{number}", inputs={"i": "@source.o"}) for number in range(20)]
    wide = made(stage("source", outputs={"o": "../o"}), *many)
    lines = drawing.text(wide).splitlines()
    assert lines[:3] == ["source", "worker_0  <- source", "worker_1  <- source"]
    assert drawing.text(wide, planned(wide)).splitlines()[:2] == [
        "source  [fresh]",
        "worker_0  <- source  [run: parameter C: 1.0 -> 0.5 (+1)]",
    ]


def test_nothing_is_drawn_of_nothing():
    empty = made()
    assert drawing.text(empty) == ""
    assert drawing.mermaid(empty) == "flowchart TD\n"
    parsed(drawing.svg(empty))


def test_mermaid(diamond):
    assert drawing.mermaid(diamond) == (
        "flowchart TD\n"
        '  s1["clean"]\n'
        '  s2["features"]\n'
        '  s3["labels"]\n'
        '  s4["train"]\n'
        '  s5["report"]\n'
        "  s1 --> s2\n"
        "  s1 --> s3\n"
        "  s2 --> s4\n"
        "  s3 --> s4\n"
        "  s1 -.-> s5\n"
        "  s4 --> s5\n"
    )
    drawn = drawing.mermaid(diamond, planned(diamond))
    assert '  s2["features<br/>run: parameter C: 1.0 -#62; 0.5 #40;+1#41;"]:::run\n' in drawn
    assert "  classDef run fill:" in drawn


def test_mermaid_writes_what_is_special_as_codes():
    odd = made(stage("a", matrix={"n": ['"]-->x;<b>#']}))
    assert '  s1["a#91;n=#34;#93;--#62;x#59;#60;b#62;#35;#93;"]\n' in drawing.mermaid(odd)


def test_svg_is_xml_with_a_box_and_a_tooltip_for_each(diamond):
    tree = parsed(drawing.svg(diamond, planned(diamond)))
    boxes = {one.get("data-stage"): one for one in tree.iter(f"{SVG}g") if one.get("data-stage")}
    assert list(boxes) == ["clean", "features", "labels", "train", "report"]
    assert [one.get("class") for one in boxes.values()] == [
        "stage fresh", "stage run", "stage maybe", "stage restore", "stage fresh",
    ]  # fmt: skip
    assert boxes["features"].find(f"{SVG}title").text == (
        "features\nnotebooks/features.ipynb\nrun\nparameter C: 1.0 -> 0.5\nnever run"
    )
    texts = [one.text for one in boxes["features"].iter(f"{SVG}text")]
    assert texts == ["features", "run: parameter C: 1.0 -> 0.5 (+1)"]
    lines = [one for one in tree.iter(f"{SVG}path") if "line" in (one.get("class") or "")]
    assert [one.get("class") for one in lines].count("line order") == 1
    assert len(lines) == 6


def test_svg_lines_are_upright_or_between_layers(diamond):
    """As layout promises, but of the curves drawn: control points never leave the gap that they cross."""
    tree = parsed(drawing.svg(diamond))
    tops = sorted({float(one.get("y")) for one in tree.iter(f"{SVG}rect")})
    height = float(next(tree.iter(f"{SVG}rect")).get("height"))
    for path in tree.iter(f"{SVG}path"):
        for start, curve in re.findall(r"([\d.]+ [\d.]+)C([\d. ]+)", path.get("d")):
            ys = [float(start.split()[1]), *map(float, curve.split()[1::2])]
            assert not any(min(ys) < top + height - 0.1 and max(ys) > top + 0.1 for top in tops)


class _Page(HTMLParser):
    """Collects tags and attributes as a browser's parser sees them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.extend(attrs)


HOSTILE = "</style></svg><script>alert('x')</script><img src=x onerror=\"alert(1)\">&\x1b[31m\u202e"


def hostile():
    spec = replace(stage("a", matrix={"n": [HOSTILE]}), description=HOSTILE)
    pipeline = made(spec, name=HOSTILE)
    reason = Reason(kind=ReasonKind.PARAMETER, subject=HOSTILE, before=HOSTILE, after=HOSTILE)
    steps = tuple(
        Step(instance=one, fingerprint=Fingerprint(), action=Action.RUN, reasons=(reason,))
        for one in pipeline
    )
    return pipeline, Plan(pipeline=pipeline, steps=steps)


@pytest.mark.parametrize("draw", [drawing.text, drawing.mermaid, drawing.svg, drawing.html])
def test_text_from_notebooks_is_text_everywhere(draw):
    drawn = draw(*hostile())
    assert "\x1b" not in drawn
    assert "\u202e" not in drawn
    if draw is not drawing.text:
        assert "<script" not in drawn
        assert "<img" not in drawn
    if draw is drawing.svg:
        parsed(drawn)


def test_html_stands_by_itself_and_runs_nothing(diamond):
    page = _Page(drawing.html(diamond, planned(diamond)))
    assert "script" not in page.tags
    assert "link" not in page.tags
    links = [value for name, value in page.attributes if name in {"href", "src"}]
    assert links
    assert all(value.startswith("#stage-") for value in links)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not [name for name, _ in _Page(drawing.html(*hostile())).attributes if name.startswith("on")]


def test_html_says_what_would_run_and_why(diamond):
    page = drawing.html(diamond, planned(diamond))
    assert "<p>5 stages, 2 fresh, 1 run, 1 maybe, 1 restore.</p>" in page
    assert (
        '<tr id="stage-2"><td>features</td><td>notebooks/features.ipynb</td>'
        '<td><a href="#stage-1">clean</a></td>'
        "<td>run<ul><li>parameter C: 1.0 -&gt; 0.5</li><li>never run</li></ul></td></tr>"
    ) in page
    assert "<p>5 stages.</p>" in drawing.html(diamond)


def test_long_names_are_cut_with_the_whole_in_the_tooltip():
    assert shortened("x" * 50) == "x" * 43 + "…"
    assert shortened("x" * 44) == "x" * 44
    name = "n" * 60
    assert name in drawing.svg(made(stage(name)))


TURNS = {
    "│": "ud", "─": "lr", "┌": "dr", "┐": "dl", "└": "ur", "┘": "ul",
    "├": "udr", "┤": "udl", "┬": "dlr", "┴": "ulr", "┼": "udlr",
}  # fmt: skip
STEPS = {"u": (-1, 0, "d"), "d": (1, 0, "u"), "l": (0, -1, "r"), "r": (0, 1, "l")}


def followed(lines, row, column):
    """Where the lines that leave a box downward at this place end: (row, column) of the boxes' upper edges."""
    reached, waiting, seen = set(), [(row, column, "u")], set()
    while waiting:
        at = waiting.pop()
        row, column, came = at
        cell = lines[row][column]
        if at in seen:
            continue
        seen.add(at)
        if came == "u" and cell == "─":
            reached.add((row, column))
            continue
        # A line that meets an upright one from the side goes under it.
        under = came in "lr" and cell == "│"
        for way in {"l": "r", "r": "l"}[came] if under else set(TURNS[cell]) - {came, "u"}:
            down, right, back = STEPS[way]
            waiting.append((row + down, column + right, back))
    return reached


def edges_seen(drawn, names):
    width = max(map(len, drawn.splitlines()))
    lines = [line.ljust(width) for line in drawn.splitlines()]
    boxes = {}
    for name in names:
        row = next(number for number, line in enumerate(lines) if f" {name} " in line)
        left = lines[row].rindex("│", 0, lines[row].index(f" {name} "))
        boxes[name] = (row, left, lines[row].index("│", lines[row].index(f" {name} ")))
    found = set()
    for name, (row, left, right) in boxes.items():
        for column in range(left + 1, right):
            if row + 2 < len(lines) and lines[row + 2][column] in "│└┘┴├┤┼":
                for end_row, end in followed(lines, row + 2, column):
                    found |= {
                        (name, other)
                        for other, (at, low, high) in boxes.items()
                        if at == end_row + 1 and low < end < high
                    }
    return found


@settings(deadline=None)
@example([(0, 1), (0, 6), (1, 2), (1, 5), (2, 3), (2, 4), (2, 6), (4, 5), (5, 6)])  # wires in a chain
@example(
    [(0, 4), (0, 5), (0, 6), (1, 2), (1, 3), (2, 3), (2, 4), (2, 5), (4, 6)]
)  # a box at 1.9999999999999964
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=16))
def test_who_follows_the_lines_in_a_text_picture_finds_exactly_the_edges(pairs):
    edges = {(f"n{min(pair)}", f"n{max(pair)}") for pair in pairs if pair[0] != pair[1]}
    names = [f"n{number}" for number in range(7)]
    pipeline = made(*(stage(name, after=sorted(up for up, to in edges if to == name)) for name in names))
    assert edges_seen(drawing_text.draw(pipeline, columns=1000), names) == edges
