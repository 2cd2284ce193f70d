#!/usr/bin/env bash
# What takes too long for every change: the tests marked `nightly`, the zoo and the example on every target of `export`
# (`python tests/parity.py` alone also writes docs/reference/parity.md), the fuzzer for two minutes a target, then mutation
# tests of the modules whose mistakes would be silent.
#
#   bash tests/nightly.sh                                     # all; of the mutants 600, fuzzed otherwise every day
#   bash tests/nightly.sh mutants                             # the last part alone
#   bash tests/nightly.sh mutants --all                       # every mutant: about two hours
#   bash tests/nightly.sh mutants 'nbpipeline.plan.*'         # the mutants that match
#   bash tests/nightly.sh mutants --fresh ['nbpipeline.plan.*']   # as if none had been tried before
#
# mutmut keeps its results in mutants/: a call goes on where an earlier one stopped, but for functions that have changed.
# Uses .venv as the README's second command leaves it.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE

if [ "${1:-}" = mutants ]; then
  shift
else
  .venv/bin/python -m pytest -q -n 2 -m nightly --timeout 3600
  NBPIPELINE_TEST_PROFILE=nightly .venv/bin/python -m pytest -q -n 2 tests/unit tests/fuzz   # other examples than every change
  .venv/bin/python tests/parity.py -j 2 --no-page
  .venv/bin/python tests/fuzz/fuzz.py --target all --seconds 120 --seed "$(date +%Y%m%d)"
fi
if [ "${1:-}" = --fresh ]; then
  rm -rf mutants
  shift
fi
export NBPIPELINE_TEST_PROFILE=mutants   # few examples a property: every mutant is tried with all of them
case "${1:-}" in
  "") pattern='*' sample=(--sample 600 --seed "$(date +%F)") ;;
  --all) pattern='*' sample=() ;;
  *) pattern=$1 sample=() ;;
esac
list() { mapfile -t names < <(.venv/bin/python tests/mutants.py "$pattern" "${sample[@]}"); }
list
if [ "${names[*]}" = "$pattern" ]; then   # sources are new or have changed; mutmut makes mutants only while it tries some
  .venv/bin/mutmut run 'nbpipeline.graph.*__mutmut_1'
  list
fi
if [ -z "${names[*]}" ]; then
  echo "every mutant that matches was tried before; \`--fresh\` tries them again"
else
  .venv/bin/mutmut run "${names[@]}"
fi
.venv/bin/mutmut results | { grep -v ': not checked$' || true; }
