#!/bin/bash
# go test of every package but tests/managers; SKEP_BINARY is the binary that the container tests run.
#
# Nothing comes from the test cache: what is tested is what the kernel does.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

: "${SKEP_BINARY:?is not set: run make test}"
export SKEP_BINARY
if [ "$(id -u)" = 0 ]; then
	mapfile -t packages < <(go list ./... | grep -v '/tests/managers$') # make test-managers
	exec go test -count=1 "${packages[@]}"
fi
mapfile -t packages < <(go list ./... | grep -v '/tests\(/\|$\)')
go test -count=1 "${packages[@]}"
die "NOT covered: the container tests below tests/, which need root; run: sudo env \"PATH=\$PATH\" make test"
