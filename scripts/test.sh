#!/bin/bash
# go test of every package but tests/managers, or of the given ones; SKEP_BINARY is the binary that the container
# tests run.
#
# Nothing comes from the test cache: what is tested is what the kernel does. A test that fails runs once more, and the
# summary says so: daemons, and a machine that others use too, can miss any deadline.
#
# usage: test.sh [PACKAGE...]
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$(dirname "$0")/.."

: "${SKEP_BINARY:?is not set: run make test}" "${GOTESTSUM:?is not set: run make test}"
export SKEP_BINARY
run() {
	"$GOTESTSUM" --format pkgname --hide-summary=skipped --rerun-fails=1 --rerun-fails-max-failures=8 \
		--packages "$*" -- -count=1 -timeout 60m
}

if [ $# -gt 0 ]; then
	run "$@"
elif [ "$(id -u)" = 0 ]; then
	mapfile -t packages < <(go list ./... | grep -v '/tests/managers$') # make test-managers
	run "${packages[@]}"
else
	mapfile -t packages < <(go list ./... | grep -v '/tests\(/\|$\)')
	run "${packages[@]}"
	die "NOT covered: the container tests below tests/, which need root; run: sudo env \"PATH=\$PATH\" make test"
fi
