"""The report of a run that really ran, opened from disk in a real browser."""

import json
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
from browser import browsing
from builders import code, command, header, markdown, write_files, write_notebook

EVIL = "</script><script>document.title = 'owned'</script><img src=x onerror=\"document.title = 'owned'\">"
DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40" onload="parent.document.title = 1">'
    "<script>parent.document.title = 'owned'; fetch('https://example.org/svg')</script>"
    '<image href="https://example.org/picture.png"/><rect width="80" height="40" fill="teal"/></svg>'
)

pytestmark = pytest.mark.heavy


def build(root: Path) -> None:
    write_files(
        root, {"pipeline.yaml": "name: flight-delays\n", "data/raw.csv": "id,delay\n1,10\n2,5\n2,7\n"}
    )
    write_notebook(
        root / "notebooks/clean.ipynb",
        header(
            f"description: {json.dumps('Clean ' + EVIL)}\ninputs: {{raw: ../data/raw.csv}}\noutputs: {{rows: ../out/rows.csv}}"
        ),
        code("open('../out/rows.csv', 'w').write(open('../data/raw.csv').read())"),
        code("kept = 3", "metrics"),
    )
    write_notebook(
        root / "notebooks/train.ipynb",
        header(
            "inputs: {rows: ../out/rows.csv}\noutputs: {model: '../out/model-{region}.txt'}\nmatrix: {region: [eu, us]}"
        ),
        code(f"C = 1.0\nnote = {EVIL!r}", "parameters"),
        markdown("# Loss <b>by</b> round"),
        code(
            "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([C * x * x for x in range(20)])\nplt.title(region)\nplt.show()"
        ),
        code(f"from IPython.display import SVG, display\ndisplay(SVG({DRAWING!r}))\nprint({EVIL!r})"),
        code("open(f'../out/model-{region}.txt', 'w').write(str(C))"),
        code("auc = 0.7 + C / 10", "metrics"),
    )
    write_notebook(
        root / "notebooks/evaluate.ipynb",
        header(
            "inputs: {rows: ../out/rows.csv, models: {from: 'train[*].model'}}\noutputs: {scores: ../out/scores.csv}\n"
            "expect: {scores: [{unique: id}]}"
        ),
        code("open('../out/scores.csv', 'w').write(open('../out/rows.csv').read())"),
    )
    write_notebook(
        root / "notebooks/publish.ipynb",
        header("inputs: {scores: {from: evaluate.scores}}\noutputs: {done: ../out/done.txt}"),
        code("open('../out/done.txt', 'w').write('x')"),
    )
    write_notebook(
        root / "notebooks/audit.ipynb",
        header("inputs: {rows: ../out/rows.csv}\noutputs: {seen: ../out/seen.txt}"),
        code(f"raise ValueError({EVIL!r})"),
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that ran twice: well as far as it could, then with another parameter; two stages fail."""
    root = tmp_path_factory.mktemp("report") / "project"
    build(root)
    first = command("run", "--keep-going", cwd=root)
    assert first.returncode == 1, first.stdout + first.stderr
    assert command("run", "--keep-going", "-p", "C=0.5", cwd=root).returncode == 1
    return root


@pytest.fixture(scope="module")
def report(project: Path) -> Path:
    done = command("report", "last", cwd=project)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_the_report_opens_from_disk(report: Path) -> None:
    with browsing() as tab:
        tab.page.goto(report.as_uri())
        assert (tab.asked_elsewhere, tab.complaints) == ([], [])
        assert tab.page.title() == f"flight-delays: run {report.parent.name}, failed"
        nodes = tab.page.eval_on_selector_all(
            ".drawing g.stage", "all => all.map(one => [one.dataset.stage, one.classList[1]])"
        )
        assert dict(nodes) == {
            "clean": "fresh",
            "train[region=eu]": "succeeded",
            "train[region=us]": "succeeded",
            "evaluate": "check_failed",
            "publish": "blocked",
            "audit": "failed",
        }
        assert tab.page.locator(".drawing .line").count() == 7
        pictures = tab.page.eval_on_selector_all(
            "figure img",
            "all => all.map(one => [one.complete, one.naturalWidth, one.alt, one.src.slice(0, 14)])",
        )
        assert len(pictures) == 4
        assert all(complete and width > 0 and alt for complete, width, alt, _ in pictures)
        assert {kind for *_, kind in pictures} == {"data:image/png", "data:image/svg"}
        assert tab.page.locator("script, iframe, object, embed, link").count() == 0
        assert "document.title" in tab.page.inner_text("#wrong")  # shown as text
        tab.picture("report-light")
        assert (tab.asked_elsewhere, tab.complaints) == ([], [])


def test_bars_stand_in_their_tracks_in_the_order_of_the_run(report: Path) -> None:
    with browsing() as tab:
        tab.page.goto(report.as_uri())
        rows = tab.page.eval_on_selector_all(
            ".gantt li:not(.axis)",
            """all => all.map(one => {
                const place = inner => { const at = inner.getBoundingClientRect(); return [at.left, at.right, at.width] }
                return [one.querySelector('.who').innerText, place(one.querySelector('.track')),
                        place(one.querySelector('.bar')), [...one.querySelectorAll('.bar i')].map(place)]
            })""",
        )
        assert {name for name, *_ in rows} == {"train[region=eu]", "train[region=us]", "evaluate", "audit"}
        for name, track, bar, cells in rows:
            assert track[0] - 0.5 <= bar[0], name
            assert bar[1] <= track[1] + 0.5, name
            assert bar[2] >= 2, name
            assert all(bar[0] - 0.5 <= cell[0] and cell[1] <= bar[1] + 0.5 for cell in cells), name
        assert any(cells for *_, cells in rows)
        lefts = [bar[0] for _, _, bar, _ in rows]
        assert lefts == sorted(lefts)
        chain = tab.page.eval_on_selector_all("ol.chain b", "all => all.map(one => one.innerText)")
        drawn = tab.page.eval_on_selector_all(".drawing g.upon", "all => all.map(one => one.dataset.stage)")
        marked = tab.page.eval_on_selector_all(".gantt .upon .who", "all => all.map(one => one.innerText)")
        assert chain
        assert set(chain) == set(drawn) == set(marked)


def test_every_link_leads_somewhere(report: Path) -> None:
    with browsing() as tab:
        tab.page.goto(report.as_uri())
        links = tab.page.eval_on_selector_all("a", "all => all.map(one => one.href.baseVal ?? one.href)")
        inside = [one.partition("#")[2] for one in links if "#" in one]
        files = [one for one in links if "#" not in one]
        assert files
        assert all(Path(unquote(urlparse(one).path)).is_file() for one in files)
        assert all(tab.page.locator(f"[id='{one}']").count() == 1 for one in inside)


def test_the_keyboard_alone_is_enough(report: Path) -> None:
    with browsing() as tab:
        tab.page.goto(report.as_uri())
        reached = set()
        for _ in range(60):
            tab.page.keyboard.press("Tab")
            reached.add(tab.page.evaluate("document.activeElement.tagName.toLowerCase()"))
        assert {"a", "summary"} <= reached
        card = tab.page.locator("details.card", has_text="publish")
        assert card.get_attribute("open") is None
        card.locator("> summary").focus()
        tab.page.keyboard.press("Enter")
        assert card.get_attribute("open") is not None


@pytest.mark.parametrize(("scheme", "width"), [("dark", 1200), ("light", 380)])
def test_it_is_readable_in_the_dark_and_on_a_phone(report: Path, scheme: str, width: int) -> None:
    with browsing(scheme=scheme, width=width) as tab:
        tab.page.goto(report.as_uri())
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        ground, ink = tab.page.evaluate(
            """() => { const one = getComputedStyle(document.body);
                return [one.backgroundColor, one.color].map(said => said.match(/\\d+/g).slice(0, 3).reduce((a, b) => a + +b, 0)) }"""
        )
        assert (ground < ink) == (scheme == "dark")
        assert abs(ground - ink) > 350
        tab.picture(f"report-{scheme}-{width}")


def test_no_script_is_needed(report: Path) -> None:
    with browsing(scripts=False) as tab:
        tab.page.goto(report.as_uri())
        card = tab.page.locator("details.card", has_text="publish")
        assert tab.page.locator("details.card").count() == 5
        assert not card.locator("h3").is_visible()
        tab.page.locator(
            ".drawing a", has_text="publish"
        ).click()  # the DAG leads to the folded stage, and unfolds it
        assert card.locator("h3").is_visible()


def test_a_page_that_is_not_safe_would_be_seen(tmp_path: Path) -> None:
    """A negative control: the same watching finds scripts that run, and requests."""
    page = tmp_path / "page.html"
    page.write_text(f"<title>mine</title><p>{EVIL}</p>")
    with browsing() as tab:
        tab.page.goto(page.as_uri())
        assert tab.page.title() == "owned"
        assert tab.asked_elsewhere == [(tmp_path / "x").as_uri()]
        assert tab.complaints
        tab.page.goto("about:blank")
        with pytest.raises(AssertionError, match="is blank"):
            tab.picture("blank")


def test_the_page_of_two_runs_shows_both_plots(project: Path) -> None:
    done = command("diff", "--html", "diff.html", cwd=project)
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip())
    assert page == (project / "diff.html").resolve()
    with browsing() as tab:
        tab.page.goto(page.as_uri())
        assert (tab.asked_elsewhere, tab.complaints) == ([], [])
        widths = tab.page.eval_on_selector_all(".pair img", "all => all.map(one => one.naturalWidth)")
        assert len(widths) == 4  # the curve of each region, before and after; the drawing is the same
        assert all(widths)
        first = tab.page.locator(".pair").first.locator("img").all()
        sides = [one.bounding_box()["x"] for one in first]
        assert sides[0] < sides[1]
        tab.picture("diff-light")
        assert tab.page.title().startswith("flight-delays: ")


def test_run_writes_its_page_also_where_it_fails(project: Path) -> None:
    done = command("run", "audit", "--report", "page.html", cwd=project)
    assert done.returncode == 1
    assert f"report: {project / 'page.html'}" in done.stderr
    assert "What failed" in (project / "page.html").read_text()
    done = command("run", "train", "-p", "C=0.5", "--report", "nowhere/page.html", cwd=project)
    assert (done.returncode, "nowhere/page.html cannot be written" in done.stderr) == (0, True)
