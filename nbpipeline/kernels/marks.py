"""How the processes of an attempt are known, whatever session or parent they move to."""

MARK = "NBPIPELINE_TOKEN"
"""The variable that every process started by an attempt inherits."""
RUN = "NBPIPELINE_RUN"
"""The variable that tells them which run it is."""


def process_name(token: str) -> str:
    """Name a forked kernel's process, in the 15 bytes that Linux keeps; its own forks inherit the name."""
    return f"nb-{token:.12}"
