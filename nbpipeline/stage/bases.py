"""What a stage that updates an output begins with: what the stage before left, whatever stands there now."""

from pathlib import Path

from nbpipeline.model import Job
from nbpipeline.stage import asides
from nbpipeline.stage.backing import Backing
from nbpipeline.stage.places import absolute, local_outputs


def bring(job: Job, backing: Backing) -> tuple[str, ...]:
    """Put the bytes that the state names under the outputs that several stages update.

    A later stage may have written on since, or the stage itself the last time; what stood there waits in the
    journal already. Returns notices. Raises OSError.
    """
    notices: list[str] = []
    for output, path in local_outputs(job.instance):
        wanted = job.fingerprint.inputs.get(path)
        target = Path(absolute(Path(job.root), path)).resolve()
        if output.spec.mode != "update" or not wanted or backing.stands(target, wanted):
            continue
        if not backing.holds(wanted):
            told = "is updated as it stands: what the stage before left is not in the store"
            notices.append(f"{path} {told}")
            continue
        asides.remove(target)
        if not backing.give(wanted, target):
            notices.append(f"{path} begins anew: what the stage before left was damaged in the store")
    return tuple(notices)
