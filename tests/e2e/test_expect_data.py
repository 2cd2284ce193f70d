"""`expect learn` and `expect diff` through the real command, on a project with a real kernel."""

import json
import shutil
from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook
from written_tables import write_sqlite

import nbpipeline
from nbpipeline.authoring import drafting
from nbpipeline.authoring.learning import learn, write
from nbpipeline.errors import UsageError
from nbpipeline.model import Status

SUITE = "expectations/clean.features.yml"


def write_stage(root: Path, rows: int = 60, origins: str = "EWR JFK", extra: str = "") -> None:
    write_notebook(
        root / "notebooks" / "clean.ipynb",
        code('features = "../features.csv"', "outputs"),
        code(
            f"names, origins = 'id,origin,distance{extra}', '{origins}'.split()\n"
            f"rows = [f'{{n}},{{origins[n % len(origins)]}},{{100 + n % 50}}{extra and ',1'}' for n in range({rows})]\n"
            "open(features, 'w').write(names + '\\n' + '\\n'.join(rows) + '\\n')"
        ),
    )


@pytest.fixture
def project(root: Path) -> nbpipeline.Project:
    write_stage(root)
    made = nbpipeline.Project(root)
    assert [one.status for one in made.run().results] == [Status.SUCCEEDED]
    return made


def last_run(project: nbpipeline.Project) -> str:
    return str(project.runs().data["runs"][0]["run"])


def test_learn_review_run(root: Path, project: nbpipeline.Project) -> None:
    done = command("expect", "learn", "clean.features", cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {SUITE}: 7 checks, from 60 rows\nnext: review it; then nbpipeline check\n"
    text = (root / SUITE).read_text()
    assert f"# Learned from features.csv (run {last_run(project)}): 60 rows." in text
    assert "in_set: {column: origin, values: [EWR, JFK]}" in text
    assert project.check().complaints == ()
    assert [one.status for one in project.run().results] == [Status.SUCCEEDED], (
        "it holds for what it was learned from"
    )
    write_stage(root, origins="EWR JFK ORD")
    (failed,) = project.run().results
    assert failed.status is Status.CHECK_FAILED
    assert failed.failure is not None
    assert "in_set: 'origin' is none of EWR, JFK in 20 of 60 rows: row 3 (ORD)" in failed.failure.what
    assert failed.failure.where is not None
    assert failed.failure.where.path == SUITE


def test_a_file_that_is_there_is_kept_and_the_difference_shown(
    root: Path, project: nbpipeline.Project
) -> None:
    command("expect", "learn", "clean.features", cwd=root)
    done = command("expect", "learn", "clean.features", cwd=root)
    assert (done.returncode, done.stdout) == (0, f"unchanged {SUITE}: as learned\n")
    mine = (root / SUITE).read_text().replace("[EWR, JFK]", "[EWR, JFK, LGA]")
    (root / SUITE).write_text(mine)
    done = command("expect", "learn", "clean.features", cwd=root)
    assert done.returncode == 2
    assert (
        "-  - in_set: {column: origin, values: [EWR, JFK, LGA]}\n+  - in_set: {column: origin, values: [EWR, JFK]}"
        in done.stdout
    )
    assert done.stderr == (
        f"{SUITE}: is there already, and differs from what was learned; nothing was written.\n"
        "  mend: --force writes over it; --stdout prints the whole draft\n"
    )
    assert (root / SUITE).read_text() == mine
    done = command("expect", "learn", "clean.features", "--stdout", cwd=root)
    assert (done.returncode, (root / SUITE).read_text()) == (0, mine)
    done = command("expect", "learn", "clean.features", "--force", cwd=root)
    assert done.returncode == 0
    assert "+  - in_set" in done.stdout
    assert "values: [EWR, JFK]}" in (root / SUITE).read_text()


def test_it_is_learned_from_what_a_run_left(root: Path, project: nbpipeline.Project) -> None:
    first = last_run(project)
    good = (root / "features.csv").read_bytes()
    (root / "features.csv").write_text("spoiled by hand\n1\n")
    done = command("expect", "learn", "clean.features", "--stdout", cwd=root)
    assert done.returncode == 0
    assert (
        done.stderr
        == f"note: features.csv is no longer as run {first} left it; learned from the store's copy\n"
    )
    assert "required: [id, origin, distance]" in done.stdout
    assert (root / "features.csv").read_text() == "spoiled by hand\n1\n"
    (root / "features.csv").write_bytes(good)
    write_stage(root, rows=90, extra=",gate")
    project.run()
    learned = command("expect", "learn", "clean.features", "--from", first, "--stdout", cwd=root).stdout
    assert "60 rows" in learned
    assert "gate" not in learned
    assert not list((root / ".nbpipeline").glob("versions-*"))


def test_diff_against_an_earlier_run(root: Path, project: nbpipeline.Project) -> None:
    first = last_run(project)
    assert project.data.diff("clean.features", against=first).data["same"] is True
    write_stage(root, rows=90, origins="EWR JFK ORD", extra=",gate")
    project.run()
    now = (root / "features.csv").read_bytes()
    done = command("expect", "diff", "clean.features", "--against", first, cwd=root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"clean.features: run {first} -> now\n\n"
        "features.csv (clean)\n"
        "  rows: 60 -> 90 (+50.0%)\n"
        "  column gate: added, int\n"
        "  column id: max 59 -> 89 (+30); mean 29.5 -> 44.5 (+15)\n"
        "  column origin: new: ORD\n"
        "  column distance: mean 121.167 -> 122.278 (+1.11)\n"
    )
    done = command("expect", "diff", "clean.features", "--against", first, "--format", "json", cwd=root)
    data = json.loads(done.stdout)
    assert {key: data[key] for key in ("version", "artifact", "against", "same")} == {
        "version": 1, "artifact": "clean.features", "against": first, "same": False,
    }  # fmt: skip
    (file,) = data["files"]
    assert (file["rows"], file["added"], file["removed"]) == (
        [60, 90],
        [{"column": "gate", "type": "int"}],
        [],
    )
    assert {"column": "origin", "new": ["ORD"]} in file["changed"]
    assert (root / "features.csv").read_bytes() == now


def test_diff_against_checks(root: Path, project: nbpipeline.Project) -> None:
    done = command("expect", "diff", "clean.features", cwd=root)
    assert done.returncode == 2
    assert done.stderr == (
        "no check is written about clean.features.\n"
        "  mend: draft some: nbpipeline expect learn clean.features; or compare with a run: --against RUN\n"
    )
    command("expect", "learn", "clean.features", cwd=root)
    assert project.data.diff("clean.features").data["same"] is True
    (root / "features.csv").write_text(
        "id,origin,distance,gate\n" + "".join(f"{n},ORD,{n},B\n" for n in range(60))
    )
    done = command("expect", "diff", "clean.features", cwd=root)
    assert done.returncode == 4
    assert (
        "features.csv (clean): 60 rows\n  fails  in_set: 'origin' is none of EWR, JFK in 60 of 60 rows"
        in done.stdout
    )
    assert done.stdout.endswith("  5 of 7 checks hold\n  named by no check: gate (str)\n")
    data = project.data.diff("clean.features").data
    assert data["same"] is False
    assert data["files"][0]["unnamed"] == [{"column": "gate", "type": "str"}]
    assert [one["check"] for one in data["files"][0]["checks"] if not one["passed"]] == ["in_set", "between"]


def test_checks_that_only_warn_and_other_runs_change_no_exit_code(
    root: Path, project: nbpipeline.Project
) -> None:
    first = last_run(project)
    suite = "expect: [{rows: {min: 100}, severity: SEVERITY}]"
    for severity, code_ in (("warn", 0), ("fail", 4)):
        write_files(root, {SUITE: suite.replace("SEVERITY", severity)})
        for form in ("text", "json"):
            done = command("expect", "diff", "clean.features", "--format", form, cwd=root)
            assert (done.returncode, done.stderr) == (code_, "")
            assert "60 rows, at least 100 wanted" in done.stdout
    (root / "features.csv").write_text("other\n1\n")
    done = command("expect", "diff", "clean.features", "--against", first, cwd=root)
    assert (done.returncode, "column other: added" in done.stdout) == (0, True)


def test_what_only_the_store_far_away_has_is_brought(root: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    write_files(root, {"pipeline.yaml": f"name: far\nstore: {{path: '{far.as_uri()}'}}\n"})
    write_stage(root)
    project = nbpipeline.Project(root)
    project.run()
    first = last_run(project)
    write_stage(root, rows=90)
    project.run()
    (root / "features.csv").write_text("spoiled by hand\n1\n")
    near = root / ".nbpipeline" / "store" / "objects"
    shutil.rmtree(near)
    assert project.data.diff("clean.features", against=first).data["files"][0]["rows"] == [60, 1]
    shutil.rmtree(near)
    assert command("expect", "learn", "clean.features", "--from", first, "--stdout", cwd=root).returncode == 0
    shutil.rmtree(near)
    ((_, learned),) = project.data.learned_from("clean.features")
    assert learned.rows == 90
    assert (root / "features.csv").read_text() == "spoiled by hand\n1\n"
    shutil.rmtree(near)
    shutil.rmtree(far / "objects")
    with pytest.raises(UsageError, match="the store has no copy of it"):
        project.data.diff("clean.features", against=first)
    write_files(
        root, {"pipeline.yaml": "name: far\nstore: {path: 's3://team', endpoint: 'http://127.0.0.1:1'}\n"}
    )
    with pytest.raises(UsageError, match="the store has no copy of it") as error:
        project.data.diff("clean.features", against=first)
    assert "the store at s3://team " in str(error.value)
    assert "only what is here is known" in str(error.value)


def test_every_instance_of_a_matrix_is_learned_from(root: Path) -> None:
    write_notebook(
        root / "notebooks" / "part.ipynb",
        header("matrix: {region: [eu, us]}\noutputs: {rows: '../rows-{region}.csv'}"),
        code("import nbpipeline\nstage = nbpipeline.stage()\ncount = {'eu': 30, 'us': 60}[region]"),
        code("open(stage.outputs.rows, 'w').write('a\\n' + f'{region}\\n' * count)"),
    )
    project = nbpipeline.Project(root)
    project.run()
    text = command("expect", "learn", "part.rows", "--stdout", cwd=root).stdout
    assert "# 30 to 60 rows" in text
    assert "values: [eu, us]" in text
    text = command("expect", "learn", "part@region=eu.rows", "--stdout", cwd=root).stdout
    assert "artifact: part.rows\n" in text
    assert "values: [eu]" in text
    assert [one["stage"] for one in project.data.diff("part.rows", against=last_run(project)).data["files"]] == [
        "part[region=eu]", "part[region=us]",
    ]  # fmt: skip


def test_tables_of_a_database_that_is_an_input(root: Path) -> None:
    write_sqlite(
        root / "raw.sqlite", {"flights": (["id"], [[n] for n in range(30)]), "planes": (["tail"], [["N1"]])}
    )
    write_notebook(
        root / "notebooks" / "load.ipynb",
        header("inputs: {raw: ../raw.sqlite}\noutputs: {done: ../done.txt}"),
        code("import nbpipeline\nopen(nbpipeline.stage().outputs.done, 'w').write('1')"),
    )
    done = command("expect", "learn", "load.raw", cwd=root)
    assert done.returncode == 2
    assert "raw.sqlite holds 2 tables: flights, planes" in done.stderr
    assert done.stderr.endswith("  mend: name the table: --table NAME\n")
    done = command("expect", "learn", "load.raw", "--table", "flights", cwd=root)
    assert done.stdout.startswith("wrote expectations/load.raw.flights.yml: 5 checks, from 30 rows\n")
    project = nbpipeline.Project(root)
    assert [one.status for one in project.run().results] == [Status.SUCCEEDED]
    found = project.data.diff("load.raw").data["files"]
    assert [(one["path"], one["rows"], len(one["checks"])) for one in found] == [
        ("raw.sqlite, table flights", 30, 5)
    ]


@pytest.mark.parametrize("what", ["clean.feature", "features", "claen.features", "nothing"])
def test_names_of_nothing(project: nbpipeline.Project, what: str) -> None:
    for ask in (project.data.learned_from, project.data.diff):
        with pytest.raises(UsageError, match="is no input or output") as error:
            ask(what)
        assert "known: clean.features" in str(error.value)


def test_what_cannot_be_learned_from(root: Path) -> None:
    write_stage(root)
    project = nbpipeline.Project(root)
    with pytest.raises(UsageError, match="no success of 'clean' is on record") as error:
        project.data.learned_from("clean.features")
    assert "nbpipeline run clean" in str(error.value)
    with pytest.raises(UsageError, match=r"features\.csv is not there"):
        project.data.diff("clean.features", against="x")
    project.run()
    with pytest.raises(UsageError, match="no run is called 'x'"):
        project.data.learned_from("clean.features", run="x")
    write_files(root, {"features.csv": "a,b\n1\n"})
    with pytest.raises(
        UsageError, match=r"features\.csv cannot be read as a table: features\.csv is cut or damaged"
    ):
        project.data.diff("clean.features", against=last_run(project))
    for one in (root / ".nbpipeline" / "store").rglob("*"):
        if one.is_file():
            one.unlink()
    with pytest.raises(UsageError, match="the store has no copy of it"):
        project.data.learned_from("clean.features")


def test_an_earlier_version_of_a_raw_file_is_nowhere(root: Path) -> None:
    write_files(root, {"raw.csv": "a\n1\n"})
    write_notebook(
        root / "notebooks/copy.ipynb",
        code('raw = "../raw.csv"', "inputs"),
        code('out = "../out.csv"', "outputs"),
        code("open(out, 'w').write(open(raw).read() + '9\\n')"),
    )
    project = nbpipeline.Project(root)
    project.run()
    first = last_run(project)
    assert project.data.diff("copy.raw", against=first).data["same"] is True
    write_files(root, {"raw.csv": "a\n2\n"})
    with pytest.raises(UsageError, match="the store has no copy of it: it keeps what stages make") as error:
        project.data.diff("copy.raw", against=first)
    assert "mend: compare an output of a stage that reads it; or let a stage bring it" in str(error.value)
    project.run()
    assert project.data.diff("copy.out", against=first).data["same"] is False


def data_project(root: Path, name: str, text: str, beside: str = "") -> None:
    write_files(root, {f"data/{name}": text, "pipeline.yaml": "name: odd\n"})
    write_notebook(
        root / "notebooks" / "look.ipynb",
        header(f"inputs: {{it: ../data/{name}}}\n{beside}"),
        code("print(open(it).read()[:1])"),
    )


@pytest.mark.parametrize(
    ("name", "text", "left_out"),
    [
        ("t.jsonl", '{"\\udc80k": 1, "a": 1}\n{"\\udc80k": 2, "a": 2}\n', "left out: 1 column(s)"),
        ("t.jsonl", '{"a": "\\ud800x"}\n{"a": "ok"}\n' * 30, ""),
        ("t.csv", "d\n" + "9" * 5000 + "\n1\n", ""),
        ("t.json", '[{"a": ' + "9" * 400 + '}, {"a": 1}, {"a": 1.5}]', ""),
        ("t.csv", "a\n" + "s3cr3t-token-of-mine\nother\n" * 30, "it would hold a secret"),
    ],
)
def test_what_is_learned_can_be_read_and_holds_on_its_data(
    root: Path, name: str, text: str, left_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_TOKEN", "s3cr3t-token-of-mine")
    data_project(root, name, text, "secrets: [API_TOKEN]")
    done = command("expect", "learn", "look.it", cwd=root)
    assert done.returncode == 0, done.stderr
    assert left_out in done.stderr
    assert "s3cr3t" not in (root / "expectations" / "look.it.yml").read_text()
    project = nbpipeline.Project(root)
    assert [one for one in project.check().complaints if not one.warning] == []
    diff = command("expect", "diff", "look.it", cwd=root)
    assert diff.returncode == 0, diff.stdout
    assert "checks hold" in diff.stdout


def test_a_drafted_check_that_fails_on_its_own_data_is_left_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_project(root, "t.csv", "n\n1\n2\n")
    real = drafting._number_range

    def wrong(*given: object, **how: object) -> object:
        for one in real(*given, **how):
            yield drafting._Line(comment=one.comment, check="between: {column: n, min: 2}")

    monkeypatch.setattr(drafting, "_number_range", wrong)
    drafted = learn(nbpipeline.Project(root), "look.it")
    (notice,) = drafted.notices
    assert notice.startswith(
        "a check `between` was left out: it does not hold on the data: 'n' is not at least 2 in 1 of 2 rows"
    )
    assert "between" not in drafted.text
    assert "types: {n: int}" in drafted.text
    monkeypatch.setattr(drafting, "_text", lambda text: f"[{text}")
    unreadable = learn(nbpipeline.Project(root), "look.it")
    with pytest.raises(UsageError, match="the draft could not be read again"):
        write(nbpipeline.Project(root), unreadable, force=False)
    assert not (root / "expectations").exists()


def test_what_differs_tells_no_secret(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "s3cr3t-token-of-mine"
    monkeypatch.setenv("API_TOKEN", secret)
    text = "a\n" + "one\nother\n" * 30
    data_project(
        root,
        "t.csv",
        text,
        "secrets: [API_TOKEN]\nexpect: {it: [{in_set: {column: a, values: [one, other]}}]}",
    )
    assert command("run", cwd=root).returncode == 0
    (root / "data" / "t.csv").write_text(text + f"{secret}\n" * 10)
    page = nbpipeline.Project(root).data.diff("look.it")
    told = page.text + json.dumps(page.data)
    assert "[masked]" in told
    assert secret not in told
