"""What an instance's result depends on: taken in parts, digested, compared."""

from nbpipeline.fingerprint.differences import differences
from nbpipeline.fingerprint.environment import Supply
from nbpipeline.fingerprint.instance import Fingerprinter, Glance, state_digest

__all__ = ["Fingerprinter", "Glance", "Supply", "differences", "state_digest"]
