"""How checks went, as files beside the executed notebook."""

import json
import re

from nbpipeline.stage.check_page import Outcomes, page

FAILED = {
    "side": "output",
    "artifact": "features",
    "check": "<b>&check",
    "arguments": {"column": "<script>alert(1)</script>"},
    "passed": False,
    "severity": "fail",
    "message": "'a' is <wrong>",
    "validator": "columns",
    "details": {"rows": 3, "failed": 1, "examples": [{"row": 2, "<i>": "</td><script>"}]},
}
WARNED = {**FAILED, "check": "rows", "severity": "warn", "details": {}}
PASSED = {**FAILED, "side": "input", "artifact": "raw", "passed": True, "message": "", "details": {"rows": 3}}


def test_the_page_shows_all_and_lets_nothing_through():
    text = page("train[region=<eu>]", [PASSED, FAILED, WARNED])
    assert "1 passed, 1 failed, 1 warned" in text
    assert "<title>Checks of train[region=&lt;eu&gt;]</title>" in text
    assert not re.search(r"<script|<wrong|<i>\w|<eu>|<b>", text)
    assert "&lt;/td&gt;&lt;script&gt;" in text
    assert not re.search(r"https?://|src=|@import|url\(", text)


def test_outputs_of_an_attempt_that_failed_are_forgotten(tmp_path):
    outcomes = Outcomes("train")
    for kind, data in [
        ("check_finished", PASSED),
        ("attempt_started", {"attempt": 1}),
        ("check_finished", FAILED),
        ("attempt_started", {"attempt": 2}),
        ("check_finished", WARNED),
    ]:
        outcomes.hear(kind, data)
    assert outcomes.write(tmp_path / "new") == []
    data = json.loads((tmp_path / "new/checks.json").read_text())
    assert [one["check"] for one in data["checks"]] == ["<b>&check", "rows"]
    assert data["stage"] == "train"
    assert "1 passed, 1 warned" in (tmp_path / "new/checks.html").read_text()


def test_where_nothing_was_checked_nothing_is_written(tmp_path):
    assert Outcomes("train").write(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_refuses_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    outcomes = Outcomes("train")
    outcomes.hear("check_finished", PASSED)
    (told,) = outcomes.write(tmp_path / "file")
    assert told.startswith("checks.html could not be written: ")
