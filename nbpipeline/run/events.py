"""events.jsonl: one JSON object a line, whole at any moment, for whoever watches the run."""

import dataclasses
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbpipeline.encoding import plain
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Event
from nbpipeline.ports import Emit


def to_json(event: Event) -> dict[str, Any]:
    """Write an event as the object that stands on a line: every key, always."""
    return {
        "version": event.version,
        "seq": event.seq,
        "time": event.time,
        "run": event.run,
        "kind": event.kind,
        "stage": event.stage,
        "data": plain(event.data),
    }


def encode(event: Event) -> str:
    """Write an event as one line, with its end."""
    return json.dumps(to_json(event), ensure_ascii=False) + "\n"


class EventWriter:
    """Numbers events, writes each at once, then tells the listener. Safe from several threads.

    Neither a full disk nor a listener that fails ends a run: what went wrong stands in `trouble`.
    """

    def __init__(
        self,
        path: Path,
        run: str,
        listener: Emit | None,
        *,
        masker: Masker | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open the file; raises OSError where that fails. `masker` hides what must not be written."""
        self._file = path.open("a", encoding="utf-8", newline="\n")
        self._run = run
        self._listener = listener
        self._masker = masker or Masker(())
        self._now = now
        self._lock = threading.RLock()
        self._seq = 0
        self._deaf = False
        self._full = False
        self.trouble: list[str] = []

    def __call__(self, event: Event) -> None:
        """Stamp the event with run, time and number, write it, pass it on."""
        with self._lock:
            self._seq += 1
            stamped = dataclasses.replace(
                event,
                run=event.run or self._run,
                time=event.time or self._now(),
                seq=self._seq,
                data=self._masker.anything(event.data),
            )
            self._write(stamped)
            self._tell(stamped)

    def emit(self, kind: str, stage: str = "", **data: Any) -> None:
        """Write an event of this run."""
        self(Event(kind=kind, run=self._run, stage=stage, data=data))

    def close(self) -> None:
        """Close the file; later events are only passed on."""
        with self._lock:
            self._full = True
            try:
                self._file.close()
            except OSError as error:
                self.trouble.append(f"events.jsonl is not whole: {error.strerror or error}")

    def _write(self, event: Event) -> None:
        if self._full:
            return
        try:
            self._file.write(encode(event))
            self._file.flush()
        except (OSError, ValueError) as error:
            self._full = True
            reason = getattr(error, "strerror", None) or error
            self.trouble.append(f"events.jsonl ends at event {event.seq}: {reason}")

    def _tell(self, event: Event) -> None:
        if self._listener is None or self._deaf:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - whoever listens must not end a run
            self._deaf = True
            self.trouble.append(f"progress is no longer shown: {type(error).__name__}: {error}")
