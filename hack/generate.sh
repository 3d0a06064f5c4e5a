#!/usr/bin/env bash
# Regenerates what is generated from api/: deepcopy functions and CRDs. The same
# sources give the same bytes; `make generate` compares them with what is
# committed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

controller_gen() { go tool -modfile=hack/tools/go.mod controller-gen "$@"; }

controller_gen object paths=./api/...
# A kind that is gone must not leave its CRD behind.
rm -f config/crd/fairlead.dev_*.yaml
controller_gen crd paths=./api/... output:crd:dir=config/crd
