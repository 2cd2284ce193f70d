"""One instance's life: lock, protect, inputs, check, kernel, check, publish, record, clear."""

from nbpipeline.stage.backends import Backends
from nbpipeline.stage.life import execute
from nbpipeline.stage.record import keep
from nbpipeline.stage.revive import restore

__all__ = ["Backends", "execute", "keep", "restore"]
