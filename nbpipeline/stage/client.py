"""One kernel and the loop over its cells: nbclient's client, with what a pipeline needs beside it.

This module imports papermill, so it is itself imported where a stage runs, and nowhere else.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Mapping
from typing import Any

from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import ensure_async
from papermill.clientwrap import PapermillNotebookClient

from nbpipeline.kernels.plain import ARGUMENTS
from nbpipeline.masking.terminal import without_colours
from nbpipeline.model import CellProfile, Value
from nbpipeline.stage import leaving, meeting, metrics, processes, watching
from nbpipeline.stage.echo import Echo
from nbpipeline.stage.memory import PeakMemory
from nbpipeline.stage.notebook_file import changed_beside, v4_node
from nbpipeline.stage.outcome import Found, Orders, Stop
from nbpipeline.stage.outputs import LIMIT, Intake, megabytes
from nbpipeline.stage.prepare import MARK

TICK = 0.25
"""Seconds between two looks at memory and at whether a save is due."""
INTERRUPT_GRACE = 5.0
"""Seconds that an interrupted cell has to end."""
QUIET_EXIT = 20.0
"""Seconds that a kernel has to end by itself after success: its exit handlers write files."""
QUICK_EXIT = 3.0
_PUBLIC_NAMES = {"_IncompleteInputError": "SyntaxError"}
"""How errors are told that Python keeps to itself (3.13, of a cell that is not finished)."""
SILENT = logging.getLogger("nbpipeline.kernel")
"""Takes what nbclient and jupyter_client would write to the terminal: results say it, in our words."""
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


class Stopped(Exception):  # noqa: N818 - it ends the loop of cells, and is no error
    """The loop over the cells ends here."""

    def __init__(self, kind: str, value: str = "") -> None:
        """Take what ended it, as `Stop.kind` and `Stop.value`."""
        super().__init__(kind)
        self.kind = kind
        self.value = value


class StageClient(PapermillNotebookClient):  # type: ignore[misc]
    """One kernel and the loop over its cells."""

    def __init__(self, nb_man: Any, orders: Orders, found: Found, kernel_name: str) -> None:
        """Take papermill's notebook manager, what to do, and where to put what is found."""
        super().__init__(
            nb_man,
            km=orders.manager,
            kernel_name=kernel_name,
            log=SILENT,
            timeout=None,
            iopub_timeout=30,
            shell_timeout_interval=1,  # s; so soon is a kernel missed that died between two cells
            raise_on_iopub_timeout=False,
            coalesce_streams=False,
        )
        orders.manager.log = SILENT
        self._orders = orders
        self._found = found
        self._deadline = time.monotonic() + orders.timeout if orders.timeout else None
        self._intake = Intake()
        self._reply: Mapping[str, Any] = {}
        self._connection = ""
        self.on_cell_executed = self._executed

    def _executed(self, *, execute_reply: Mapping[str, Any], **_: Any) -> None:
        self._reply = execute_reply.get("content", {})

    # --- the whole ---------------------------------------------------------------------------

    async def live(self) -> None:
        """Start the kernel, run the cells, end the kernel and what it left."""
        loop = asyncio.get_running_loop()
        self._stopping: asyncio.Future[None] = loop.create_future()
        self._killing: asyncio.Future[None] = loop.create_future()

        def raised(level: int) -> None:
            loop.call_soon_threadsafe(self._cancelled, level)

        unsubscribe = self._orders.cancel.on_raise(raised)
        if self._orders.cancel.level:
            self._cancelled(self._orders.cancel.level)
        self.reset_execution_trackers()
        ticking = asyncio.ensure_future(self._tick())
        self._memory = PeakMemory(None)
        try:
            await self._start()
            await self._cells()
            self.set_widgets_metadata()
        except Stopped as stop:
            self._found.stop = self._found.stop or Stop(kind=stop.kind, value=stop.value)
        except DeadKernelError:  # between two cells, or after the last
            last = self._found.cells[-1].cell if self._found.cells else None
            self._found.stop = Stop(kind="dead_kernel", value=self._death(), cell=last)
        finally:
            unsubscribe()
            ticking.cancel()
            await self._finish()

    def _cancelled(self, level: int) -> None:
        if not self._stopping.done():
            self._stopping.set_result(None)
        if level > 1 and not self._killing.done():
            self._killing.set_result(None)

    async def _tick(self) -> None:
        """Save and measure while a long cell runs."""
        while True:
            await asyncio.sleep(TICK)
            self._memory.sample()
            self._intake.settle()
            self._orders.recorder.save(self.nb)

    # --- start and end of the kernel ---------------------------------------------------------

    async def _start(self) -> None:
        self._echo = Echo(self.km.echo)
        self._connection = self.km.connection_file
        self._process: Any = None
        try:
            await self._bounded(self._launch(), None)
        except (RuntimeError, OSError, DeadKernelError) as error:
            await asyncio.sleep(0)
            ended, said = self._death(), self._echo.last_words()
            signalled = ended if ended.startswith("-") else ""
            raise Stopped("dead_kernel", f"{signalled} {said}".strip() or str(error)) from error
        finally:
            self._echo.started()

    async def _launch(self) -> None:
        if any("ipykernel" in argument for argument in self.km.kernel_spec.argv):
            self.extra_arguments = list(ARGUMENTS)
        independent = {"independent": True} if self._orders.keep_kernel else {}
        await self.async_start_new_kernel(stdout=self._echo.writer, stderr=self._echo.writer, **independent)
        self._pid = getattr(self.km.provisioner, "pid", None)
        self._process = getattr(self.km.provisioner, "process", None)
        self._memory = PeakMemory(self._pid)
        info = await meeting.meet(self.km, self._connect)
        self.nb.metadata["language_info"] = info["language_info"]
        if self._orders.language == "python":
            root = self._orders.watched_root
            watch = watching.start(root, self._orders.spool) if root else ""
            await self._prepare(self.km.late + watching.ROOM + watch)

    async def _prepare(self, source: str) -> None:
        """Have the kernel run what comes before the first cell; raises `Stopped` where it cannot."""
        content = await self._unseen(source, {})
        if content.get("status") == "error":
            raise Stopped("dead_kernel", f"its preparation failed: {content['ename']}: {content['evalue']}")

    def _connect(self, client: Any) -> None:
        client.allow_stdin = False
        self.kc = client

    async def _finish(self) -> None:
        """End the kernel and all that its cells started; a failed one may be kept."""
        self._echo.close()
        if (
            self._orders.keep_kernel
            and self._found.stop
            and self._found.stop.kind not in ("dead_kernel", "cancelled")
        ):
            self._found.connection = self._connection
            self._found.pid = self._pid_or_none()
            if self.kc is not None:
                self.kc.stop_channels()
            return
        if self._talks and self._orders.last_words:
            await self._within(self._orders.last_words, leaving.LAST_WORDS)
        if self._talks:
            flush = leaving.FLUSH if self._found.stop is None else ""
            await self._within(leaving.QUIET + flush + leaving.CLOSE_POOLS)  # by how much each is needed
        family = processes.family(self._pid_or_none())
        left = await self._without_children(family) if family else 0
        if self.km is not None and self.km.has_kernel:
            with contextlib.suppress(RuntimeError):
                await self._end_kernel()
        left += processes.end(self._orders.token, also=family)
        if left:
            noun = "process that a cell had left was" if left == 1 else "processes that cells had left were"
            self._found.notices.append(f"{left} {noun} ended")

    async def _end_kernel(self) -> None:
        """Ask the kernel to end and wait; jupyter_client's own way interrupts it first, which may hang it."""
        if not self._killing.done() and await ensure_async(self.km.is_alive()):
            await ensure_async(self.km.request_shutdown())
            patience = QUICK_EXIT if self._found.stop else QUIET_EXIT
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.km.provisioner.wait(), patience)
        if self.km.has_kernel:
            await ensure_async(self.km.shutdown_kernel(now=True))
        await ensure_async(self.km.cleanup_resources())
        if self.kc is not None:
            self.kc.stop_channels()

    async def _without_children(self, family: tuple[int, ...]) -> int:
        """End the kernel's children first: it would wait long for them. Returns how many cells had left."""
        talks = self._talks
        left = processes.end("", also=family, trackers=not talks)
        if talks:
            await self._within(leaving.REAP)
        return left

    @property
    def _talks(self) -> bool:
        """Whether the kernel is a Python one that still answers."""
        responsive = self._found.stop is None or self._found.stop.kind in ("cell", "exit")
        return responsive and self.kc is not None and self._orders.language == "python"

    async def _within(self, source: str, patience: float = leaving.PATIENCE) -> None:
        """Have the kernel run something unseen, for so many seconds at most."""
        with contextlib.suppress(asyncio.TimeoutError, DeadKernelError):
            message = self.kc.execute(source, silent=True, store_history=False, allow_stdin=False)
            await asyncio.wait_for(self.async_wait_for_reply(message), patience)

    def _pid_or_none(self) -> int | None:
        return getattr(self, "_pid", None)

    # --- the cells ---------------------------------------------------------------------------

    async def _cells(self) -> None:
        waiting = [
            (index, cell)
            for index, cell in enumerate(self.nb.cells)
            if cell.metadata.get(MARK, {}).get("run")
        ]
        for number, (index, cell) in enumerate(waiting, start=1):
            await self._refuse_stopped()
            place = {"cell": cell.metadata[MARK]["cell"], "n": number, "of": len(waiting)}
            try:
                await self._cell(cell, index, place)
            finally:
                self._orders.recorder.touched(cell)
                self._orders.recorder.save(self.nb)
        if self._orders.watched_root and self._orders.language == "python":
            replies = await self._ask({"seen": watching.QUESTION})
            self._found.sight = watching.read(replies.get("seen", {}))

    async def _cell(self, cell: Any, index: int, place: dict[str, Value]) -> None:
        """Run one cell: events, times, limits, and what stopped it."""
        self._orders.tell("cell_started", place)
        self._orders.recorder.say(f"-- cell {place['cell'] or 'injected'} ({place['n']} of {place['of']})\n")
        self.nb_man.cell_start(cell, index)
        self._intake, self._reply = Intake(), {}
        self._memory.start()
        started = time.monotonic()
        try:
            await self._refuse_stopped()
            await self._bounded(self.async_execute_cell(cell, index), self._orders.cell_timeout)
            self._refuse_exit()
        except (CellExecutionError, DeadKernelError, Stopped) as error:
            self._intake.forget()
            self._found.stop = self._stop_of(error, cell, int(place["cell"]))
            self.nb_man.cell_exception(cell, cell_index=index, exception=error)
            self._orders.recorder.say(_last_words(self._found.stop))
            raise Stopped(self._found.stop.kind) from error
        finally:
            self._intake.forget()
            self.nb_man.cell_complete(cell, cell_index=index)
            seconds = time.monotonic() - started
            peak = self._memory.stop()
            self._found.cells.append(CellProfile(cell=int(place["cell"]), seconds=seconds, peak_memory=peak))
            self._tell_cut(cell, place)
            self._orders.tell("cell_finished", {**place, "seconds": seconds, "peak_memory": peak})
        if metrics.TAG in cell.metadata.get("tags", ()) and self._orders.language == "python":
            await self._read_metrics(cell)

    async def _bounded(self, work: Awaitable[Any], limit: float | None) -> Any:
        """Await work until it ends, its time is up or somebody stops the run; raises `Stopped` for those."""
        task = asyncio.ensure_future(work)
        now = time.monotonic()
        ends = [
            (kind, end, allowed)
            for kind, end, allowed in (
                ("cell_timeout", now + limit if limit else None, limit),
                ("timeout", self._deadline, self._orders.timeout),
            )
            if end is not None
        ]
        kind, end, allowed = min(ends, key=lambda one: one[1], default=("", None, None))
        pause = None if end is None else max(0.0, end - now)
        await asyncio.wait({task, self._stopping}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        await self._interrupt(task)
        raise Stopped("cancelled") if self._stopping.done() else Stopped(kind, f"{allowed:g}")

    async def _interrupt(self, task: "asyncio.Future[Any]") -> None:
        """Ask the cell to end, so that its traceback says where it was; then let go of it."""
        if not self._killing.done() and self.kc is not None and self.km.has_kernel:
            with contextlib.suppress(RuntimeError, OSError):
                await self.km.interrupt_kernel()
            await asyncio.wait(
                {task, self._killing}, timeout=INTERRUPT_GRACE, return_when=asyncio.FIRST_COMPLETED
            )
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _refuse_stopped(self) -> None:
        """Begin no cell after a stop: a kernel that has nothing to do yet would not hear the interrupt."""
        await asyncio.sleep(0)
        if self._stopping.done():
            raise Stopped("cancelled")

    def _refuse_exit(self) -> None:
        """`exit()` and `quit()` end the kernel politely; a stage that does so has not run to its end."""
        for payload in self._reply.get("payload", ()):
            if payload.get("source") == "ask_exit":
                raise Stopped("exit", "exit()")

    def _stop_of(self, error: Exception, cell: Any, place: int) -> Stop:
        known = {"cell": place, "id": cell.id, "count": cell.get("execution_count")}
        if isinstance(error, DeadKernelError):
            return Stop(kind="dead_kernel", value=self._death(), **known)
        if isinstance(error, Stopped):
            trace = next((one.traceback for one in cell.outputs if one.output_type == "error"), ())
            return Stop(kind=error.kind, value=error.value, traceback=tuple(trace), **known)
        assert isinstance(error, CellExecutionError)  # noqa: S101 - narrows the type
        kind = "exit" if error.ename == "SystemExit" else "cell"
        value = f"sys.exit({error.evalue})" if kind == "exit" else error.evalue
        trace = self._reply.get("traceback") or error.traceback.splitlines()
        name = _PUBLIC_NAMES.get(error.ename, error.ename)
        told = tuple(line.replace(error.ename, name) for line in trace)
        return Stop(kind=kind, name=name, value=value, traceback=told, **known)

    def _death(self) -> str:
        """Write how the kernel's process ended: a signal's number with a minus, or its exit code."""
        code = self._process.poll() if self._process is not None else None
        return "" if code is None else str(code)

    async def _ask(self, expressions: Mapping[str, str]) -> Mapping[str, Any]:
        """Have the kernel evaluate something unseen."""
        answers: Mapping[str, Any] = (await self._unseen("", expressions)).get("user_expressions") or {}
        return answers

    async def _unseen(self, source: str, expressions: Mapping[str, str]) -> Mapping[str, Any]:
        """Have the kernel run something with no output, no count, no history. Returns its reply."""
        message = self.kc.execute(
            source, silent=True, store_history=False, user_expressions=dict(expressions), allow_stdin=False
        )
        reply = await self._bounded(self.async_wait_for_reply(message), None)
        content: Mapping[str, Any] = (reply or {}).get("content", {})
        return content

    async def _read_metrics(self, cell: Any) -> None:
        names = metrics.assigned_names(cell.source)
        if not names:
            return
        numbers, others = metrics.read(await self._ask(metrics.expressions(names)))
        self._found.metrics.update(numbers)
        if others:
            self._found.notices.append(
                f"metrics not recorded, since they are no finite numbers: {', '.join(others)}"
            )

    # --- what the cells send -----------------------------------------------------------------

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Let nbclient add an output, within limits; the log hears streams as they come."""
        admitted = self._intake.admits(msg)
        if not admitted:
            return None
        self._orders.recorder.touched(cell, *changed_beside(msg, self.nb.cells, self._display_id_map))
        if msg["msg_type"] == "stream":
            self._orders.recorder.say(msg["content"]["text"], msg["content"]["name"])
            hooked = self.output_hook_stack[msg["parent_header"].get("msg_id")]
            if not hooked and not self.clear_before_next_output and self._intake.joins(msg, cell.outputs):
                return None
        return super().process_message(msg, cell, cell_index)

    def _tell_cut(self, cell: Any, place: Mapping[str, Value]) -> None:
        if not self._intake.cut:
            return
        wrote, limit = megabytes(self._intake.written), megabytes(LIMIT)
        said = f"cell {place['cell']} wrote {wrote} of output; its record is cut at {limit}"
        self._found.notices.append(said)
        text = f"\n[nbpipeline: {said}]\n"
        cell.outputs.append(v4_node({"output_type": "stream", "name": "stderr", "text": text}))


def _last_words(stop: Stop) -> str:
    if stop.traceback:
        return without_colours("\n".join(stop.traceback)) + "\n"
    return f"{stop.kind} {stop.value}".strip() + "\n"
