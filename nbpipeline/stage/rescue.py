"""Finds previous outputs whose journal cannot be read: their names are known without it."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from nbpipeline.location import STATE_FOLDER
from nbpipeline.model import StageInstance
from nbpipeline.stage import asides
from nbpipeline.stage.entries import folder_of, read
from nbpipeline.stage.places import absolute, aside_of, local_outputs

_RUN = r"\d{8}-\d{6}-[0-9a-z]+"


def rescue(instance: StageInstance, root: Path) -> tuple[str, ...]:
    """Bring back what waits for an instance whose journal a disk or a hand has damaged.

    Nothing is deleted: what stands at an output's place may be half written or newer, so it goes to
    `.nbpipeline/kept`, and so does the journal. The caller holds the instance's lock. Returns notices.
    Raises OSError.
    """
    file = folder_of(root) / f"{instance.slug}.json"
    if not file.exists() or read(file) is not None:
        return ()
    name = f"damaged-{file.stat().st_mtime_ns}"
    kept = root / STATE_FOLDER / "kept" / name
    back: list[str] = []
    for number, (_, path) in enumerate(local_outputs(instance)):
        target = Path(os.path.realpath(absolute(root, path)))
        waiting = max(
            _waiting(instance, root, target, number), default=None, key=lambda one: one.lstat().st_ctime_ns
        )
        if waiting is None:
            continue
        if asides.exists(target):
            asides.move(target, kept / path.lstrip("/"))
        asides.move(waiting, target)
        back.append(path)
    asides.move(file, kept / file.name)
    said = f"its previous outputs are back: {', '.join(back)}" if back else "no outputs waited"
    place = f"{STATE_FOLDER}/kept/{name}"
    told = f"{instance.id}: the journal of a run that died could not be read; {said}"
    return (f"{told}; what stood there meanwhile and the journal are in {place}",)


def _waiting(instance: StageInstance, root: Path, target: Path, number: int) -> Iterator[Path]:
    """Give what stands under the names that `journal.begin` puts previous bytes under."""
    beside = re.compile(re.escape(aside_of(target, "").name) + _RUN)
    apart = re.compile(f"{re.escape(instance.slug)}-{_RUN}-{number}")
    for folder, pattern in ((target.parent, beside), (root / STATE_FOLDER / "asides", apart)):
        if folder.is_dir():
            yield from (one for one in folder.iterdir() if pattern.fullmatch(one.name))
