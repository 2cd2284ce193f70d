"""What is said of checks that changed, and of secrets that stand where none should."""

from pathlib import Path

import pytest
from builders import code, command, header, write_files, write_notebook

MAKING = "open(out, 'w').write('a\\n1\\n')"
FORMS = [
    '[{"not_null": "a", "mostly": 0.9}]',
    '[{"not_null": "a", "mostly": 0.8}]',
    '[{"not_null": "a", "mostly": 0.8, "severity": "warn"}, {"rows": {"min": 1}}]',
    '[{"not_null": "a"}]',
]


def test_checks_with_shares_and_severities_may_change(root: Path) -> None:
    for number, form in enumerate(FORMS):
        write_notebook(
            root / "notebooks/one.ipynb",
            code('out = "../out.csv"', "outputs"),
            code(MAKING),
            code(f"out = {form}", "expectations"),
        )
        for words in (["plan"], ["run", "--report", "page.html"], ["show"], ["diff"] if number else ["runs"]):
            done = command(*words, cwd=root)
            assert done.returncode == 0, done.stderr
        assert (root / "page.html").exists()
        if number == 1:
            told = command("show", cwd=root).stdout + command("diff", cwd=root).stdout
            assert "0.9" in told


@pytest.mark.parametrize("written", ["supersecrettoken123", 'quote"and\\slash-secret'])
def test_a_secret_given_as_a_parameter_stands_in_no_file(root: Path, written: str) -> None:
    write_files(root, {"pipeline.yaml": "name: x\n"})
    write_notebook(
        root / "notebooks/a.ipynb",
        header("secrets: [TOK]\noutputs: {a: ../a.txt}"),
        code("api_key: str = 'none'\nother = [1]", "parameters"),
        code("import nbpipeline\nassert len(nbpipeline.stage().params.api_key) > 8\nopen(a, 'w').write('x')"),
    )
    environment = {"TOK": written}
    words = ["-p", f"api_key={written}", "-p", f"other=[{written}]" if written.isalnum() else "other=[2]"]
    ran = command("run", *words, cwd=root, environment=environment)
    assert ran.returncode == 0, ran.stderr
    again = command("run", *words, cwd=root, environment=environment)
    assert "all fresh" in again.stdout
    told = [
        command("show", cwd=root, environment=environment).stdout,
        command("plan", cwd=root, environment=environment).stdout,
        command("lineage", "a.txt", cwd=root, environment=environment).stdout,
        command("report", "-o", "page.html", cwd=root, environment=environment).stdout,
        command("push", "--to", str(root.parent / "team"), cwd=root, environment=environment).stdout,
    ]
    assert all(written not in one for one in told)
    assert any("[masked" in one for one in told)
    files = [one for folder in (root, root.parent / "team") for one in folder.rglob("*") if one.is_file()]
    assert len(files) > 5
    escaped = written.replace("\\", "\\\\").replace('"', '\\"')
    for form in {written.encode(), escaped.encode()}:
        assert [str(one) for one in files if form in one.read_bytes()] == []
