"""What is told of checks that do not hold: each in a line of its own, with where all of them stand."""

import json

from builders import code, command, header, write_notebook


def test_each_check_has_its_line_and_a_warning_is_called_one(root):
    write_notebook(
        root / "notebooks/clean.ipynb",
        header(
            "expect: {out: [{not_null: a}, {between: {column: b, max: 5}}, {unique: c},"
            " {rows: {min: 9}, severity: warn}]}"
        ),
        code("out = '../data/out.csv'", "outputs"),
        code("open(out, 'w').write('a,b,c\\n1,2,3\\n,9,3\\n')"),
    )
    done = command("run", cwd=root)
    assert done.returncode == 4
    (run,) = (root / ".nbpipeline/runs").iterdir()
    lines = done.stdout.splitlines()
    place = f".nbpipeline/runs/{run.name}/clean"
    said = lines.index("clean failed")
    assert lines[said + 1].endswith("output 'out' fails a check: not_null: 'a' is null in 1 of 2 rows: row 2")
    assert lines[said + 2 : said + 6] == [
        "  it also fails between: 'b' is not at most 5 in 1 of 2 rows: row 2 (9)",
        "  it also fails unique: 'c' repeats an earlier row in 1 of 2 rows: row 2",
        f"  what was written is kept in {place}/rejected-1: data/out.csv",
        f"  executed notebook: {place}/attempt-1.ipynb",
    ]
    assert f"  all checks, with the rows: {place}/checks.html" in lines
    warning = "clean: warning: output 'out': rows: 2 rows, at least 9 wanted"
    assert warning in done.stderr.splitlines()
    assert warning in lines
    assert "1 failed a check, 1 warning in" in done.stdout

    shown = command("show", run.name, cwd=root).stdout.splitlines()
    begin = shown.index(lines[said + 2])
    assert shown[begin : begin + 3] == lines[said + 2 : said + 5]
    assert warning in shown
    assert f"  all checks, with the rows: {run}/clean/checks.html" in shown
    (stage,) = json.loads(command("show", run.name, "--format", "json", cwd=root).stdout)["stages"]
    assert (stage["warnings"], stage["checks_page"]) == (
        [warning.removeprefix("clean: ")],
        f"{run}/clean/checks.html",
    )

    page = root / "page.html"
    assert command("report", "-o", str(page), cwd=root).returncode == 0
    told = page.read_text().partition("What failed")[2].partition("</section>")[0]
    for name in ("not_null", "between", "unique"):
        assert f"output out, {name}: 1 failing row" in told
    assert "it also fails between" in told
