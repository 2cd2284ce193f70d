"""Kill, look, kill again: `python tests/faults/storm.py --seed 1 --kills 500 [--kernels plain]`.

A run of the storm's project is started; at a random moment one of its processes (the runner, a kernel, the
fork server) gets SIGKILL. Then nothing of the run may live on, and with the next command every output is
whole and of a word that was asked for, and nothing lies about. Every so often a run is left to its end,
and must do all that there is to do. The seed gives moments and victims; what the machine makes of them
differs, so a failure is told with all that is known of it, and its folder stays.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from storm_project import STAGES, build, words  # noqa: E402 - as a script, its path is set above

from nbpipeline.content import digest_file  # noqa: E402 - the same

PATIENCE = 15.0
"""Seconds in which all that a dead runner leaves must have ended by itself."""
LONGEST = 120.0
"""Seconds after which a run counts as hanging."""
RUN = re.compile(r"\.nbpipeline-\d{8}-\d{6}-[0-9a-f]{4}\.")
MARK = "NBPIPELINE_TEST_STORM"


class BrokenPromiseError(AssertionError):
    """A promise that was not kept."""


class Storm:
    """One project and what has befallen it."""

    def __init__(self, folder: Path, *, seed: int, kernels: str = "fork") -> None:
        self.root = folder / "project"
        self.seed, self.kernels = seed, kernels
        self.chance = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.history: list[str] = []
        self._number = 0
        self._whole = self._word = self._next_word()
        self._asked = {self._word}
        self._runtime = folder / "runtime"
        self._marks = folder / "marks"
        for one in (self.root, self._runtime, self._marks, folder / "temporary"):
            one.mkdir(mode=0o700)
        self._environment = {
            **os.environ,
            MARK: uuid.uuid4().hex,
            "STORM_MARKS": str(self._marks),
            "XDG_RUNTIME_DIR": str(self._runtime),
            "TMPDIR": str(folder / "temporary"),
        }
        build(self.root, kernels)

    # --- the course of things ----------------------------------------------------------------

    def rage(self, kills: int, *, minutes: float | None = None) -> Counter[str]:
        """Kill so many times, or for so long; gives what was done how often. Raises `BrokenPromiseError`."""
        end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
        self._run_whole()
        while self.counts["kills"] < kills and time.monotonic() < end:
            self._change()
            self._kill()
            turn = self.chance.random()
            if turn < 0.25:  # the next run meets what this one left, and dies on it
                self.counts["killed again before anything was settled"] += 1
            elif turn < 0.5:
                self._doctor()
            else:
                self._run_whole()
        self._run_whole()
        self._plan_is_empty()
        self._store_is_sound()
        return self.counts

    def _change(self) -> None:
        """Ask for another word: mostly a new one, sometimes one that the store remembers, or the same."""
        turn = self.chance.random()
        if turn < 0.7 or self._number < 3:
            self._word = self._next_word()
        elif turn < 0.95:
            self._word = _word_of(self.chance.randrange(self._number))
        self._asked.add(self._word)

    def _next_word(self) -> str:
        self._number += 1
        return _word_of(self._number - 1)

    def _kill(self) -> None:
        """Start a run and kill one of its processes."""
        process = self._start()
        assert process.stdout is not None
        moment = self._await_moment(process.stdout)
        victim, target = self._victim(process)
        before = self._marked()
        if target is None or process.poll() is not None or not _killed(target):
            self.counts["the run or the process had ended before"] += 1
        else:
            self._note(f"kill {victim} {moment}")
            self.counts["kills"] += 1
            self.counts[f"of the {victim}"] += 1
            self.counts[f"moment: {moment}"] += 1
        code, told = self._ended(process)
        self._none_lives(before)
        self._live_outputs_are_whole()
        if victim != "runner" or code >= 0:
            self._survived(code, told)

    def _victim(self, process: "subprocess.Popen[str]") -> tuple[str, psutil.Process | None]:
        wanted = self.chance.choices(("runner", "kernel", "fork server"), (5, 3, 2))[0]
        try:
            runner = psutil.Process(process.pid)
            found = {"kernel": [], "fork server": []}
            for one in runner.children(recursive=True):
                kind = self._kind(one, runner)
                if kind:
                    found[kind].append(one)
        except psutil.Error:
            return "runner", None
        if wanted != "runner" and found[wanted]:
            return wanted, self.chance.choice(found[wanted])
        return "runner", runner

    def _kind(self, process: psutil.Process, runner: psutil.Process) -> str:
        """Tell kernels from fork servers and from what is neither."""
        try:
            line = " ".join(process.cmdline())
            if "ipykernel_launcher" in line:
                return "kernel"
            if "fork_server.py" not in line:
                return ""
            return "fork server" if process.ppid() == runner.pid else "kernel"
        except psutil.Error:
            return ""

    def _await_moment(self, lines: Iterator[str]) -> str:
        """Wait for the moment at which to kill; says which it was."""
        turn = self.chance.random()
        if turn < 0.15:
            time.sleep(self.chance.uniform(0, 0.8))
            return "while it starts"
        if turn < 0.5:
            left = self.chance.randrange(STAGES)
            for line in lines:
                event = json.loads(line)
                if event["kind"] == "cell_finished" and event["data"]["n"] == event["data"]["of"]:
                    left -= 1
                if left < 0:
                    break
            time.sleep(self.chance.uniform(0, 0.08))
            return "after a stage's last cell"
        for _, line in zip(range(self.chance.randint(1, 12 * STAGES)), lines, strict=False):
            event = json.loads(line)
        restoring = event["data"].get("action") == "restore"
        time.sleep(self.chance.uniform(0, 0.01 if restoring else 0.05))
        return "while it restores" if restoring else f"after {event['kind']}"

    # --- commands ----------------------------------------------------------------------------

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "nbpipeline",
                "run",
                "-p",
                f"word={self._word}",
                "--format",
                "json",
                "-j",
                "2",
            ],
            cwd=self.root,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _ended(self, process: "subprocess.Popen[str]") -> tuple[int, str]:
        try:
            output, error = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            raise self._broken(f"the run hangs: process {process.pid}") from None
        return process.returncode, output + error

    def _command(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "nbpipeline", *arguments],
            cwd=self.root,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def _doctor(self) -> None:
        """Let `doctor` settle what the dead left."""
        self._note("doctor")
        code, told = self._command("doctor")
        if code:
            raise self._broken(f"doctor is not content:\n{told}")
        self.counts["settled by doctor"] += 1
        self._outputs_are_whole()
        self._nothing_lies_about()
        self._no_sockets()

    def _run_whole(self) -> None:
        """Let a run go to its end: it must do all that there is to do."""
        self._note(f"whole run for {self._word}")
        process = self._start()
        code, told = self._ended(process)
        if code:
            raise self._broken(f"a run after a kill exits with {code}:\n{told[-4000:]}")
        found = words(self.root)
        if set(found.values()) != {self._word}:
            raise self._broken(f"a whole run for {self._word} left {found}")
        self.counts["whole runs"] += 1
        ends = [line for line in told.splitlines() if '"stage_finished"' in line]
        self.counts["stages restored"] += sum('"status": "restored"' in line for line in ends)
        self.counts["stages run"] += sum('"status": "succeeded"' in line for line in ends)
        self._whole, self._asked = self._word, {self._word}
        self._none_lives(())
        self._nothing_lies_about()
        if '"attempt_started"' in told:  # a run that starts no kernel looks for no sockets of dead ones
            self._no_sockets()

    def _survived(self, code: int, told: str) -> None:
        """Look at a run that lived on: a stage whose kernel was killed has failed, and says so."""
        ends = [json.loads(line) for line in told.splitlines() if '"stage_finished"' in line]
        failures = [one["data"]["failure"]["kind"] for one in ends if one["data"].get("failure")]
        known = {"dead_kernel", "blocked", "cancelled"}
        if code not in (0, 1) or not set(failures) <= known:
            raise self._broken(
                f"a run whose kernel was killed exits with {code}, {failures}:\n{told[-4000:]}"
            )
        self.counts["runs that lived on"] += 1

    # --- promises ----------------------------------------------------------------------------

    def _outputs_are_whole(self) -> None:
        """Nothing is lost, nothing is half, nothing is of a word that nobody asked for since."""
        found = words(self.root)
        # A restored ledger brings along what the second stage had written into it then.
        strange = {
            path: word
            for path, word in found.items()
            if word is None or (word not in self._asked and "ledger_two" not in path)
        }
        if strange:
            raise self._broken(f"lost, half or unasked: {strange}; asked for: {sorted(self._asked)}")
        self.counts["times that every output was looked at"] += 1

    def _live_outputs_are_whole(self) -> None:
        """What is published atomically is whole at any moment, also before the next command."""
        found = {path: word for path, word in words(self.root).items() if "live" in path or "shards" in path}
        if None in found.values():
            raise self._broken(f"an atomic output is half: {found}")

    def _marked(self) -> list[int]:
        """Processes that inherited the storm's mark."""
        wanted = f"{MARK}={self._environment[MARK]}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if wanted in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
                except OSError:
                    continue
        return found

    def _none_lives(self, before: "list[int] | tuple[()]") -> None:
        """No process of the run is there: neither one that was seen nor one that bears the mark."""
        until = time.monotonic() + PATIENCE
        while left := [pid for pid in {*self._marked(), *before} if _is_alive(pid, self._environment[MARK])]:
            if time.monotonic() > until:
                lines = {
                    pid: " ".join(psutil.Process(pid).cmdline()) for pid in left if psutil.pid_exists(pid)
                }
                raise self._broken(f"processes live on: {lines}")
            time.sleep(0.01)

    def _no_sockets(self) -> None:
        folders = sorted(one.name for one in self._runtime.iterdir())
        if folders:
            raise self._broken(f"left in the runtime folder: {folders}")

    def _nothing_lies_about(self) -> None:
        """No aside, no journal, no lock that is held, no half run; the history is sound."""
        state = self.root / ".nbpipeline"
        left = [path for path in self.root.rglob(".*nbpipeline-*") if RUN.match(path.name)]
        left += [*state.glob("journals/*.json"), *state.glob("asides/*"), *state.glob("kept/*")]
        begun = [*state.glob("journals/.*"), *state.glob("locks/.*")]
        left += begun if len(begun) > 2 * STAGES else []  # one a stage may wait until the stage comes again
        if left:
            raise self._broken(f"left behind: {sorted(str(one.relative_to(self.root)) for one in left)}")
        with closing(sqlite3.connect(state / "state.db")) as history:
            verdict = history.execute("PRAGMA quick_check").fetchone()[0]
        if verdict != "ok":
            raise self._broken(f"the history is damaged: {verdict}")
        folders = list((state / "runs").iterdir())
        if len(folders) > 60:
            raise self._broken(f"{len(folders)} folders of runs are kept")

    def _plan_is_empty(self) -> None:
        code, told = self._command("plan", "-p", f"word={self._word}", "--format", "json")
        stale = [one["stage"] for one in json.loads(told)["stages"] if one["action"] != "skip"]
        if code or stale:
            raise self._broken(f"after a whole run, these are stale: {stale}")

    def _store_is_sound(self) -> None:
        objects = list((self.root / ".nbpipeline/store/objects").glob("??/*"))
        wrong = [one.name for one in objects if digest_file(one) != one.name]
        if wrong:
            raise self._broken(f"{len(wrong)} objects of the store are not what their names say: {wrong[:5]}")
        self.counts["objects of the store found sound"] = len(objects)

    # --- telling -----------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.history.append(f"{len(self.history)}: {what} (word {self._word})")

    def _broken(self, what: str) -> BrokenPromiseError:
        last = "\n  ".join(self.history[-6:])
        return BrokenPromiseError(
            f"{what}\nseed {self.seed}, {self.kernels} kernels, {self.root}\nlast:\n  {last}"
        )


def _killed(process: psutil.Process) -> bool:
    """Kill it; False where it has just ended by itself."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        return False
    return True


def _word_of(number: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return "".join(letters[number // 26**place % 26] for place in (3, 2, 1, 0))


def _is_alive(pid: int, mark: str) -> bool:
    """Whether it runs and is still of the storm, not a later process with the number."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == mark
    except psutil.Error:
        return False


def main() -> int:
    """Rage as the command line says; exits 1 at the first promise that was not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--minutes", type=float, help="stop after so long")
    parser.add_argument("--kernels", choices=["fork", "plain"], default="fork")
    given: Any = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    began = time.monotonic()
    storm = Storm(folder, seed=given.seed, kernels=given.kernels)
    try:
        counts = storm.rage(given.kills, minutes=given.minutes)
    except BrokenPromiseError as error:
        print(f"after {storm.counts['kills']} kills: {error}")
        return 1
    shutil.rmtree(folder)
    print(f"seed {given.seed}, {given.kernels} kernels, {time.monotonic() - began:.0f} s; nothing was lost")
    for what, number in sorted(counts.items()):
        print(f"{number:6}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
