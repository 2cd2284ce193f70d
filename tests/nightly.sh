#!/usr/bin/env bash
# What takes too long for every change, in parts; one that fails holds up no other, and the last lines say how each went.
#
#   tests     the tests marked `nightly`
#   examples  the quick tests with other random examples than every change has
#   parity    the zoo and the example on every target of `export` (`python tests/parity.py` alone also writes the table
#             docs/reference/parity.md)
#   fuzz      the fuzzer, two minutes a target
#   mutants   mutation tests of the modules whose mistakes would be silent
#
#   bash tests/nightly.sh                                     # all; of the mutants 600, fuzzed otherwise every day
#   bash tests/nightly.sh parity fuzz                         # two of the parts
#   bash tests/nightly.sh mutants --all                       # every mutant: about two hours
#   bash tests/nightly.sh mutants 'nbpipeline.plan.*'         # the mutants that match
#   bash tests/nightly.sh mutants --fresh ['nbpipeline.plan.*']   # as if none had been tried before
#
# mutmut keeps its results in mutants/: a call goes on where an earlier one stopped, but for functions that have changed.
# Uses .venv as the README's second command leaves it.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PYTHONDONTWRITEBYTECODE
export NBPIPELINE_NEEDS_BROWSER=1   # tests that open pages must not be skipped
PARTS=(tests examples parity fuzz mutants)
trap 'exit 130' INT

do_tests() { .venv/bin/python -m pytest -q -n 2 -m nightly --timeout 3600; }

do_examples() { NBPIPELINE_TEST_PROFILE=nightly .venv/bin/python -m pytest -q -n 2 tests/unit tests/fuzz; }

do_parity() { .venv/bin/python tests/parity.py -j 2 --no-page; }

do_fuzz() { .venv/bin/python tests/fuzz/fuzz.py --target all --seconds 120 --seed "$(date +%Y%m%d)"; }

do_mutants() {
  if [ "${1:-}" = --fresh ]; then
    rm -rf mutants
    shift
  fi
  local pattern sample names
  case "${1:-}" in
    "") pattern='*' sample=(--sample 600 --seed "$(date +%F)") ;;
    --all) pattern='*' sample=() ;;
    *) pattern=$1 sample=() ;;
  esac
  export NBPIPELINE_TEST_PROFILE=mutants   # few examples a property: every mutant is tried with all of them
  list() {
    local found
    found=$(.venv/bin/python tests/mutants.py "$pattern" "${sample[@]}")
    names=()
    [ -z "$found" ] || mapfile -t names <<<"$found"
  }
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
}

asked=()
while [ $# -gt 0 ] && [ "${asked[*]: -1}" != mutants ]; do   # what follows `mutants` is for them
  if ! printf '%s\n' "${PARTS[@]}" | grep -qxF -- "$1"; then
    echo "there is no part '$1'; known parts: ${PARTS[*]}" >&2
    exit 2
  fi
  asked+=("$1")
  shift
done
[ ${#asked[@]} -gt 0 ] || asked=("${PARTS[@]}")
if printf '%s\n' "${PARTS[@]}" | grep -qxF -- "${1:--}"; then
  echo "'mutants' is the last of the parts that are asked for: what follows it is a pattern of them" >&2
  exit 2
fi
told=() code=0
for part in "${asked[@]}"; do
  began=$SECONDS ended=passed
  printf '\n=== %s\n' "$part"
  set +e   # and not `||`, within which the part would go on after what fails
  ( set -e; "do_$part" "$@" )
  [ $? -eq 0 ] || ended=FAILED code=1
  set -e
  told+=("$part: $ended, $((SECONDS - began)) s")
done
printf '\n'
printf '=== %s\n' "${told[@]}"
exit $code
