"""A plan is done: what may start now, side by side; its folder, its events."""

from nbpipeline.run.cancel import CancelSwitch
from nbpipeline.run.options import RunOptions
from nbpipeline.run.scheduler import run
from nbpipeline.run.summary import exit_code

__all__ = ["CancelSwitch", "RunOptions", "exit_code", "run"]
