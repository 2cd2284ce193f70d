"""What `init` makes runs green at once, and what it makes of itself is explained."""

import json
from pathlib import Path

from builders import command


def test_the_template_runs_and_is_then_fresh(tmp_path: Path) -> None:
    made = command("init", "weather", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1] == "next: cd weather && nbpipeline run"
    root = tmp_path / "weather"
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "fit: mean_error = " in done.stdout
    assert "results: report/index.html" in done.stdout
    scores = json.loads((root / "models/scores.json").read_text())
    assert 0 < scores["mean_error"] < scores["baseline_error"]
    assert "<svg" in (root / "report/index.html").read_text()
    assert command("run", cwd=root).stdout == "all fresh: 4 stages, nothing to run\n"
    assert command("test", cwd=root).stdout.startswith("1 of 1 stage passed in")
    half = command("plan", "--profile", "half", "--format", "json", cwd=root)
    actions = {one["stage"]: one["action"] for one in json.loads(half.stdout)["stages"]}
    assert actions == {"collect": "skip", "clean": "skip", "fit": "run", "report": "maybe"}


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    command("init", ".", cwd=tmp_path)
    (tmp_path / ".nbpipeline").write_text("in the way")
    for arguments in (["plan"], ["run"]):
        done = command(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr == (
            ".nbpipeline: cannot be written: File exists.\n"
            "  mend: make room or give yourself the right to write there; no output was touched\n"
        )
    assert command("check", cwd=tmp_path).returncode == 0
    looked = command("doctor", cwd=tmp_path)
    assert looked.returncode == 1
    assert "BAD   .nbpipeline: cannot be written: File exists." in looked.stdout
    assert not (tmp_path / "data").exists()
