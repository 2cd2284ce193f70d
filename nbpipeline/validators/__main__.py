"""`python -m nbpipeline.validators [VALIDATOR]...`."""

import sys

from nbpipeline.validators.process import main

sys.exit(main(sys.argv[1:]))
