"""The same DAG by every runner: cold, again, after one changed line; interleaved, so a drift hits all."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import environments, measure, work
from benchmarks.environments import ROOT, Environment
from benchmarks.results_file import Results, Sample, figures, median
from benchmarks.runners.runner import Runner

PHASES = ("cold", "no-op", "change")
CHANGED = 1000  # plus the round: the changed stage gets a number that it never had before
SLOW = 60.0  # seconds from which a phase is repeated less often
THIS_MACHINE = re.compile(r"^ *(?:Host|User|Platform): .*\n", flags=re.MULTILINE)  # Snakemake's head
TAIL = 2000  # characters of a failed command's output that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How often each phase is measured, and how often where one time takes more than a minute."""

    phases: Mapping[str, int]
    slow: int

    def of(self, phase: str, results: Results, runner: Runner) -> int:
        """Say how often, as far as is known by now.

        A runner that never skips does the work of `cold` in every phase, so when slow it does others once.
        """
        takes = median(results.of(runner.name, phase), "wall") or 0.0
        if takes <= SLOW:
            return self.phases[phase]
        return min(self.phases[phase], self.slow if runner.incremental or phase == "cold" else 1)


@dataclass(slots=True)
class Bench:
    """A runner with its environment and its project."""

    runner: Runner
    environment: Environment
    folder: Path
    dag: work.Dag
    now: work.Dag = ()  # as the project is now; nothing when it has not been built

    @property
    def project(self) -> Path:
        """Where its project is."""
        return self.folder / "project"

    @property
    def trace(self) -> Path:
        """Where stages say that they ran; not in the project."""
        return self.folder / "trace"

    def variables(self) -> dict[str, str]:
        """Give the environment variables of its commands."""
        more = {work.TRACE: str(self.trace), **self.runner.variables}
        return self.environment.variables(**more)

    def fresh(self, dag: work.Dag | None = None) -> None:
        """Make a new project in which nothing has run."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.project.mkdir(parents=True)
        self.now = dag or self.dag
        self.runner.write(self.project, self.now)
        for command in self.runner.prepare:
            self.call(command)

    def call(
        self, command: Sequence[str], more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that is not measured."""
        return subprocess.run(
            located(command, self.environment),
            cwd=self.project,
            env=self.variables() | dict(more or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def edit(self, step: int) -> None:
        """Change one line of the stage in the middle."""
        name = work.middle(self.now)
        stage = next(one for one in self.now if one.name == name)
        work.edit(self.project, stage, step)
        self.now = work.changed(self.now, name, step)

    def stale(self, phase: str) -> set[str]:
        """Name the stages that have to run, and no others."""
        if phase == "cold":
            return {stage.name for stage in self.now}
        return work.downstream(self.now, work.middle(self.now)) if phase == "change" else set()

    def measured(self, phase: str, number: int) -> Sample:
        """Run the command once, and look at what it left."""
        self.trace.write_text("", encoding="utf-8")
        log = self.folder / f"{phase}.log"
        command = located(self.runner.command, self.environment)
        took = measure.run(command, cwd=self.project, env=self.variables(), log=log)
        ran = tuple(self.trace.read_text(encoding="utf-8").split())
        status, complaint = judge(took.code, log, work.wrong(self.project, self.now))
        return Sample(
            runner=self.runner.name,
            phase=phase,
            number=number,
            status=status,
            **figures(took),
            ran=ran,
            exact=sorted(ran) == sorted(self.stale(phase)),
            complaint=self.tidy(complaint),
        )

    def tidy(self, text: str) -> str:
        """Give what a command printed without the paths of this machine."""
        return tidy(text, (self.project, "PROJECT"), (self.environment.folder, "ENVIRONMENT"))


def located(command: Sequence[str], environment: Environment) -> list[str]:
    """Name the program by its path where it is the environment's own."""
    own = environment.bin / command[0]
    return [str(own) if own.exists() else command[0], *command[1:]]


def tidy(text: str, *places: tuple[Path, str]) -> str:
    """Give what a command printed without paths and names of this machine."""
    for folder, name in (*places, (ROOT, "CHECKOUT"), (Path.home(), "HOME")):
        text = text.replace(str(folder), name)
    return THIS_MACHINE.sub("", text)


def judge(code: int, log: Path, wrong: Sequence[str]) -> tuple[str, str]:
    """Say what a command is worth: its exit code first, then the bytes that it left."""
    if code != 0:
        return "failed", f"exit code {code}\n{log.read_text(encoding='utf-8', errors='replace')[-TAIL:]}"
    if wrong:
        return "wrong", f"not what they have to be: {', '.join(wrong)}"
    return "right", ""


def tell(sample: Sample, ran: str | None = None) -> None:
    """Print a line of progress."""
    figures = f"{sample.wall:7.2f} s  {sample.cpu:7.2f} s CPU  {sample.pss / 2**20:6.0f} MB"
    if ran is None:
        ran = f"{len(sample.ran)} ran" + ("" if sample.exact else " (not the stale ones)")
    print(f"  {sample.runner:24} {sample.phase:7} {figures}  {sample.status}, {ran}", flush=True)
    if sample.complaint:
        print("    " + sample.complaint.replace("\n", "\n    "), flush=True)


def offered(runner: Runner, environment: Environment) -> bool:
    """Say whether this version has the variant."""
    if not runner.needs:
        return True
    command = [*located(runner.command, environment)[:2], "--help"]
    done = subprocess.run(command, env=environment.variables(), capture_output=True, text=True, check=False)
    return runner.needs in done.stdout


@dataclass(slots=True)
class Comparison:
    """Everything that the comparison of runners is made of."""

    results: Results
    repeats: Repeats
    dag: work.Dag
    scratch: Path
    benches: list[Bench] = field(default_factory=list)

    def enter(self, runner: Runner, environment: Environment) -> None:
        """Take a runner in, once it has run a tiny DAG: programs and libraries are in the page cache then."""
        if not offered(runner, environment):
            print(f"  {runner.name}: left out, this version has no {runner.needs}", flush=True)
            return
        folder = self.scratch / runner.name.replace(" ", "-")
        bench = Bench(runner=runner, environment=environment, folder=folder, dag=self.dag)
        self.results.versions[runner.name] = environment.versions().get(runner.distribution, "unknown")
        self.benches.append(bench)
        bench.fresh(work.generate(layers=2, width=1))
        tell(bench.measured("cold", 0))

    def rounds(self) -> None:
        """Measure round after round; each begins with another runner."""
        for number in range(1, max(self.repeats.phases.values()) + 1):
            print(f"round {number}", flush=True)
            start = (number - 1) % len(self.benches) if self.benches else 0
            for bench in (*self.benches[start:], *self.benches[:start]):
                self.turn(bench, number)
            print(f"about {self.left(number) / 60:.0f} minutes to go", flush=True)

    def left(self, done: int) -> float:
        """Estimate the seconds of the rounds that are still to come."""
        return sum(
            (median(self.results.of(bench.runner.name, phase), "wall") or 0.0)
            * max(0, self.repeats.of(phase, self.results, bench.runner) - done)
            for bench in self.benches
            for phase in PHASES
        )

    def turn(self, bench: Bench, number: int) -> None:
        """Measure a runner's phases of one round, as far as they are wanted and not there yet."""
        phases = [
            phase
            for phase in PHASES
            if number <= self.repeats.of(phase, self.results, bench.runner)
            and not self.results.has(bench.runner.name, phase, number)
        ]
        if phases and not self.ready(bench, phases[0]):
            return
        for phase in phases:
            if phase == "change":
                bench.edit(CHANGED + number)
            sample = bench.measured(phase, number)
            self.results.add(sample)
            tell(sample)
            if sample.status != "right":
                bench.now = ()
                return

    def ready(self, bench: Bench, phase: str) -> bool:
        """Make the project that a phase begins from: nothing run, or (unmeasured) all of it."""
        if phase == "cold":
            bench.fresh()
            return True
        if bench.now != () and len(bench.now) == len(self.dag):
            return True
        bench.fresh()
        print(f"  {bench.runner.name}: builds its project again, not measured", flush=True)
        return bench.call(bench.runner.command).returncode == 0


def prepare(runners: Sequence[Runner], cache: Path) -> dict[str, Environment | str]:
    """Make the environments that the runners need; where that fails, what was said."""
    made: dict[str, Environment | str] = {}
    for name in dict.fromkeys(runner.environment for runner in runners):
        make = environments.prepare_ours if name == "nbpipeline" else environments.prepare
        try:
            made[name] = make(name, cache)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            made[name] = tidy(str(error), (cache, "CACHE"))[-TAIL:]
    return made


def compare(runners: Sequence[Runner], comparison: Comparison, cache: Path) -> None:
    """Install, warm up and measure; a runner that cannot be installed is on record as failed."""
    made = prepare(runners, cache)
    print("once each, on three stages, not counted", flush=True)
    for runner in runners:
        environment = made[runner.environment]
        if isinstance(environment, Environment):
            comparison.enter(runner, environment)
            continue
        sample = Sample(runner=runner.name, phase="cold", number=1, status="failed", complaint=environment)
        comparison.results.add(sample)
        tell(sample)
    comparison.rounds()
