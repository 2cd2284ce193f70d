"""Where the lock of a file stands that several processes write: in the `.nbpipeline` above the file.

So it litters no project. All who write the file find the same place, whatever project they run for.
"""

import os
from pathlib import Path

from nbpipeline.content import digest_text
from nbpipeline.location import STATE_FOLDER


def lock_of(file: Path) -> Path:
    """Give the path of the file's lock; beside it where no project is around it."""
    real = Path(os.path.realpath(file))
    for folder in real.parents:
        if (folder / STATE_FOLDER).is_dir():
            name = f"file-{digest_text(real.relative_to(folder).as_posix())[:32]}.lock"
            return folder / STATE_FOLDER / name
    return real.with_name(f".{real.name}.lock")
