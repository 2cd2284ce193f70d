"""Executed notebooks as pages: HTML beside each, made as far as nbconvert is installed."""

import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from nbpipeline.model.told import RunLog, StageLog
from nbpipeline.replacing import replaced
from nbpipeline.stage.executed import converted

LARGEST = 30_000_000
"""Bytes of a notebook that is still made a page of."""


class Pages:
    """The pages of one run."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._maker = ThreadPoolExecutor(1)
        self._made: dict[str, Future[Mapping[str, str]]] = {}
        """By notebook: the page, or nothing where there can be none."""

    def added(self, run: RunLog, *, wait: bool = False) -> RunLog:
        """Give the run with the pages of its ended stages among their files: those that are made, or all.

        They are made beside: who asks for a stage's variables must not wait for them.
        """
        return replace(run, stages=tuple([self._with_page(one, wait=wait) for one in run.stages]))

    def _with_page(self, stage: StageLog, *, wait: bool) -> StageLog:
        notebook = stage.files.get("notebook")
        if notebook is None:
            return stage
        if notebook not in self._made:
            self._made[notebook] = self._maker.submit(_page, Path(notebook))
        made = self._made[notebook]
        return replace(stage, files={**stage.files, **(made.result() if wait or made.done() else {})})


def _page(notebook: Path) -> Mapping[str, str]:
    page = notebook.with_suffix(".html")
    try:
        if not page.exists():
            if find_spec("nbconvert") is None or notebook.stat().st_size > LARGEST:
                return {}
            with replaced(page) as beside:
                beside.write_bytes(converted(notebook, ".html"))
    except Exception as error:  # noqa: BLE001 - whatever nbconvert and its templates raise; the notebook is there
        print(f"no page of {notebook.name}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - its log
        return {}
    return {"page": str(page)}
