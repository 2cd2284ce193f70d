"""Alerts: what they say, when, to whom, how often, and never a secret."""

import time
from dataclasses import replace

import pytest
import told
from builders import code, write_files, write_notebook
from receivers import alert_hook

from nbpipeline.ports import GivenUpError
from nbpipeline.reading.alerts import url_of
from nbpipeline.reading.project import read_project
from nbpipeline.trackers import alerts
from nbpipeline.trackers.alert_text import LONGEST, alert_of

pytest.importorskip("apprise")
ALL = ("failure", "check_failure", "recovery", "warning")
TOKEN = "t0ken-t0ken"


@pytest.fixture(autouse=True)
def any_stage(root):
    write_notebook(root / "notebooks/train.ipynb", code("model = '../models/m.bin'", "outputs"))


@pytest.fixture
def hook():
    with alert_hook() as receiver:
        yield receiver


@pytest.fixture
def opened(root, hook):
    """Opens the tracker of a project whose pipeline.yaml has this under `alerts`, as a process would."""

    def opening(text=""):
        given = text or f'{{urls: ["json://{hook.address}/hook?key={TOKEN}"]}}'
        write_files(root, {"pipeline.yaml": f"name: flights\nalerts: {given}\n"})
        spec, complaints = read_project(root)
        assert complaints == ()
        assert [*alerts.complaints(spec.tracking["alerts"])] == []
        return alerts.open_tracker(spec.tracking["alerts"], root, "flights", root / "spool")

    return opening


def now(*stages, **given):
    return told.run(*stages, finished=time.time(), **given)


# --- what ------------------------------------------------------------------------------------


def test_a_failure_word_for_word():
    alert = alert_of(told.run(told.failed(), told.stage("report", status="blocked")), ALL)
    assert alert is not None
    assert (alert.occasion, alert.title) == ("failure", "flights: train failed")
    assert alert.body == (
        "Run 20260101-000000-abcd of flights in /projects/flights: failed.\n\n"
        "train failed. notebooks/train.ipynb, cell 3, line 2: the cell raised ValueError: no\n"
        "mend: see the whole of it with `nbpipeline log train`\n\n"
        "Not started: report\n\n"
        "Look closer: nbpipeline log train, or nbpipeline show 20260101-000000-abcd"
    )


def test_a_failed_check_word_for_word():
    one = told.checked("train[region=eu]", checks=(told.check(passed=True, check="unique"), told.check()))
    alert = alert_of(told.run(one), ALL)
    assert alert is not None
    assert (alert.occasion, alert.title) == ("check_failure", "flights: train[region=eu] fails a check")
    assert alert.body == (
        "Run 20260101-000000-abcd of flights in /projects/flights: failed.\n\n"
        "train[region=eu] fails a check. notebooks/train.ipynb, cell 1, line 3\n"
        "input 'table': between: 'late' is not at most 1 in 1 of 3 rows: row 3 (7.0)\n"
        "  id = 2, late = 7.0\n"
        "mend: correct the data where it is made, or the check\n\n"
        "Look closer: nbpipeline show train@region=eu, or nbpipeline show 20260101-000000-abcd"
    )


def test_rows_stay_here_where_they_are_not_to_be_told():
    alert = alert_of(told.run(told.checked()), ALL, rows=False)
    assert alert is not None
    assert "7.0" not in alert.body
    assert "input 'table': between: 1 of 3 rows fail" in alert.body


def test_a_recovery_names_what_works_again():
    run = told.run(told.stage(before="check_failed"), told.stage("clean", before="succeeded"))
    alert = alert_of(run, ALL)
    assert alert is not None
    assert (alert.occasion, alert.title) == ("recovery", "flights: train works again")
    assert "Works again: train\n\nLook closer: nbpipeline show 2026" in alert.body


def test_a_warning_is_one_only_where_it_is_asked_for():
    run = told.run(told.stage(checks=(told.check(severity="warn"),)))
    assert alert_of(run, ALL[:3]) is None
    alert = alert_of(run, ALL)
    assert alert is not None
    assert (alert.occasion, alert.title) == ("warning", "flights: train: a check warns")
    assert "train, warning: input 'table': between: 'late' is not" in alert.body


def test_a_killed_run_is_a_failure_and_one_that_was_interrupted_by_hand_is_none():
    killed = told.run(told.stage(finished=None, status=""), status="interrupted")
    alert = alert_of(killed, ALL)
    assert alert is not None
    assert (alert.occasion, alert.title) == ("failure", "flights: the run was killed")
    assert "in the middle of: train" in alert.body
    assert alert_of(told.run(told.stage(status="cancelled"), status="interrupted"), ALL) is None


@pytest.mark.parametrize(
    ("run", "occasions", "found"),
    [
        (told.run(told.stage()), ALL, None),
        (told.run(told.failed()), ("check_failure", "recovery"), None),
        (told.run(told.checked()), ("failure", "recovery"), None),
        (told.run(told.stage(before="failed")), ("failure", "check_failure"), None),
        (told.run(told.checked("a"), told.failed("b")), ("failure",), "failure"),
        (told.run(told.failed(before="failed")), ALL, "failure"),
        (told.run(told.stage(status="restored", before="failed")), ALL, "recovery"),
        (told.run(told.stage(status="fresh", before="failed")), ALL, "recovery"),
    ],
)
def test_when_there_is_one(run, occasions, found):
    alert = alert_of(run, occasions)
    assert (alert and alert.occasion) == found


def test_it_stays_short_however_much_failed():
    long = {**told.ERROR, "what": "x" * 5_000, "known": "y" * 5_000}
    alert = alert_of(told.run(*(told.failed(f"s{n}", failure=long) for n in range(40))), ALL)
    assert alert is not None
    assert len(alert.body) <= LONGEST
    assert alert.title == "flights: s0 and 39 more failed"


# --- how often -------------------------------------------------------------------------------


def test_it_is_sent_once_also_by_another_process(opened, hook):
    run = now(told.failed())
    with opened() as tracker:
        tracker.send(replace(run, finished=None, status=""))
        assert hook.taken == []
        tracker.send(run)
        tracker.send(run)
    with opened() as tracker:
        tracker.send(run)
    assert [one["title"] for one in hook.taken] == ["flights: train failed"]
    assert hook.taken[0]["type"] == "failure"


def test_what_one_target_did_not_take_goes_later_to_that_one_alone(opened, hook):
    with alert_hook() as other:
        text = f'{{urls: ["json://{hook.address}/hook", "json://{other.address}/hook"]}}'
        other.status = 503
        with opened(text) as tracker:
            with pytest.raises(alerts.NotSentError, match=r"^URL 2 of 2: json: not sent \(.*error=503"):
                tracker.send(now(told.failed()))
            other.status = None
            tracker.send(now(told.failed()))
            tracker.send(now(told.failed()))
    assert (len(hook.taken), len(other.taken)) == (1, 1)


def test_an_old_one_is_given_up_and_that_is_said(opened, hook):
    run = told.run(told.failed(), finished=time.time() - alerts.STALE - 60)
    for _ in range(2):
        with (
            opened() as tracker,
            pytest.raises(GivenUpError, match=r"^URL 1 of 1: the run ended more than 6 hours ago$"),
        ):
            tracker.send(run)
    assert hook.taken == []


def test_only_who_was_not_told_is_given_up(opened, hook):
    with alert_hook() as other:
        text = f'{{urls: ["json://{hook.address}/hook", "json://{other.address}/hook"]}}'
        other.status = 503
        with opened(text) as tracker:
            with pytest.raises(alerts.NotSentError):
                tracker.send(now(told.failed()))
            with pytest.raises(GivenUpError, match=r"^URL 2 of 2: the run ended"):
                tracker.send(told.run(told.failed(), finished=time.time() - alerts.STALE - 60))
    assert len(hook.taken) == 1


def test_an_old_run_without_an_alert_is_nothing_to_give_up(opened, hook):
    with opened() as tracker:
        tracker.send(told.run(told.stage(), finished=time.time() - alerts.STALE - 60))
    assert hook.taken == []


def test_a_run_of_which_nobody_is_to_be_told_sends_nothing(opened, hook):
    with opened() as tracker:
        tracker.send(now(told.stage()))
    assert (hook.taken, hook.refused) == ([], [])


def test_control_the_hook_refuses_what_is_no_alert(hook):
    assert hook.answer("/hook", {}, b'{"title": "", "message": "x"}') == 422
    assert hook.answer("/hook", {}, b"no JSON") == 422
    assert hook.answer("/other", {}, b"{}") == 404
    assert (len(hook.refused), hook.taken) == (2, [])


# --- never a secret --------------------------------------------------------------------------


def test_what_is_kept_holds_no_url(opened, root, hook):
    spec, _ = read_project(root)
    with opened() as tracker:
        tracker.send(now(told.failed()))
    assert len(hook.taken) == 1
    spec, _ = read_project(root)
    assert TOKEN not in str(spec.tracking)
    held = [path for path in (root / "spool").rglob("*") if path.is_file() and TOKEN in path.read_text()]
    assert held == []


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:9/{}",
        "json://user:{}@127.0.0.1:9/x",
        "jsons://{}@127.0.0.1:9/?+X-Key={}",
        "nosuch://{}/x",
        "slack://{}",
        "slack://{}/{}/{}/#general",
        "tgram://12345:{}/99",
        "json://127.0.0.1:9/%41{}",
    ],
)
def test_what_is_said_of_a_target_that_fails_holds_no_secret(opened, url, caplog, capfd):
    text = f'{{urls: ["{url.replace("{}", TOKEN)}"]}}'
    with opened(text) as tracker, pytest.raises(alerts.NotSentError) as caught:
        tracker.send(now(told.failed()))
    captured = capfd.readouterr()
    assert str(caught.value).startswith("URL 1 of 1: ")
    for text in (str(caught.value), repr(caught.value.__context__), caplog.text, captured.out, captured.err):
        assert TOKEN not in text


def test_the_parts_of_a_url_are_masked_but_for_its_host():
    url = "jsons://anna:p%40ssw0rd@chat.example.org:8443/room-1/abc?key=s3cret-key"
    said = "chat.example.org answered anna p%40ssw0rd p@ssw0rd /room-1/ abc s3cret-key 8443"
    assert alerts.masked(said, url) == (
        "chat.example.org answered [masked] [masked] p@ssw0rd /[masked]/ abc [masked] [masked]".replace(
            "p@ssw0rd", "[masked]"
        )
    )


def test_variables_are_put_in_when_it_is_sent(opened, root, hook, monkeypatch):
    monkeypatch.delenv("HOOK", raising=False)
    text = '{urls: ["json://${HOOK}/hook"], on: failure}'
    with opened(text) as tracker:
        with pytest.raises(alerts.NotSentError, match=r"^URL 1 of 1: HOOK is not set in the environment$"):
            tracker.send(now(told.failed()))
        monkeypatch.setenv("HOOK", hook.address)
        tracker.send(now(told.failed()))
    assert len(hook.taken) == 1


def test_a_url_that_was_taken_out_is_told_no_more(opened, root, hook):
    with opened() as tracker:
        write_files(root, {"pipeline.yaml": "name: flights\n"})
        with pytest.raises(alerts.NotSentError, match=r"stands in pipeline\.yaml no more"):
            tracker.send(now(told.failed()))
        write_files(root, {"pipeline.yaml": "name: ["})
        with pytest.raises(alerts.NotSentError, match="cannot be read"):
            tracker.send(now(told.failed()))
    assert hook.taken == []


def test_a_profile_has_urls_of_its_own(root):
    write_files(
        root,
        {
            "pipeline.yaml": "alerts: {urls: ['json://a/x'], rows: false}\n"
            "profiles: {prod: {alerts: {urls: 'json://b/y', on: [recovery]}}, dev: {alerts: null}}\n"
        },
    )
    (spec, complaints) = read_project(root, profile="prod")
    assert complaints == ()
    given = spec.tracking["alerts"]
    assert [url_of(one, root, {}) for one in given["urls"]] == ["json://b/y"]
    assert (given["on"], given["rows"]) == (["recovery"], False)
    assert read_project(root, profile="dev")[0].tracking == {}


@pytest.mark.parametrize("settings", [{}, {"urls": ["json://a/x"]}, {"urls": "json://a/x"}, {"urls": [5]}])
def test_control_settings_that_hold_a_url_are_refused(settings):
    assert [*alerts.complaints(settings)] == [
        (
            "alerts are no tracker of their own.",
            "write `alerts: {urls: [...]}` at the top of pipeline.yaml, beside `tracking:`",
        )
    ]
