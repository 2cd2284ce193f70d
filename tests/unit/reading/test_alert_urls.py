"""`alerts:` in pipeline.yaml: what is wrong with it is said, its URLs are not."""

import pytest
from builders import code, command, write_files, write_notebook

from nbpipeline.reading.alerts import NAMED, sealed
from nbpipeline.reading.project import read_project

TOKEN = "t0ken-t0ken"


NO_URL = (
    "pipeline.yaml, line 1: item 1 of 'urls' is no URL of an alert.\n"
    "  mend: write one that apprise knows, such as `mailtos://${MAIL_USER}:${MAIL_PASSWORD}@gmail.com`."
)
NO_OCCASION = (
    "pipeline.yaml, line 1: item 1 of 'on' is 'failur'; it wants one of failure, check_failure, recovery, warning.\n"
    "  mend: did you mean 'failure'?"
)
NO_KEY = (
    "pipeline.yaml, line 1: unknown key 'url'.\n  known keys: on, rows, urls\n  mend: did you mean 'urls'?"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{{urls: ["{TOKEN}"]}}', NO_URL),
        ("{urls: [5]}", NO_URL),
        ("{urls: 'json://a', on: [failur]}", NO_OCCASION),
        ("{url: 'json://a'}", NO_KEY),
    ],
)
def test_what_is_wrong_is_said_without_the_url(root, text, said):
    write_notebook(root / "notebooks/a.ipynb", code("out = '../out.txt'", "outputs"))
    write_files(root, {"pipeline.yaml": f"alerts: {text}\n"})
    assert [str(one) for one in read_project(root)[1]] == [said]


def test_under_tracking_they_are_refused_and_not_shown(root):
    write_notebook(root / "notebooks/a.ipynb", code("out = '../out.txt'", "outputs"))
    write_files(root, {"pipeline.yaml": f'tracking: {{alerts: {{urls: ["json://{TOKEN}"]}}}}\n'})
    done = command("check", cwd=root)
    assert done.returncode == 2
    assert "write `alerts: {urls: [...]}` at the top of pipeline.yaml" in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "document",
    [
        {"alerts": {"urls": [f"json://{TOKEN}", TOKEN, 5, None]}},
        {"alerts": {"urls": f"json://{TOKEN}"}},
        {"alerts": f"json://{TOKEN}"},
        {"alerts": [f"json://{TOKEN}", TOKEN]},
        {"alerts": {"url": f"json://{TOKEN}", "to": [TOKEN], "urls": {"a": TOKEN}}},
        {"profiles": {"a": {"alerts": {"urls": [f"json://{TOKEN}"]}}, "b": None}},
        {"tracking": {"alerts": {"urls": [TOKEN]}, "mlflow": {}}},
    ],
)
def test_a_sealed_document_holds_none(document):
    before = str(document)
    found = sealed(document)
    assert TOKEN not in str(found)
    assert (NAMED in str(found)) == ("tracking" not in document)
    assert str(document) == before


@pytest.mark.parametrize("document", [None, [], "x", {"alerts": None}, {"profiles": [1]}])
def test_what_is_no_mapping_stays_as_it_is(document):
    assert sealed(document) == document


def test_no_url_is_remembered(root):
    write_notebook(
        root / "notebooks/a.ipynb", code("out = '../out.txt'", "outputs"), code("open(out, 'w').write('1')")
    )
    write_files(root, {"pipeline.yaml": f'alerts: {{urls: ["json://127.0.0.1:9/{TOKEN}"]}}\n'})
    for _ in range(2):
        assert command("run", "--no-track", cwd=root).returncode == 0
    assert command("plan", cwd=root).returncode == 0
    held = [
        one
        for one in (root / ".nbpipeline").rglob("*")
        if one.is_file() and TOKEN.encode() in one.read_bytes()
    ]
    assert held == []
