# What the scripts share; sourced, not run.
# shellcheck shell=bash

has() { command -v "$1" >/dev/null 2>&1; }

# die ends the script with one sentence and status 2: something is missing here,
# as opposed to 1, something is wrong with the code.
die() {
	echo "$(basename "$0"): $*" >&2
	exit 2
}

# again runs a command that fetches something, up to three times: mirrors and proxies fail to answer now and then.
again() {
	local pause
	for pause in 5 30; do
		! "$@" || return 0
		sleep "$pause"
	done
	"$@"
}

# static_busybox prints the path of a busybox that needs no libraries.
static_busybox() {
	local path
	path=$(command -v busybox) && ! ldd "$path" >/dev/null 2>&1 && echo "$path"
}
