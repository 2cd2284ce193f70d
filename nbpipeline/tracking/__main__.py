"""`python -m nbpipeline.tracking ROOT RUN`."""

import sys

from nbpipeline.tracking.sender import main

sys.exit(main(sys.argv[1:]))
