"""Pieces of the programs that run in a task's container and call `nbpipeline run-stage`."""

from collections.abc import Mapping

from nbpipeline.exporters.rendering.parameters import Given
from nbpipeline.exporters.rendering.source import python
from nbpipeline.model.exported import Workflow

RUN = '''\
def run(words):
    """Run the command, which is told when the task is to end; gives its exit code."""
    process = subprocess.Popen(words)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code
'''
RUN_NAMED = f'''\
{RUN}

def as_text(value):
    """Read a name, which is JSON where the service would have taken a part of it for its own."""
    return json.loads(value) if value.startswith('"') else value
'''


def command(workflow: Workflow) -> str:
    """Write the words of the command, but for the instance and what it is given."""
    profile = ["--profile", workflow.profile] if workflow.profile else []
    return python(["nbpipeline", "run-stage", "--fetch", *profile])


def table(parameters: Mapping[str, Given]) -> str:
    """Write what the program has to know of each parameter: its name in the pipeline, and its kind."""
    return python({one.name: (one.setting.name, one.kind) for one in parameters.values()})
