"""The exported tasks, run one after the other as pods are: each in a folder of its own, with nothing but the store between them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import parity
import pytest
import yaml
import zoo
from argo_check import TAG, USED
from builders import code, header, write_files, write_notebook

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(600)]
LEFT = "/tmp/nbpipeline"  # noqa: S108 - a path in the container


class Pods:
    """Runs the tasks of a WorkflowTemplate in their order, a pod a try."""

    def __init__(self, project: Path, scratch: Path, given: Mapping[str, str]) -> None:
        self._project, self._scratch = project, scratch
        file = project / "deploy/argo/workflow-template.yaml"
        spec = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]
        self._templates = {one["name"]: one for one in spec["templates"]}
        self._tasks = self._templates[spec["entrypoint"]]["dag"]["tasks"]
        parameters = spec.get("arguments", {}).get("parameters", ())
        self._values = {f"workflow.parameters.{one['name']}": one["value"] for one in parameters}
        self._values |= {f"workflow.parameters.{name}": value for name, value in given.items()}
        self.codes: dict[str, int] = {}

    def run(self) -> None:
        for task in self._tasks:
            if all(self.codes.get(one) == 0 for one in task.get("depends", "").split(" && ") if one):
                self.codes[task["name"]] = self._pod(task)

    def folder(self, task: str) -> Path:
        return self._scratch / task

    def _pod(self, task: Mapping[str, Any]) -> int:
        folder = self.folder(task["name"])
        shutil.copytree(self._project, folder / "project")
        handed = task.get("arguments", {}).get("parameters", ())
        values = {**self._values, **{f"inputs.parameters.{one['name']}": one["value"] for one in handed}}
        container = self._templates[task["template"]]["container"]
        words = [_filled(one, values) for one in (*container["command"], *container["args"])]
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
        done = subprocess.run(
            [one.replace(LEFT, str(folder / "left")) for one in words],
            cwd=folder / "project",
            env=environment,
            check=False,
        )
        return done.returncode


def _filled(word: str, values: Mapping[str, str]) -> str:
    """Put values into the tags, as Argo does."""
    return "".join(_parts(word, values))


def _parts(word: str, values: Mapping[str, str]) -> Iterator[str]:
    end = 0
    for match in TAG.finditer(word):
        used = USED.fullmatch(match[1])
        assert used is not None
        yield word[end : match.start()]
        yield json.dumps(values[used["quoted"]]) if used["quoted"] else values[used["plain"]]
        end = match.end()
    yield word[end:]


def share(root: Path, store: Path) -> None:
    with (root / "pipeline.yaml").open("a") as file:
        file.write(f"store: {{path: 'file://{store}'}}\n")


def test_tasks_that_share_no_folder_hand_files_over(root: Path, tmp_path: Path) -> None:
    zoo.diamond(root)
    share(root, tmp_path / "store")
    parity.exported(root, "argo", "--allow-loss")  # its own containers would not see that folder
    text = 'it\'s {{ set }} "so"'
    pods = Pods(root, tmp_path / "pods", {"factor": "7", "text": text, "flag": "true", "many": "[3]"})
    pods.run()
    assert pods.codes == dict.fromkeys(("load", "left", "right", "join"), 0)
    joined = (pods.folder("join") / "project/data/all.json").read_text()
    assert joined == json.dumps([35, text, 0.5, True, [3]]) + "36"
    assert json.loads((pods.folder("left") / "left/executed.ipynb").read_text())["cells"]
    assert json.loads((pods.folder("left") / "left/result.json").read_text())["status"] == "succeeded"
    assert not (pods.folder("left") / "project/data/right.json").exists()


def test_a_failed_check_ends_with_a_code_that_is_not_tried_again(root: Path, tmp_path: Path) -> None:
    write_files(root, {"pipeline.yaml": "name: unchecked\n"})
    head = "outputs: {rows: ../rows.csv}\nexpect: {rows: [{not_null: n}]}\nretries: 3"
    write_notebook(root / "notebooks/make.ipynb", header(head), code("open(rows, 'w').write('n,m\\n,1\\n')"))
    write_notebook(root / "notebooks/use.ipynb", header("inputs: {rows: ../rows.csv}"), code("1"))
    share(root, tmp_path / "store")
    parity.exported(root, "argo", "--allow-loss")  # its own containers would not see that folder
    pods = Pods(root, tmp_path / "pods", {})
    pods.run()
    assert pods.codes == {"make": 4}
    template = yaml.safe_load((root / "deploy/argo/workflow-template.yaml").read_text())["spec"]["templates"][
        1
    ]
    assert '"4"' in template["retryStrategy"]["expression"]
    assert json.loads((pods.folder("make") / "left/result.json").read_text())["attempts"] == 1
