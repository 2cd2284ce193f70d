#!/usr/bin/env bash
# What takes too long for every change: the tests marked `nightly`, then mutation tests of the modules whose mistakes would
# be silent. Run `bash tests/nightly.sh`, or `bash tests/nightly.sh mutants` for the second half alone. Uses .venv as the
# README's second command leaves it.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE

if [ "${1:-}" != mutants ]; then
  .venv/bin/python -m pytest -q -n 2 -m nightly --timeout 3600
fi
rm -rf mutants
export NBPIPELINE_TEST_PROFILE=mutants   # few examples a property: every mutant is tried with all of them
.venv/bin/mutmut run
.venv/bin/mutmut results
