"""Which machine of SageMaker a step runs on."""

from collections.abc import Mapping
from typing import NamedTuple

from nbpipeline.errors import UsageError
from nbpipeline.model import shell_name
from nbpipeline.model.exported import ExportGiven, Task, Workflow
from nbpipeline.patterns import regex

OPTIONS: Mapping[str, str] = {
    "instance": "the instance type of all steps, or with commas of some (`train:ml.g5.xlarge`), in place of "
    "the smallest that has the stage's cores, memory and GPUs",
    "volume-size": "GB of disk of each step, in place of 30",
}


class Machine(NamedTuple):
    """An instance type of Processing jobs."""

    type: str
    cpus: int
    memory: int
    """GiB."""
    gpus: int = 0


MACHINES = (
    Machine("ml.m5.large", 2, 8),
    Machine("ml.r5.large", 2, 16),
    Machine("ml.m5.xlarge", 4, 16),
    Machine("ml.r5.xlarge", 4, 32),
    Machine("ml.m5.2xlarge", 8, 32),
    Machine("ml.r5.2xlarge", 8, 64),
    Machine("ml.m5.4xlarge", 16, 64),
    Machine("ml.r5.4xlarge", 16, 128),
    Machine("ml.r5.8xlarge", 32, 256),
    Machine("ml.m5.12xlarge", 48, 192),
    Machine("ml.r5.12xlarge", 48, 384),
    Machine("ml.m5.24xlarge", 96, 384),
    Machine("ml.r5.24xlarge", 96, 768),
    Machine("ml.g4dn.xlarge", 4, 16, 1),
    Machine("ml.g4dn.2xlarge", 8, 32, 1),
    Machine("ml.g4dn.4xlarge", 16, 64, 1),
    Machine("ml.g4dn.8xlarge", 32, 128, 1),
    Machine("ml.g4dn.12xlarge", 48, 192, 4),
    Machine("ml.g5.48xlarge", 192, 768, 8),
)
"""By price: general and memory-rich machines, then NVIDIA T4, then A10G."""
_TYPE = regex(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
_LARGEST_DISK = 16384


def resources(workflow: Workflow, given: ExportGiven) -> Mapping[str, dict[str, object]]:
    """Give `ClusterConfig` by stage. Raises UsageError for an option, or where no machine is enough."""
    chosen = _chosen(workflow, given)
    disk = _disk(given)
    return {
        task.stage: {
            "InstanceCount": 1,
            "InstanceType": chosen.get(task.stage) or chosen.get("") or _smallest(task),
            "VolumeSizeInGB": disk,
        }
        for task in workflow.tasks
    }


def _chosen(workflow: Workflow, given: ExportGiven) -> Mapping[str, str]:
    """Read `--set instance`: types by stages, all others under the empty name."""
    value = given.options.get("instance", "")
    stages = {task.stage for task in workflow.tasks}
    found: dict[str, str] = {}
    for part in filter(None, value.split(",")):
        stage, _, type_ = part.rpartition(":")
        if not _TYPE.fullmatch(type_) or (stage and stage not in stages):
            raise UsageError.of(
                f"--set instance={value}: '{part}' is no instance type, or of no stage.",
                mend="write --set instance=ml.m5.xlarge, or --set instance=STAGE:ml.g5.xlarge,ml.m5.xlarge",
            )
        found[stage] = type_
    return found


def _disk(given: ExportGiven) -> int:
    value = given.options.get("volume-size", "30")
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= _LARGEST_DISK):
        raise UsageError.of(
            f"--set volume-size={value}: no size of a disk in GB.",
            mend=f"write a whole number from 1 to {_LARGEST_DISK}",
        )
    return int(value)


def _smallest(task: Task) -> str:
    asked = task.resources
    for one in MACHINES:
        enough = one.cpus >= asked.cpus and one.memory * 2**30 >= (asked.memory or 0)
        if enough and one.gpus >= asked.gpus and (one.gpus > 0) == (asked.gpus > 0):
            return one.type
    raise UsageError.of(
        f"{shell_name(task.id)} asks for more cores, memory or GPUs than the known machines have.",
        mend=f"name one: --set instance={task.stage}:TYPE",
    )
