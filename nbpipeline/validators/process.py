"""The process that checks data apart: libraries take seconds to import, tables take memory, schemas are code.

Questions come as lines of JSON on stdin, one answer each goes out on stdout, with the question's number. It
ends with its stdin, whatever it is at: whoever asked is gone then.
"""

import importlib
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nbpipeline import plugins
from nbpipeline.errors import MissingPluginError
from nbpipeline.location import Location
from nbpipeline.masking.secrets import Masker
from nbpipeline.model import Check, Verdict
from nbpipeline.validators.examples import hiding

NOWHERE = Location(path="")
"""Of checks here: whoever asked knows where they are written."""


def read_questions(stream: io.RawIOBase, found: "queue.SimpleQueue[bytes]") -> None:
    """Take lines until there are no more; then end the process, in the middle of a check, too."""
    for line in stream:
        found.put(line)
    os._exit(0)


def answer(question: Mapping[str, Any]) -> dict[str, Any]:
    """Try checks; what goes wrong is an answer, too."""
    checks = tuple(Check(where=NOWHERE, **one) for one in question["checks"])
    paths = tuple(Path(one) for one in question["paths"])
    try:
        validator = plugins.load("validators", question["validator"])
        hide = Masker(question["secrets"]).text
        with as_stage(question["folder"], question["roots"]), hiding(hide):
            verdicts = [told(one) for one in validator.validate(paths, checks)]
            return {"verdicts": _one_each(question["validator"], verdicts, checks)}
    except MissingPluginError as error:
        one = error.complaints[0]
        return {"missing": {"what": one.what, "known": one.known, "mend": one.mend}}
    except MemoryError:
        return {"trouble": "the table needs more memory than there is"}
    except Exception as error:  # noqa: BLE001 - whatever validators' libraries and schemas raise
        return {"trouble": f"{type(error).__name__}: {error}"}


def _one_each(
    validator: str, verdicts: list[dict[str, Any]], checks: Sequence[Check]
) -> list[dict[str, Any]]:
    if len(verdicts) != len(checks):
        said = f"gives {len(verdicts)} verdicts on {len(checks)} checks"
        raise plugins.faulty("validators", validator, said, "`validate` gives one a check")
    return verdicts


def told(verdict: Verdict) -> dict[str, Any]:
    """Give what the one who asked does not know of a verdict."""
    return {"passed": verdict.passed, "message": verdict.message, "details": dict(verdict.details)}


@contextmanager
def as_stage(folder: str, roots: Sequence[str]) -> Iterator[None]:
    """Import what a stage's notebook would; afterwards its modules are forgotten, for others have others."""
    known, path, before = set(sys.modules), list(sys.path), Path.cwd()
    sys.path[:0] = [folder, *roots]
    importlib.invalidate_caches()
    with suppress(OSError):
        os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        sys.path[:] = path
        for name in set(sys.modules) - known:
            if _is_of((folder, *roots), getattr(sys.modules[name], "__file__", None)):
                del sys.modules[name]


def _is_of(folders: Sequence[str], file: str | None) -> bool:
    inside = file is not None and any(Path(file).is_relative_to(one) for one in folders)
    return inside and "site-packages" not in str(file)


def prepare(names: Sequence[str]) -> None:
    """Import the libraries that will be wanted; what cannot be is told to whoever asks for it."""
    for name in names:
        with suppress(Exception):
            plugins.load("validators", name).prepare()


def main(names: list[str]) -> int:
    """Run as `python -m nbpipeline.validators NAME...`; ends with stdin."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    stream = io.FileIO(os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a schema that reads stdin takes no question
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=read_questions, args=(stream, questions), daemon=True).start()
    prepare(names)
    own = os.getpid()
    while True:
        question = json.loads(questions.get())
        found = answer(question)
        if os.getpid() != own:  # a schema's module forked, and this one came back out of it, too
            os._exit(0)
        answers.write(json.dumps({"number": question["number"], **found}, default=str) + "\n")
        answers.flush()
