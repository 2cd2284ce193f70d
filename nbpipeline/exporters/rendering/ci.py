"""What continuous integration does with a pipeline, whoever runs it: install, check, run, tell."""

import shlex

from nbpipeline.model.exported import Workflow

INSTALL = "Install what the stages import"
SUMMARY = "Summary"


def install_line(lock: str) -> str:
    """Install the lock, and nbpipeline from where the variable NBPIPELINE says."""
    return (
        f"pip install --no-deps -r {shlex.quote(lock)}\n"
        'pip install --no-deps "${NBPIPELINE:?set the variable NBPIPELINE to a wheel or a URL for pip}"'
    )


def check_lines(target: str, workflow: Workflow) -> str:
    """Refuse faulty notebooks, and a workflow that is not what would be exported; then plan."""
    profile = _profile(workflow)
    return f"nbpipeline check{profile}\nnbpipeline export {target} --check{profile}\nnbpipeline plan{profile}"


def run_words(workflow: Workflow) -> list[str]:
    """Run what is stale, with a report."""
    return [f"nbpipeline run --keep-going --report report.html{_profile(workflow)}"]


def _profile(workflow: Workflow) -> str:
    return f" --profile {shlex.quote(workflow.profile)}" if workflow.profile else ""
