"""What the stages mean together: instances, their paths and parameters, the edges between them.

`build` makes a `Pipeline`, which cannot exist with a circle, from a `ProjectSpec`, or says everything
that is in the way. `missing_inputs` warns of files that nobody makes and that are not there.
"""

from nbpipeline.pipeline.build import build
from nbpipeline.pipeline.missing import missing_inputs

__all__ = ["build", "missing_inputs"]
