"""papermill's engine for a stage: our own loop over the cells on nbclient.

papermill reads, marks and finishes the notebook; what it lacks is here: cell events, throttled and
masked saves, limits on time and output, a stop from outside, exits and dead kernels told apart from
errors, memory of each cell, metrics, and an end for what a cell leaves behind.

This module imports papermill, so it is itself imported where a stage runs, and nowhere else.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import papermill
from papermill.engines import Engine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from nbpipeline.stage.client import StageClient
from nbpipeline.stage.notebook_file import v4_node
from nbpipeline.stage.outcome import Found, Orders

NAME = "nbpipeline"


class StageEngine(Engine):  # type: ignore[misc]
    """What papermill calls; the orders come through its keyword arguments."""

    @classmethod
    def execute_notebook(cls, nb: Any, *arguments: Any, **keywords: Any) -> Any:
        """Keep papermill from carrying the whole notebook around.

        It notes what it was given as the input's path, which here is the notebook itself; and it writes what
        it gets back from here out once more, to nowhere. Only errors have still to be marked in it.
        """
        nb.metadata.papermill["input_path"] = None
        whole = super().execute_notebook(nb, *arguments, **keywords)
        if any(one.output_type == "error" for cell in whole.cells for one in cell.get("outputs", ())):
            return whole
        return v4_node({**whole, "cells": []})

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, orders: Orders, found: Found, **_: Any
    ) -> None:
        """Execute the cells; how it ended stands in `found`, and never raises for what a notebook did."""
        found.notebook = nb_man.nb
        client = StageClient(nb_man, orders, found, kernel_name=kernel_name)
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(client.live())
        finally:
            loop.run_until_complete(_end_tasks(loop))
            loop.close()


papermill_engines.register(NAME, StageEngine)


def execute(notebook: Mapping[str, Any], orders: Orders) -> Found:
    """Execute a prepared notebook with papermill. Raises OSError where the record cannot be written."""
    found = Found()
    node = v4_node(notebook)
    with contextlib.suppress(PapermillExecutionError):  # `found.stop` says it, and more
        papermill.execute_notebook(
            node,
            None,
            engine_name=NAME,
            kernel_name=node.metadata.kernelspec.name,
            language=orders.language,
            progress_bar=False,
            autosave_cell_every=0,
            request_save_on_cell_execute=False,
            orders=orders,
            found=found,
        )
    orders.recorder.save(found.notebook, now=True)
    return found


async def _end_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what nbclient left running on a loop that ends."""
    tasks = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
