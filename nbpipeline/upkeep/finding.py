"""What `doctor` finds."""

from nbpipeline.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: str
    """`good`, `mended`, `warning` or `bad`."""
    what: str
    mend: str = ""
