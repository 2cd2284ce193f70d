"""A team shares a store on S3: what one has run, another restores; a store that fails fails no run."""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from buckets import KEYS, Bucket
from builders import code, command, header, write_files, write_notebook

pytestmark = pytest.mark.children


class Member:
    """Somebody of the team: a clone, a home and an environment of their own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone"
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        self.environment = {"HOME": str(self.home), **KEYS}

    def does(
        self, *arguments: str, good: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = command(*arguments, cwd=self.root, environment={**self.environment, **environment})
        assert not good or done.returncode == 0, done.stdout + done.stderr
        return done

    def actions(self, *arguments: str) -> dict[str, str]:
        plan = json.loads(self.does("plan", "--format", "json", *arguments).stdout)
        return {one["stage"]: one["action"] for one in plan["stages"]}

    def statuses(self, *arguments: str) -> dict[str, str]:
        events = map(json.loads, self.does("run", "--format", "json", *arguments).stdout.splitlines())
        return {one["stage"]: one["data"]["status"] for one in events if one["kind"] == "stage_finished"}


def build(root: Path, store: str) -> None:
    write_files(
        root,
        {
            "pipeline.yaml": f"name: team\nstore: {store}\n",
            "data/raw.txt": "1\n2\n3\n",
            ".gitignore": "out/\n",
        },
    )
    write_notebook(
        root / "notebooks" / "a_total.ipynb",
        header("params: {factor: {default: 1, type: int}}"),
        code("factor: int = 1", "parameters"),
        code('raw = "../data/raw.txt"', "inputs"),
        code('total = "../out/total.txt"\nparts = "../out/parts/"', "outputs"),
        code("n = factor * sum(int(line) for line in open(raw))\nopen(total, 'w').write(str(n))"),
        code("for k in range(3):\n    open(f'{parts}{k}.txt', 'w').write(f'part {k}: {n}')"),
    )
    write_notebook(
        root / "notebooks" / "b_report.ipynb",
        code('total = "../out/total.txt"', "inputs"),
        code('page = "../out/page.txt"', "outputs"),
        code("open(page, 'w').write('total ' + open(total).read())"),
    )
    write_notebook(
        root / "notebooks" / "c_look.ipynb", header("stage: look\nafter: [b_report]"), code("1 + 1")
    )


def git(root: Path, *arguments: str) -> None:
    given = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *given, *arguments], cwd=root, check=True, capture_output=True)


def first(folder: Path, store: str) -> Member:
    member = Member(folder)
    member.root.mkdir()
    build(member.root, store)
    git(member.root, "init", "-q")
    git(member.root, "add", ".")
    git(member.root, "commit", "-qm", "begin")
    return member


def clone(of: Member, folder: Path) -> Member:
    member = Member(folder)
    git(of.root, "clone", "-q", str(of.root), str(member.root))
    assert not (member.root / ".nbpipeline").exists()
    return member


def on(bucket: Bucket, **more: str) -> str:
    return json.dumps({"path": bucket.url, "endpoint": bucket.endpoint, **more})


def outputs(root: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(root)): one.read_bytes() for one in (root / "out").rglob("*") if one.is_file()
    }


RESTORE = {"a_total": "restore", "b_report": "restore", "look": "skip"}
"""`look` has no output but its executed notebook, which is had from the store when it is wanted."""
RESTORED = {"a_total": "restored", "b_report": "restored"}
FRESH = dict.fromkeys(RESTORE, "skip")
NOT_TO_BE_ASKED = {
    "s3fs": "raise RuntimeError('s3fs was imported')\n",
    "fsspec": "raise RuntimeError('fsspec was imported')\n",
}


def test_what_one_has_run_another_restores(bucket: Bucket, tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", on(bucket))
    done = ann.does("run")
    assert "wait" not in done.stderr, done.stderr
    assert len(bucket.keys("records/")) == 3

    bob = clone(ann, tmp_path / "bob")
    assert bob.actions() == RESTORE
    assert bob.statuses() == RESTORED
    assert outputs(bob.root) == outputs(ann.root)
    assert bob.actions() == FRESH

    assert bob.statuses("-p", "factor=5")["a_total"] == "succeeded"
    assert ann.statuses("-p", "factor=5") == RESTORED
    assert outputs(ann.root) == outputs(bob.root)
    assert (ann.root / "out" / "total.txt").read_text() == "30"
    assert not list((ann.root / ".nbpipeline" / "store" / "unsent").rglob("*.json"))


def test_with_nothing_to_do_nobody_is_asked(bucket: Bucket, tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", on(bucket))
    ann.does("run")
    bob = clone(ann, tmp_path / "bob")
    bob.does("run")
    for name, text in NOT_TO_BE_ASKED.items():
        (tmp_path / f"{name}.py").write_text(text)
    watched = {"PYTHONPATH": str(tmp_path)}
    for member in (ann, bob):
        assert "all fresh" in member.does("run", **watched).stdout
        assert member.does("plan", **watched).stderr == ""
    refused = ann.does("plan", "-p", "factor=2", good=False, **watched)
    assert "fsspec was imported" in refused.stdout + refused.stderr, "else this test would see nothing"


@pytest.mark.nightly
@pytest.mark.heavy
def test_a_store_that_is_down_fails_no_run_and_gets_all_later(bucket: Bucket, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    ann = first(tmp_path / "ann", json.dumps({"path": bucket.url, "endpoint": nowhere}))
    done = ann.does("run")
    assert "3 ran" in done.stdout
    assert f"the store at {bucket.url}" in done.stderr
    assert "3 results wait in the local store" in done.stderr
    assert outputs(ann.root)
    assert "3 results wait" in ann.does("plan").stderr
    shutil.rmtree(ann.root / "out")
    assert "2 restored" in ann.does("run").stdout, "what is here does without the network"

    text = (ann.root / "pipeline.yaml").read_text().replace(nowhere, bucket.endpoint)
    (ann.root / "pipeline.yaml").write_text(text)
    assert "3 results wait" in ann.does("plan").stderr
    ann.does("push")
    assert ann.does("plan").stderr == ""
    git(ann.root, "commit", "-qam", "the right address")
    bob = clone(ann, tmp_path / "bob")
    assert bob.statuses() == RESTORED


@pytest.mark.parametrize("wrong", ["bucket", "key"])
def test_a_store_that_refuses_fails_no_run(bucket: Bucket, tmp_path: Path, wrong: str) -> None:
    url = "s3://no-such-bucket/x" if wrong == "bucket" else bucket.url
    ann = first(tmp_path / "ann", json.dumps({"path": url, "endpoint": bucket.endpoint}))
    keys = {} if wrong == "bucket" else dict.fromkeys(KEYS, "")
    done = ann.does("run", "a_total", **keys)
    assert "1 ran" in done.stdout
    assert f"the store at {url}" in done.stderr
    assert "1 result waits" in done.stderr


def test_wrong_bytes_are_never_taken(bucket: Bucket, tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", on(bucket))
    ann.does("run")
    spoiled = [key for key in bucket.keys("objects/") if bucket.read(key) == b"6"]
    assert len(spoiled) == 1
    bucket.write(spoiled[0], b"7")
    bob = clone(ann, tmp_path / "bob")
    done = bob.does("run")
    assert "'a_total' runs instead of being restored" in done.stderr
    assert outputs(bob.root) == outputs(ann.root)
    assert bucket.read(spoiled[0]) == b"6", "whoever made the right bytes anew has put them there"


def test_an_absent_home_and_keys_in_the_options(bucket: Bucket, tmp_path: Path) -> None:
    store = {
        "path": bucket.url,
        "endpoint": bucket.endpoint,
        "options": {"key": "testing", "secret": "testing"},
    }
    ann = first(tmp_path / "ann", json.dumps(store))
    ann.environment = dict.fromkeys(KEYS, "") | {"HOME": os.devnull}
    assert "wait" not in ann.does("run", "a_total").stderr
    assert bucket.keys("records/")


def test_a_folder_here_and_a_remote_for_push_and_pull(bucket: Bucket, tmp_path: Path) -> None:
    store = json.dumps({"remote": bucket.url, "endpoint": bucket.endpoint})
    ann = first(tmp_path / "ann", store)
    ann.does("run")
    assert bucket.keys() == [], "a run talks to nobody"
    pushed = json.loads(ann.does("push", "--format", "json").stdout)
    assert pushed.pop("bytes") > 0
    assert pushed == {"version": 1, "to": bucket.url, "results": 3, "files": 7, "lacking": {}}
    again = json.loads(ann.does("push", "--format", "json").stdout)
    assert (again["files"], again["bytes"], again["results"]) == (0, 0, 3)

    bob = clone(ann, tmp_path / "bob")
    assert bob.actions()["a_total"] == "run"
    first_part = bob.does("pull", "--cache-only", "out/total.txt")
    assert not (bob.root / "out").exists()
    assert "restored" not in first_part.stdout
    assert bob.actions()["a_total"] == "restore"
    done = bob.does("pull")
    assert "restored out/total.txt\n" in done.stdout
    assert outputs(bob.root) == outputs(ann.root)
    assert bob.actions() == FRESH
    pulled = json.loads(bob.does("pull", "--format", "json").stdout)
    assert pulled == {"version": 1, "from": bucket.url, "bytes": 0, "paths": [], "fresh": 3, "lacking": []}
    wanting = bob.does("pull", "-p", "factor=9", good=False)
    assert wanting.returncode == 1
    assert wanting.stderr.splitlines()[-1] == "not there, so to be run: a_total, b_report"


def test_a_folder_hands_results_over_without_a_network(tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", "{max_size: 1GB}")
    ann.does("run")
    refused = ann.does("push", good=False)
    assert refused.returncode == 2
    assert refused.stderr == (
        "no store far away is named.\n  known: the store is the folder .nbpipeline/store\n".replace(
            "known: ", ""
        )
        + "  mend: write `store: {remote: s3://bucket/prefix}` in pipeline.yaml, or name one: --to or --from\n"
    )
    ann.does("push", "--all", "--to", str(tmp_path / "stick"))
    bob = clone(ann, tmp_path / "bob")
    bob.does("pull", "--from", str(tmp_path / "stick"))
    assert outputs(bob.root) == outputs(ann.root)
    assert not list((tmp_path / "stick" / "unfinished").iterdir())


def test_pull_and_push_say_what_is_not_to_be_had(bucket: Bucket, tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", json.dumps({"remote": bucket.url, "endpoint": bucket.endpoint}))
    ann.does("run")
    lost = [
        one
        for one in (ann.root / ".nbpipeline" / "store" / "objects").glob("??/*")
        if one.read_bytes() == b"6"
    ]
    lost[0].unlink()
    pushed = ann.does("push", good=False)
    assert pushed.returncode == 1
    assert "not pushed: a_total: out/total.txt is no longer in the local store" in pushed.stderr
    assert not [key for key in bucket.keys("records/") if "a_total" in key], "what is not whole is not shown"
    wrong = ann.does("push", "--to", "s3://no-such-bucket/x", good=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("the store at s3://no-such-bucket/x ")
    (ann.root / "pipeline.yaml").write_text(
        f"store: {{remote: {bucket.url}, endpoint: 'http://127.0.0.1:1'}}\n"
    )
    down = ann.does("pull", good=False)
    assert down.returncode == 0, "all is fresh, so nobody need be asked"
    down = ann.does("pull", "-p", "factor=3", good=False)
    assert down.returncode == 2
    assert down.stderr.startswith(f"the store at {bucket.url} ")


def test_what_is_not_on_record_is_not_pushed_as_if_all_were_well(tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", "{path: store}")
    far = str(tmp_path / "stick")
    new = ann.does("push", "--to", far, good=False)
    assert (new.returncode, new.stdout) == (2, "")
    assert new.stderr.startswith("no result of these stages is on record here: nothing was pushed.")
    ann.does("run")
    state = ann.root / ".nbpipeline" / "state.db"
    whole = state.read_bytes()
    push = f"push --to {far}"
    for line in ("runs", "show", "lineage out/total.txt", "restore a_total", "clean --dry-run", push, "plan"):
        for beside in state.parent.glob("state.db*"):
            beside.unlink()
        state.write_bytes(whole[:3000])
        done = ann.does(*line.split(), good=False)
        said = done.stderr + done.stdout
        assert done.returncode in ((2,) if line == push else (0, 2)), said
        assert "state.db was damaged (" in said, line
        assert "it was moved to state.db.damaged-" in said, line
        told = 2 if line == push else 1  # beside the error itself
        assert said.count("was damaged") == told, said
    assert ann.does("push", "--all", "--to", far).stdout.startswith("3 results at ")


def test_verify_finds_what_is_damaged_on_either_side(bucket: Bucket, tmp_path: Path) -> None:
    ann = first(tmp_path / "ann", on(bucket))
    ann.does("run")
    whole = json.loads(ann.does("verify", "--remote", "--format", "json").stdout)
    assert (whole["checked"], whole["damaged"]) == (14, [])
    here = next(
        one for one in (ann.root / ".nbpipeline/store/objects").glob("??/*") if one.read_bytes() == b"6"
    )
    there = next(key for key in bucket.keys("objects/") if bucket.read(key) == b"total 6")
    here.write_bytes(b"7")
    bucket.write(there, b"total 7")
    looked = ann.does("verify", "--remote", "--no-fix", good=False)
    assert looked.returncode == 1
    assert looked.stdout.splitlines() == [
        f"damaged: local: out/total.txt ({here.name[:12]}): left as it is",
        f"damaged: {bucket.url}: out/page.txt ({Path(there).name[:12]}): left as it is",
        looked.stdout.splitlines()[-1],
    ]
    assert looked.stdout.endswith(": 2 damaged\n")
    assert here.read_bytes() == b"7"
    mended = ann.does("verify", "--remote")
    assert mended.stdout.count("put right from the other side") == 2
    assert here.read_bytes() == b"6"
    assert bucket.read(there) == b"total 6"

    here.write_bytes(b"7")
    alone = ann.does("verify", good=False)
    assert alone.returncode == 1
    assert "removed; its stage runs again when it is wanted" in alone.stdout
    assert not here.exists()
    assert bucket.keys("objects/"), "nothing of others' goes"
