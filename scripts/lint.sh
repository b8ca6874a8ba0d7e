#!/bin/bash
# Looks at the code without running it. Every check runs, so that one pass shows
# everything there is to mend.
set -uo pipefail
cd "$(dirname "$0")/.." || exit

status=0

# check runs a command and remembers that it failed or, with -q first, that it said
# something: gofmt and grep report by printing.
check() {
	local name=$1 out
	shift
	echo "lint: $name"
	if [ "$1" = -q ]; then
		shift
		out=$("$@") || true
		[ -z "$out" ] || { echo "$out"; echo "lint: $name: failed"; status=1; }
		return
	fi
	"$@" || { echo "lint: $name: failed"; status=1; }
}

# files lists what is committed or about to be.
files() { git ls-files --cached --others --exclude-standard -- "$@"; }

mapfile -t go_files < <(files '*.go')
mapfile -t c_files < <(files '*.c')
mapfile -t shell_files < <(
	files '*.sh' '.ci/*' 'tests/vm/guest/*' | while read -r file; do
		case $(head -n 2 "$file") in
		'#!'*sh* | *'shellcheck shell='*) echo "$file" ;;
		esac
	done
)

# warnings compiles the C with a compiler's warnings as errors. Not in the cgo flags:
# there a newer compiler's new warning would break the build of whoever imports us.
# shellcheck disable=SC2317 # called through check
warnings() {
	local file
	for file in "${c_files[@]}"; do
		"$1" -O2 -Wall -Wextra -Werror -c -o /dev/null "$file" || return
	done
}

# machine_paths finds what only this checkout or its owner's home can explain. /home/user is in the tests' images.
# shellcheck disable=SC2317 # called through check
machine_paths() {
	local home='/(home|Users)/[a-z][a-z0-9_-]*/'
	git grep -nIE --untracked -e "$home" -- ':!LICENSE' | grep -vE '/home/user/'
	git grep -nIF --untracked -e "$PWD/" -e "$(go env GOMODCACHE)" -e "$(go env GOCACHE)"
}

check gofmt -q gofmt -l "${go_files[@]}"
check 'go vet' go vet ./...
check golangci-lint "${GOLANGCI_LINT:-golangci-lint}" run --allow-parallel-runners # others may lint other checkouts
check sizes go run ./scripts/sizes "${go_files[@]}" "${c_files[@]}" "${shell_files[@]}"
for cc in gcc clang; do
	if command -v "$cc" >/dev/null; then
		check "$cc -Wall -Wextra -Werror" warnings "$cc"
	fi
done
check shellcheck shellcheck -x "${shell_files[@]}"
if command -v mandoc >/dev/null; then
	check mandoc mandoc -T lint -W warning docs/man/*.8
fi
check 'paths of one machine' -q machine_paths
exit "$status"
