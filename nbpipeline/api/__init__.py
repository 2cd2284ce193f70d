"""The composition root: a project's folder in, everything that the commands do out.

::

    project = nbpipeline.Project(".", params={"train.C": 0.5})
    for step in project.plan("+train").steps:
        print(step.instance.id, step.action)
    result = project.run("+train")
"""

from nbpipeline.api.project import Project

__all__ = ["Project"]
