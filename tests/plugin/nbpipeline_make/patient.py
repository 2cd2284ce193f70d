"""Runs stages here, each when the machine has the memory free that the stage asks for (`resources`)."""

import threading

import psutil

from nbpipeline.executors.local import LocalExecutor

APART = False


def open_executor(work, *, slots, memory, settings):
    """Have threads of this process do the work, each once there is room, or at the latest after `patience` s."""
    patience = settings.get("settings", {}).get("patience", 600)

    def when_free(job, emit, cancel):
        wanted = min(job.instance.spec.resources.memory or 0, psutil.virtual_memory().total)
        stopped = threading.Event()
        unsubscribe = cancel.on_raise(lambda level: stopped.set())
        for _ in range(int(patience)):
            if psutil.virtual_memory().available >= wanted or stopped.wait(1):
                break
        unsubscribe()
        return work(job, emit, cancel)

    return LocalExecutor(when_free, slots=slots, memory=memory)
