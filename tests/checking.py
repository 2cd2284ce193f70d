"""The processes that check data apart, as tests look for them."""

from pathlib import Path

import psutil


def checking_processes(root: Path) -> set[int]:
    """The processes that check for runs in the folder; other tests' stand beside them."""
    return {one.pid for one in psutil.process_iter() if _checks_in(one, root)}


def _checks_in(process: psutil.Process, root: Path) -> bool:
    try:
        here = Path(process.cwd()).is_relative_to(root.resolve())
        return here and "nbpipeline.validators" in process.cmdline()
    except (psutil.Error, OSError):
        return False
