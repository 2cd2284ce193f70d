"""The runner is killed with SIGKILL at random moments while it writes large files; none is ever lost or half.

`test_storm.py` does it more often, to more kinds of outputs and to kernels and fork servers too.

Each stage writes whole files of one repeated letter, slowly and in pieces, so that a half file or a
mixture of two versions shows at once.
"""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from builders import code, command, write_files, write_notebook
from processes import outlasting

SIZE = 400_000
PIECES = 40
STAGES = ("first", "second", "third", "fourth")
SEED = int(os.environ.get("NBPIPELINE_TEST_SEED", "20131101"))


def build(root: Path) -> None:
    for number, name in enumerate(STAGES):
        cells = [code('letter: str = "a"', "parameters")]
        if number:
            cells.append(code(f'before = "../out/{STAGES[number - 1]}.txt"', "inputs"))
        cells.append(code(f'result = "../out/{name}.txt"\nfolder = "../out/{name}/"', "outputs"))
        if number:
            cells.append(code("assert set(open(before).read()) == {letter}"))
        cells.append(
            code(
                f"""
                import os

                with open(result, "w") as file:
                    for _ in range({PIECES}):
                        file.write(letter * {SIZE // PIECES})
                        file.flush()
                        os.fsync(file.fileno())
                """
            )
        )
        cells.append(
            code(
                f"""
                for part in range(3):
                    with open(f"{{folder}}part-{{part}}.txt", "w") as file:
                        file.write(letter * {SIZE})
                """
            )
        )
        write_notebook(root / "notebooks" / f"{name}.ipynb", *cells)
    write_files(root, {"pipeline.yaml": "name: killed\n"})


def outputs(root: Path) -> dict[str, str | None]:
    """The letter of each output; None for one that is missing, half or mixed."""
    found: dict[str, str | None] = {}
    for name in STAGES:
        for path in [root / f"out/{name}.txt", *(root / f"out/{name}/part-{part}.txt" for part in range(3))]:
            text = path.read_text() if path.exists() else ""
            whole = len(text) == SIZE and len(set(text)) == 1
            found[str(path.relative_to(root))] = text[0] if whole else None
    return found


def run_until_killed(root: Path, letter: str, after_events: int) -> list[int]:
    """Start a run, SIGKILL the runner after so many events; gives the pids of its children then."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nbpipeline", "run", "-p", f"letter={letter}", "--format", "json"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    for _, _line in zip(range(after_events), process.stdout, strict=False):
        pass
    children = [one.pid for one in psutil.Process(process.pid).children(recursive=True)]
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()
    return children


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(SEED + 1, SEED + 5))
def test_a_hundred_kills_lose_nothing(root: Path, seed: int) -> None:
    kill_often(root, times=25, seed=seed)


def kill_often(root: Path, *, times: int, seed: int) -> None:
    """Kill a run again and again, look at every output after each time, and end with a whole run."""
    chance = random.Random(seed)
    build(root)
    done = command("run", "-p", "letter=a", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    letter, previous = "b", "a"
    for _ in range(times):
        after = chance.randint(1, 24)
        children = run_until_killed(root, letter, after)
        alive = outlasting([psutil.Process(pid) for pid in children if psutil.pid_exists(pid)], 15)
        assert not alive, f"kernels outlive their killed runner: {alive} (seed {seed})"
        mended = command("doctor", cwd=root)
        assert mended.returncode == 0, mended.stdout + mended.stderr
        states = outputs(root)
        assert None not in states.values(), (after, seed, states)
        assert set(states.values()) <= {previous, letter}, (after, seed, states)
        if chance.random() < 0.3:
            done = command("run", "-p", f"letter={letter}", cwd=root)
            assert done.returncode == 0, done.stdout + done.stderr
            assert set(outputs(root).values()) == {letter}
            letter, previous = chr(ord("b") + (ord(letter) - ord("a")) % 25), letter
    done = command("run", "-p", f"letter={letter}", cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(outputs(root).values()) == {letter}
    stages = json.loads(command("plan", "-p", f"letter={letter}", "--format", "json", cwd=root).stdout)[
        "stages"
    ]
    assert [one["action"] for one in stages] == ["skip"] * len(STAGES)
    left = [
        path
        for path in root.rglob("*")
        if "nbpipeline" in path.name and path.name.startswith(".") and path.name != ".nbpipeline"
    ]
    assert left == [], "no aside stays behind"
