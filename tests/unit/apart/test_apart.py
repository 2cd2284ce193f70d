"""A stage on another machine without one: what is shipped, laid out, brought back, and asked before."""

import errno
import os
import pickle
import shutil
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import code, header, write_files, write_notebook

import nbpipeline
from nbpipeline.apart import desk, shipping, withheld
from nbpipeline.apart.desk import Coming, FarWork, Seat
from nbpipeline.apart.executor import Joined, ShippingExecutor
from nbpipeline.apart.roots import Around
from nbpipeline.apart.supply import supply_of
from nbpipeline.apart.survey import Survey, refuse_other, wanted
from nbpipeline.api.executing import _probe, settled
from nbpipeline.errors import ExecutorError, UsageError
from nbpipeline.executors.local import LocalExecutor
from nbpipeline.fingerprint import interpreter
from nbpipeline.model import Imported, Job, StageInstance, StageResult, Status, StoredOutput
from nbpipeline.ports import Emit, Store
from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.options import RunOptions
from nbpipeline.stage import restore
from nbpipeline.stage.environment import kernel_environment
from nbpipeline.stores.local import LocalStore
from nbpipeline.worker import Workplace

RUN = "20260101-000000-0000"


def project(root: Path, **more: str) -> nbpipeline.Project:
    write_files(
        root,
        {"pipeline.yaml": "name: apart\n", "raw.txt": "5\n", "notebooks/rules.py": "FACTOR = 3\n", **more},
    )
    write_notebook(
        root / "notebooks/make.ipynb",
        header("inputs: {raw: ../raw.txt}\noutputs: {made: ../out/made.txt}\nenv: [TZ]"),
        code(
            "import os, rules\nfrom pathlib import Path\n"
            "Path(made).write_text(f'{int(Path(raw).read_text()) * rules.FACTOR} {os.environ.get(\"TZ\")}')"
        ),
    )
    return nbpipeline.Project(root)


def nowhere(instance: StageInstance) -> tuple[str, ...]:
    return ()


class Away(LocalExecutor):
    """Another machine that is this process: work and job cross as bytes, and the root is its own."""

    def __init__(self, work: FarWork, home: Path, there: Callable[[], None]) -> None:
        def far(job, emit, cancel):
            there()
            crossed, packed = pickle.loads(pickle.dumps((work, job)))  # noqa: S301 - our own bytes
            return crossed(replace(packed, root=str(home)), emit, cancel)

        super().__init__(far, slots=2)

    def ask(self, question):
        return {"away": question("nowhere")}


def job_of(one: nbpipeline.Project, root: Path) -> Job:
    step = one.plan().steps[0]
    folder = root / ".nbpipeline/runs" / RUN / step.instance.slug
    return Job(
        root=str(root), run=RUN, folder=str(folder), instance=step.instance, fingerprint=step.fingerprint
    )


def work_of(one: nbpipeline.Project, store: Store, **more: Any) -> FarWork:
    survey = more.pop("survey", None) or Survey(supply=supply_of(one.spec), probe=_probe(store))
    return FarWork(run=RUN, project=replace(one.spec, root="", stages=()), survey=survey, **more)


def run_away(
    one: nbpipeline.Project,
    root: Path,
    home: Path,
    job: Job,
    there: Callable[[], None] = lambda: None,
    joined: Joined = lambda job, emit, cancel: job,
    heard: Emit = lambda event: None,
    trackers: tuple[str, ...] = (),
    **more: Any,
) -> StageResult:
    spec = one.spec
    with Workplace(spec, "plain") as place:
        work = work_of(one, place.store, kernels="plain", **more)
        around = Around(spec.root, place.fingerprinter.roots, lambda instance: ())
        shipper = shipping.Shipper(spec, place.store, place.digests, around.inside)
        settle = lambda job, record, cancel: restore(job, record, place.backends(), cancel)  # noqa: E731
        told = ["the store is told of"]
        inner = Away(work, home, there)
        with ShippingExecutor(inner, shipper, settle, joined, trackers=trackers, told_once=told) as executor:
            return executor.submit(job, heard).result(120)


def test_a_stage_that_ran_in_another_folder_leaves_what_a_run_here_leaves(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    one = project(root)
    job = job_of(one, root)
    result = run_away(one, root, tmp_path / "home", job)
    assert result.status is Status.SUCCEEDED, result.failure
    assert type(result) is StageResult
    assert (root / "out/made.txt").read_text() == "15 Asia/Tokyo"
    assert {path.name for path in Path(job.folder).iterdir()} >= {"attempt-1.ipynb", "log", "context.json"}
    assert str(one.plan().steps[0].action) == "skip"
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and "state.db" not in path.name]
    assert left == []


def test_a_variable_that_counts_is_the_one_of_the_plan(root, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    one = project(root)
    away = lambda: monkeypatch.setenv("TZ", "UTC")  # noqa: E731
    result = run_away(one, root, tmp_path / "home", job_of(one, root), there=away)
    assert result.status is Status.SUCCEEDED, result.notices
    assert (root / "out/made.txt").read_text() == "15 Asia/Tokyo"


def test_a_job_that_had_ended_when_its_worker_was_lost_is_not_done_again(root, tmp_path):
    one = project(root)
    job = job_of(one, root)
    first = run_away(one, root, tmp_path / "home", job)
    again = run_away(one, root, tmp_path / "other", job)
    assert again.record == first.record
    assert "just after it had finished" in again.notices[0]
    other = replace(job, run="20260101-000000-0001")  # the control: another run does it
    assert run_away(one, root, tmp_path / "third", other).notices == first.notices


def test_an_edit_between_plan_and_work_is_a_failure_and_nothing_is_brought(root, tmp_path):
    one = project(root)
    job = job_of(one, root)
    (root / "notebooks/rules.py").write_text("FACTOR = 4\n")
    result = run_away(one, root, tmp_path / "home", job)
    assert result.status is Status.FAILED
    assert result.failure is not None
    assert "changed after the plan was made" in result.failure.what
    assert not (root / "out/made.txt").exists()


def test_a_failure_brings_its_notebook_and_leaves_what_stood_there(root, tmp_path):
    one = project(root)
    write_files(root, {"raw.txt": "no number", "out/made.txt": "before"})
    job = job_of(one, root)
    result = run_away(one, root, tmp_path / "home", job)
    assert result.status is Status.FAILED
    assert "ValueError" in (Path(job.folder) / "attempt-1.ipynb").read_text()
    assert (root / "out/made.txt").read_text() == "before"


def only(root: Path, head: str, source: str, **files: str) -> nbpipeline.Project:
    write_files(root, {"pipeline.yaml": "name: apart\n", **files})
    write_notebook(root / "notebooks/one.ipynb", header(head), code(source))
    return nbpipeline.Project(root)


def test_a_file_that_is_updated_is_there_though_no_stage_made_it(root, tmp_path):
    one = only(
        root,
        "outputs: {log: {path: ../log.txt, mode: update}}",
        "open(log, 'a').write('b\\n')",
        **{"log.txt": "a by hand\n"},
    )
    result = run_away(one, root, tmp_path / "home", job_of(one, root))
    assert result.status is Status.SUCCEEDED, result.failure
    assert (root / "log.txt").read_text() == "a by hand\nb\n"


def test_what_is_shipped_for_two_reasons_is_laid_out_once(root, tmp_path):
    one = only(
        root,
        "inputs: {cfg: ../pipeline.yaml, rules: rules.py, all: {path: ../data/, kind: directory}, x: ../data/in/x.csv}"
        "\noutputs: {o: ../o.txt}",
        "import os, rules\nopen(o, 'w').write(open(x).read() + str(sorted(os.listdir(all))) + str(rules.FACTOR))",
        **{"notebooks/rules.py": "FACTOR = 3\n", "data/in/x.csv": "x", "data/y.csv": "y"},
    )
    for name in ("home", "home"):  # the second time folders stand there already
        job = replace(job_of(one, root), run=f"20260101-000000-{len(name):04d}")
        result = run_away(one, root, tmp_path / name, job)
        assert result.status is Status.SUCCEEDED, result.failure
    assert (root / "o.txt").read_text() == "x['in', 'y.csv']3"


def test_a_secret_that_counts_stays_here(root, monkeypatch):
    monkeypatch.setenv("TOKEN", "a-secret-of-some-length")
    monkeypatch.setenv("TZ", "UTC")
    one = only(root, "outputs: {o: ../o.txt}\nsecrets: [TOKEN]\nenv: [TOKEN, TZ]", "1")
    with Workplace(one.spec, "plain") as place:
        packed = shipping.Shipper(one.spec, place.store, place.digests, nowhere).packed(job_of(one, root))
    assert packed.environment == {"TZ": "UTC"}
    assert b"a-secret-of-some-length" not in pickle.dumps(packed)


def test_what_pipeline_yaml_says_is_in_no_store_that_others_read(root):
    said = (
        "name: apart\nstore: {options: {secret: hush-1}}\n"
        "tracking: {mlflow: {uri: 'http://ann:hush-2@mlflow:5000'}}\n"
    )
    one = project(root, **{"pipeline.yaml": said})
    with Workplace(one.spec, "plain") as place:
        packed = shipping.Shipper(one.spec, place.store, place.digests, nowhere).packed(job_of(one, root))
        assert {each.path for each in packed.files} == {"raw.txt", "notebooks/rules.py"}
        kept = [path.read_bytes() for path in (root / ".nbpipeline/store").rglob("*") if path.is_file()]
    assert b"5\n" in kept
    assert not [data for data in kept if b"hush" in data]


def test_no_two_seats_have_a_folder_in_common(root, tmp_path):
    one = project(root)
    work = work_of(one, LocalStore(root / "store"))
    assert Seat(work, tmp_path, 1).base != Seat(work, tmp_path, 1).base


def test_papers_over_the_limit_stay_behind_and_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "MOST", 50_000)
    write_files(tmp_path / "a", {"log": "short", "rejected-1/big.csv": "x" * 60_000})
    papers, left = shipping.collected(tmp_path / "a")
    shipping.laid_out(papers, tmp_path / "b")
    assert left == ("rejected-1/big.csv",)
    assert [path.name for path in (tmp_path / "b").rglob("*")] == ["log"]


def test_what_could_not_come_back_is_refused(root):
    one = project(root)
    instance = one.pipeline.instances["make"]
    (output,) = instance.outputs
    assert list(shipping.refusals(instance)) == []
    unkept = replace(output, spec=replace(output.spec, store=False))
    outside = replace(output, paths=("/mnt/made.txt",))
    assert "store: false" in next(shipping.refusals(replace(instance, outputs=(unkept,))))
    assert "outside the project: /mnt/made.txt" in next(
        shipping.refusals(replace(instance, outputs=(outside,)))
    )


def test_a_worker_is_asked_for_packages_python_secrets_and_the_store(root, tmp_path, monkeypatch):
    one = project(root)
    step = one.plan().steps[0]
    supply = supply_of(one.spec)
    probe = StoredOutput(path="probe", digest="0" * 32)
    survey = Survey(supply=supply, probe=probe, kernels=wanted([step]), secrets=("NO_SUCH_SECRET",))
    crossed = pickle.loads(pickle.dumps(survey))  # noqa: S301 - our own bytes
    told = [one.what for one in crossed.asked(str(tmp_path))]
    assert told[0] == "secret NO_SUCH_SECRET is not in its environment"
    assert told[1].startswith("the store at ")
    assert len(told) == 2
    counted = step.fingerprint.environment
    assert refuse_other(step.instance, counted) == ()
    (packages,) = refuse_other(step.instance, {**counted, "click": "0.1", "nosuchlib": "1"})
    assert "instead of 0.1" in packages.what
    assert "no nosuchlib" in packages.what
    assert int(packages.exit_code) == 5
    (python,) = refuse_other(step.instance, {"python": "3.1"})
    assert int(python.exit_code) == 2
    absent = replace(step.instance, spec=replace(step.instance.spec, kernel="nosuchkernel"))
    assert "kernel 'nosuchkernel' is not installed" in refuse_other(absent, {})[0].what


def test_settings_come_from_the_command_line_then_from_pipeline_yaml(root):
    one = project(root, **{"pipeline.yaml": 'executor: {name: dask, address: "tcp://far:1"}\n'})
    found = settled(RunOptions(), one.spec, push=True)
    assert (found.executor, found.address, found.elsewhere) == ("dask", "tcp://far:1", True)
    assert settled(RunOptions(executor="local"), one.spec, push=True).elsewhere is False
    assert settled(RunOptions(address="tcp://near:1"), one.spec, push=True).address == "tcp://near:1"
    with pytest.raises(UsageError, match="keep"):
        settled(RunOptions(on_failure="keep"), one.spec, push=True)
    with pytest.raises(UsageError, match="name the executor"):
        settled(RunOptions(address="tcp://far:1"), project(root).spec, push=True)


def test_kernels_that_wait_keep_the_folder_that_they_wait_in(root, tmp_path):
    one = project(root)
    (step,) = one.plan().steps
    spec = replace(step.instance.spec, notebook=replace(step.instance.spec.notebook, cells=()))
    job = job_of(one, root)
    with Workplace(one.spec, "plain") as place:
        work = work_of(one, place.store, coming=(Coming(spec=spec, imports=()),) * 2)
        packed = shipping.Shipper(one.spec, place.store, place.digests, nowhere).packed(job)
    there = replace(packed, root=str(tmp_path / "home"))
    assert work(there, lambda event: None, CancelSwitch()).status is Status.SUCCEEDED
    (folder,) = (tmp_path / "home").glob("seats/*/apart/notebooks")
    inode = folder.stat().st_ino
    assert (
        work(replace(there, run="20260101-000000-0009"), lambda event: None, CancelSwitch()).status
        is Status.SUCCEEDED
    )
    assert folder.stat().st_ino == inode
    assert list(folder.iterdir()) == []


# --- what this machine's environment knows of import paths ----------------------------------------


def shop(root: Path) -> nbpipeline.Project:
    return only(
        root,
        "outputs: {o: ../o.txt}",
        "from shop.rules import FACTOR\nopen(o, 'w').write(str(FACTOR))",
        **{"src/shop/__init__.py": "", "src/shop/rules.py": "FACTOR = 7\n"},
    )


def test_a_folder_of_the_project_on_the_import_path_goes_along(root, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root / "src"))
    one = shop(root)
    job = job_of(one, root)
    assert set(job.fingerprint.modules) == {"src/shop/__init__.py", "src/shop/rules.py"}
    result = run_away(one, root, tmp_path / "home", job, there=lambda: monkeypatch.delenv("PYTHONPATH"))
    assert result.status is Status.SUCCEEDED, result.failure
    assert (root / "o.txt").read_text() == "7"


def test_a_python_path_that_counts_comes_after_the_projects_folders(root, tmp_path, monkeypatch):
    said = f"{root / 'src'}{os.pathsep}/near/lib"
    monkeypatch.setenv("PYTHONPATH", said)
    one = shop(root)
    write_notebook(
        root / "notebooks/one.ipynb",
        header("outputs: {o: ../o.txt}\nenv: [PYTHONPATH]"),
        code("from shop.rules import FACTOR\nopen(o, 'w').write(str(FACTOR))"),
    )
    with Workplace(one.spec, "plain") as place:
        around = Around(one.spec.root, place.fingerprinter.roots, lambda instance: ())
        packed = shipping.Shipper(one.spec, place.store, place.digests, around.inside).packed(
            job_of(one, root)
        )
    assert packed.environment == {"PYTHONPATH": said}
    there = replace(packed, root=str(tmp_path / "home"))
    variables = kernel_environment(there, "token", tmp_path / "context.json", {"PYTHONPATH": "/far"})
    assert variables["PYTHONPATH"] == os.pathsep.join([str(tmp_path / "home/src"), said])


def test_a_worker_is_asked_for_modules_from_outside_the_project(root, tmp_path, monkeypatch):
    write_files(tmp_path / "lib", {"strange.py": "", "pack/__init__.py": "", "space/deep/one.py": ""})
    one = only(root, "outputs: {o: ../o.txt}", "import strange, pack, json\nopen(o, 'w').write('1')")
    step = one.plan().steps[0]
    imports = (Imported("strange"), Imported("pack.sub"), Imported("space.deep.one"), Imported("json"))
    folders = (str(root / "src"), str(tmp_path / "lib"))
    around = Around(str(root), lambda instance: folders, lambda instance: imports)
    assert around.inside(step.instance) == ("src",)
    lib = str(tmp_path / "lib")
    assert around.outside(step.instance) == {"strange": lib, "pack": lib, "space": lib}
    store = LocalStore(root / ".nbpipeline/store")
    survey = Survey(supply=supply_of(one.spec), probe=_probe(store), kernels=wanted([step], around.outside))
    first, space, second = survey.asked(str(tmp_path))
    assert first.what == f"it has no module 'pack', which comes from {lib} and so from outside the project"
    assert "'space'" in space.what
    assert "'strange'" in second.what
    assert int(first.exit_code) == 5
    monkeypatch.setenv("PYTHONPATH", lib)  # the control: a worker that has them
    assert survey.asked(str(tmp_path)) == ()


# --- late workers, seats, what stays here ---------------------------------------------------------


def test_a_worker_that_nobody_asked_asks_itself_before_its_first_job(root, tmp_path):
    one = project(root)
    job = job_of(one, root)
    lacking = Survey(
        supply=supply_of(one.spec), probe=StoredOutput(path="probe", digest="0" * 32), secrets=("NO_SUCH",)
    )
    with pytest.raises(ExecutorError) as caught:
        run_away(one, root, tmp_path / "home", job, survey=lacking)
    assert [each.what.partition(" at ")[0] for each in caught.value.complaints] == [
        "secret NO_SUCH is not in its environment",
        "the store",
    ]
    assert not (root / "out/made.txt").exists()


def test_a_worker_reads_what_is_installed_once(root, tmp_path, monkeypatch):
    one = project(root)
    step = one.plan().steps[0]
    read = []
    scan = interpreter.scan
    monkeypatch.setattr(interpreter, "scan", lambda site: read.append(site) or scan(site))
    counted = {**step.fingerprint.environment, "click": "0.1"}
    for _ in range(3):
        assert refuse_other(step.instance, counted)
    assert len(read) == len(set(read))


def test_a_seat_that_cannot_be_cleared_is_not_taken_again(root, tmp_path, monkeypatch):
    one = only(
        root,
        "outputs: {o: ../o.txt}",
        "import pathlib\npathlib.Path('left').mkdir()\nopen(o, 'w').write('1')",
    )
    remove = shutil.rmtree

    def stuck(path, *given, **named):
        if Path(path).name == "notebooks":
            raise OSError(errno.EBUSY, "a process is in it", str(path))
        remove(path, *given, **named)

    with Workplace(one.spec, "plain") as place:
        work = work_of(one, place.store, kernels="plain")
        packed = shipping.Shipper(one.spec, place.store, place.digests, nowhere).packed(job_of(one, root))
    packed = replace(packed, root=str(tmp_path / "home"))
    again = replace(packed, run="20260101-000000-0009")
    monkeypatch.setattr(desk.shutil, "rmtree", stuck)
    first = work(packed, lambda event: None, CancelSwitch())
    assert first.status is Status.SUCCEEDED
    assert "could not be cleared; it is not used again" in first.notices[-1]
    monkeypatch.setattr(desk.shutil, "rmtree", remove)
    second = work(again, lambda event: None, CancelSwitch())
    assert second.status is Status.SUCCEEDED, second.failure
    assert second.notices == ()


@pytest.fixture
def kept_out(monkeypatch):
    """Refuses as the system does where one is not its administrator: by the modes of folders."""

    def held(act, wanted, *, inside):
        def acting(path, *given, dir_fd=None, **named):
            folder = (dir_fd if dir_fd is not None else Path(path).parent) if inside else path
            state = os.stat(folder) if inside else os.stat(path, dir_fd=dir_fd)  # noqa: PTH116 - by number
            if stat.S_ISDIR(state.st_mode) and state.st_mode & wanted != wanted:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return act(path, *given, dir_fd=dir_fd, **named)

        return acting

    monkeypatch.setattr(os, "open", held(os.open, 0o400, inside=False))
    monkeypatch.setattr(os, "unlink", held(os.unlink, 0o300, inside=True))
    monkeypatch.setattr(os, "rmdir", held(os.rmdir, 0o300, inside=True))


@pytest.mark.parametrize(
    "modes",
    [
        {"clone/objects/ab/blob": 0o400, "clone/objects/ab": 0o500, "clone": 0o500},
        {"clone/objects/ab/blob": 0o400, "clone/objects/ab": 0o500, "clone/objects": 0o000},
        {"clone/objects/ab": 0o000, "clone": 0o000},
    ],
)
def test_what_a_notebook_made_read_only_is_cleared(tmp_path, kept_out, modes):
    folder = tmp_path / "all"
    write_files(folder, {"clone/objects/ab/blob": "x"})
    for name, mode in modes.items():
        (folder / name).chmod(mode)
    desk._empty(folder, ())
    assert list(folder.iterdir()) == []


def test_what_cannot_be_removed_for_another_reason_is_told(tmp_path, monkeypatch):
    write_files(tmp_path, {"clone/blob": "x"})

    def busy(path, **named):
        raise OSError(errno.EBUSY, "a process is in it", str(path))

    monkeypatch.setattr(os, "unlink", busy)
    with pytest.raises(OSError, match="a process is in it"):
        desk._empty(tmp_path, ())


def test_what_a_notebook_logs_itself_stays_with_its_papers_where_nobody_is_told(root, tmp_path):
    one = only(
        root,
        "outputs: {o: ../o.txt}",
        "import os\nopen(o, 'w').write(os.environ.get('MLFLOW_TRACKING_URI', 'none'))",
    )
    job = replace(job_of(one, root), imports=(Imported("mlflow"),))
    assert run_away(one, root, tmp_path / "home", job, untracked=("mlflow",)).status is Status.SUCCEEDED
    told = (root / "o.txt").read_text()
    assert told.startswith((tmp_path / "home").as_uri())
    assert told.endswith("/one/untracked/mlflow")


def test_what_a_notebook_logs_by_files_comes_to_where_the_tracker_has_it(root, tmp_path):
    one = only(
        root,
        "outputs: {o: ../o.txt}",
        "import os, pathlib\nwb = pathlib.Path(os.environ['WANDB_DIR'])\n"
        "assert pathlib.Path(os.environ['WANDB_DATA_DIR']) == wb / 'wandb'\n"
        "(wb / 'wandb/offline-1').mkdir()\n(wb / 'wandb/offline-1/a.wandb').write_text('logged')\n"
        "(wb / 'stray.txt').write_text('of no tracker')\n"
        "open(o, 'w').write(os.environ['MLFLOW_TRACKING_URI'] + ' ' + str('MLFLOW_RUN_ID' in os.environ))",
    )
    variables = {
        "WANDB_DIR": str(root),
        "WANDB_DATA_DIR": str(root / "wandb"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
        "MLFLOW_RUN_ID": "7",
    }

    def joined(job, emit, cancel):
        return replace(job, environment=variables, unwatched=(f"{root / 'wandb'}/",))

    heard = []
    job = replace(job_of(one, root), imports=(Imported("mlflow"), Imported("wandb")))
    result = run_away(
        one, root, tmp_path / "home", job, joined=joined, heard=heard.append, trackers=("mlflow", "wandb")
    )
    assert result.status is Status.SUCCEEDED, result.failure
    assert (root / "wandb/offline-1/a.wandb").read_text() == "logged"
    assert not (root / "stray.txt").exists()
    assert (Path(job.folder) / "logged/stray.txt").exists()
    uri, has_run = (root / "o.txt").read_text().split()
    assert uri.startswith((tmp_path / "home").as_uri())
    assert has_run == "False"
    told = [event.data["text"] for event in heard if event.kind == "notice"]
    assert told == [
        "the store is told of",
        "mlflow is a file of this machine: what the notebook logs comes back in untracked/",
    ]


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("SSEKMSKeyId", False),
        ("SSECustomerKey", True),
        ("max_pool_connections", False),
        ("requester_pays", False),
        ("aws_access_key_id", True),
        ("connection_string", True),
        ("sas_token", True),
        ("password", True),
        ("accountKey", True),
        ("keepalive", False),
    ],
)
def test_an_option_is_withheld_by_the_words_of_its_name(name, holds):
    assert withheld.holds_secret(name) is holds
    assert withheld.bare_options({"client_kwargs": {name: 5}}) == {
        "client_kwargs": {} if holds else {name: 5}
    }


def test_passwords_stay_here_and_come_from_the_workers_environment(root, tmp_path, monkeypatch):
    one = only(
        root,
        "outputs: {o: ../o.txt}",
        "import os\nopen(o, 'w').write(os.environ['MLFLOW_TRACKING_URI'])",
        **{
            "pipeline.yaml": (
                "store: {path: 'sftp://ann:hush-1@host/x', endpoint: 'https://ann:hush-2@host',"
                " options: {key: hush-3, account_name: team, client_kwargs: {aws_secret: hush-4, region: eu}}}\n"
            )
        },
    )
    supply = supply_of(one.spec)
    assert supply.path == "sftp://ann@host/x"
    assert supply.settings == {
        "endpoint": "https://host",
        "options": {"account_name": "team", "client_kwargs": {"region": "eu"}},
    }
    assert supply.withheld == ("password", "endpoint", "options.key", "options.client_kwargs.aws_secret")
    assert supply.told_once == (f"the store at sftp://host/x{supply.told_withheld}",)
    assert supply.told_withheld == (
        ": password, endpoint, options.key, options.client_kwargs.aws_secret of pipeline.yaml does not travel, "
        "FSSPEC_SFTP_PASSWORD, FSSPEC_SFTP_KEY there stands for it"
    )
    (root / "pipeline.yaml").write_text("name: apart\n")
    one = nbpipeline.Project(root)
    tracked = {"MLFLOW_TRACKING_URI": "http://ann:hush-5@mlflow:5000/x", "WANDB_API_KEY": "hush-6", "A": "1"}
    job = replace(job_of(one, root), environment=tracked)
    with Workplace(one.spec, "plain") as place:
        packed = shipping.Shipper(one.spec, place.store, place.digests, nowhere).packed(job)
        work = work_of(
            one, place.store, kernels="plain", survey=Survey(supply=supply, probe=_probe(place.store))
        )
    assert packed.environment == {"MLFLOW_TRACKING_URI": "http://mlflow:5000/x", "A": "1"}
    assert b"hush" not in pickle.dumps((work, packed))
    assert withheld.completed(packed.environment) == packed.environment
    mlflow, wandb = withheld.told(tracked)
    assert mlflow.startswith("MLFLOW_TRACKING_URI travels without user and password")
    assert wandb == "WANDB_API_KEY does not travel: start workers with it"
    assert "hush" not in mlflow + wandb
    assert list(withheld.told(packed.environment)) == []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:there@elsewhere:5000/x")
    assert withheld.completed(packed.environment) == packed.environment
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://bob:there@mlflow:5000/x")
    assert withheld.completed(packed.environment)["MLFLOW_TRACKING_URI"] == "http://bob:there@mlflow:5000/x"
