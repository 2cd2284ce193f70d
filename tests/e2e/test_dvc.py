"""Outputs written for DVC, which the real one takes as its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from buckets import KEYS, Bucket, service
from builders import code, command, write_files, write_notebook

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import environments

pytestmark = pytest.mark.children


@pytest.fixture
def ran(root: Path) -> Path:
    write_files(root, {"pipeline.yaml": "name: dvc\n", ".dvc/config": "", "models/.gitignore": "other"})
    write_notebook(
        root / "notebooks" / "make.ipynb",
        code('model = "../models/mödel.bin"\nparts = "../parts/"', "outputs"),
        code("open(model, 'wb').write(b'model' * 1000)"),
        code("import os\nos.makedirs(parts + 'sub')\nopen(parts + 'b.txt', 'w').write('b')"),
        code("open(parts + 'sub/a.txt', 'w').write('a')\nopen(parts + 'ä.txt', 'w')"),
    )
    done = command("run", cwd=root)
    assert done.returncode == 0, done.stderr
    return root


def description(root: Path, path: str) -> Any:
    return yaml.safe_load((root / f"{path}.dvc").read_text(encoding="utf-8"))


def test_files_and_folders_with_their_bytes(ran: Path) -> None:
    done = command("dvc", "--format", "json", cwd=ran)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "version": 1,
        "files": ["models/mödel.bin.dvc", "parts.dvc"],
        "to": str(ran / ".dvc" / "cache"),
        "notices": [],
    }
    (found,) = description(ran, "models/mödel.bin")["outs"]
    digest = hashlib.md5(b"model" * 1000, usedforsecurity=False).hexdigest()
    assert found == {"md5": digest, "size": 5000, "hash": "md5", "path": "mödel.bin"}
    (folder,) = description(ran, "parts")["outs"]
    assert (folder["nfiles"], folder["size"], folder["path"]) == (3, 2, "parts")
    cache = ran / ".dvc" / "cache" / "files" / "md5"
    assert (cache / found["md5"][:2] / found["md5"][2:]).read_bytes() == b"model" * 1000
    listing = json.loads((cache / folder["md5"][:2] / folder["md5"][2:]).read_bytes())
    assert [one["relpath"] for one in listing] == ["b.txt", "sub/a.txt", "ä.txt"]
    assert (ran / "models" / ".gitignore").read_text() == "other\n/mödel.bin\n"
    before = (ran / "parts.dvc").stat().st_mtime_ns
    assert command("dvc", "make", cwd=ran).stdout.startswith(
        "models/mödel.bin.dvc\nparts.dvc\n2 outputs written"
    )
    assert (ran / "parts.dvc").stat().st_mtime_ns == before
    assert (ran / "models" / ".gitignore").read_text() == "other\n/mödel.bin\n"


def test_what_an_author_wrote_into_a_description_stays(ran: Path) -> None:
    (ran / "parts.dvc").write_text(
        "meta: {owner: ann}\nouts: [{md5: x.dir, path: parts, desc: shards, hash: md5}]\n"
    )
    done = command("dvc", "parts", cwd=ran)
    assert done.stdout.startswith("parts.dvc\n1 output written"), done.stderr
    found = description(ran, "parts")
    assert found["meta"] == {"owner": "ann"}
    assert found["outs"][0]["desc"] == "shards"
    assert found["outs"][0]["md5"] != "x.dir"


def test_what_is_refused(ran: Path) -> None:
    (ran / "parts.dvc").write_text("deps: [{path: s3://bucket/parts}]\nouts: [{md5: x, path: parts}]\n")
    done = command("dvc", cwd=ran)
    assert done.returncode == 2
    assert done.stderr == (
        "parts.dvc is there, and is not of one file or folder that `dvc add` took in.\n"
        "  mend: move it away, or leave that output out\n"
    )
    (ran / "parts" / "b.txt").write_text("by hand")
    done = command("dvc", "parts", cwd=ran)
    assert done.returncode == 2
    assert done.stderr == (
        "parts is not as its run left it.\n  mend: nbpipeline restore make, or nbpipeline run make\n"
    )
    shutil.rmtree(ran / ".dvc")
    done = command("dvc", "models/mödel.bin", cwd=ran)
    assert done.returncode == 2
    assert done.stderr == (
        "the project is in no DVC repository.\n"
        "  mend: dvc init, or name the folder or URL of a DVC remote: --to\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000,
        "wdir: ../..\nouts: [{md5: x.dir, path: parts, hash: md5}]\n",
        "wdir: [..]\nouts: [{path: parts}]\n",
    ],
)
def test_a_description_that_means_another_place_is_refused(ran: Path, text: str) -> None:
    (ran / "parts.dvc").write_text(text)
    done = command("dvc", "parts", cwd=ran)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("parts.dvc is there, and is not of one file or folder")
    assert (ran / "parts.dvc").read_text() == text


def test_a_cache_elsewhere_and_a_remote_on_s3(ran: Path, tmp_path: Path) -> None:
    (ran / ".dvc" / "config").write_text("[cache]\n    dir = ../../shared\n")
    assert command("dvc", cwd=ran).returncode == 0
    near = sorted(one.name for one in (tmp_path / "shared" / "files" / "md5").glob("*/*"))
    with service() as endpoint:
        bucket = Bucket(endpoint)
        (ran / "pipeline.yaml").write_text(f"store: {{remote: {bucket.url}, endpoint: '{endpoint}'}}\n")
        done = command("dvc", "--to", bucket.url, cwd=ran, environment=KEYS)
        assert done.returncode == 0, done.stderr
        assert sorted(Path(key).name for key in bucket.keys("files/md5/")) == near


@pytest.mark.nightly
@pytest.mark.heavy
def test_the_real_one_takes_them_as_its_own(ran: Path, tmp_path: Path) -> None:
    shutil.rmtree(ran / ".dvc")
    dvc = environments.prepare("dvc", environments.default_cache())
    given = {**dvc.variables(), "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull}

    def does(folder: Path, *words: str) -> str:
        done = subprocess.run(words, cwd=folder, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    does(ran, "git", "init", "-q")
    does(ran, "dvc", "init", "-q")
    does(ran, "dvc", "remote", "add", "-d", "there", str(tmp_path / "remote"))
    assert command("dvc", cwd=ran).returncode == 0
    assert json.loads(does(ran, "dvc", "status", "--json")) == {}
    does(ran, "dvc", "push", "-q")
    does(ran, "git", "add", ".")
    does(ran, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "all")
    does(tmp_path, "git", "clone", "-q", str(ran), "clone")
    clone = tmp_path / "clone"
    assert not (clone / "parts").exists()
    does(clone, "dvc", "pull", "-q")
    assert (clone / "models" / "mödel.bin").read_bytes() == b"model" * 1000
    found = {
        one.relative_to(clone / "parts").as_posix() for one in (clone / "parts").rglob("*") if one.is_file()
    }
    assert found == {"b.txt", "sub/a.txt", "ä.txt"}
    assert json.loads(does(clone, "dvc", "status", "--json")) == {}
    ours = json.loads(does(ran, "dvc", "data", "status", "--json"))
    assert "not_in_cache" not in ours
    (clone / "parts" / "b.txt").write_text("other")
    assert "parts.dvc" in json.loads(does(clone, "dvc", "status", "--json")), (
        "else this test would see nothing"
    )

    shutil.rmtree(tmp_path / "remote")
    done = command("dvc", "--to", str(tmp_path / "remote"), cwd=ran)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(clone / ".dvc" / "cache")
    shutil.rmtree(clone / "parts")
    does(clone, "dvc", "pull", "-q")
    assert (clone / "parts" / "b.txt").read_text() == "b"
