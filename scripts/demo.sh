#!/bin/bash
# Shows what a container is: makes a bundle of a static busybox, runs it, and checks
# each thing it shows. Whatever happens, Ctrl-C included, nothing stays behind.
#
# usage: demo.sh    as root; SKEP=PATH chooses the runtime, ./skep unless set
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

here=$(realpath "$(dirname "$0")")
skep=$(realpath -e "$(command -v "${SKEP:-$here/../skep}")") || die "no skep here: run make first"
[ "$(id -u)" = 0 ] || die "the demo needs root; run it by: sudo env \"PATH=\$PATH\" make demo"
busybox=$(static_busybox) || die "a static busybox is missing (Debian: busybox-static)"

id=skep-demo-$$
tmp= # everything that the demo writes
run= # the running skep

skep() { "$skep" --root "$tmp/state" "$@"; }

# leftovers prints what exists of the container on this machine.
leftovers() {
	skep state "$id" 2>/dev/null || true
	find /sys/fs/cgroup -depth -type d -name "$id" 2>/dev/null || true
	grep -F "$tmp" /proc/self/mountinfo || true
}

# clean_up removes the container in whatever state a signal has left it: one that is
# just being created may only exist after the first attempt.
clean_up() {
	trap '' INT TERM HUP
	[ -n "$tmp" ] || return 0
	local attempt
	for attempt in {1..100}; do
		{ [ -n "$run" ] && kill -0 "$run" 2>/dev/null; } || break
		[ "$attempt" -lt 100 ] || kill -KILL "$run"
		skep delete --force "$id" >/dev/null 2>&1 || true
		sleep 0.05
	done
	skep delete --force "$id" >/dev/null 2>&1 || true
	rm -rf "$tmp"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
tmp=$(mktemp -d "${TMPDIR:-/tmp}/skep-demo.XXXXXX")

heading() {
	local format='\n%s\n'
	[ ! -t 1 ] || format='\n\033[1m%s\033[0m\n'
	# shellcheck disable=SC2059 # a format it is
	printf "$format" "$*"
}
fail() {
	echo "demo: $*" >&2
	exit 1
}

# bundle makes a root filesystem of one program under many names, and a config.json.
bundle() {
	mkdir -p "$tmp"/bundle/rootfs/{bin,dev,etc,proc,sys,tmp}
	install -m 0755 "$busybox" "$tmp/bundle/rootfs/bin/busybox"
	local applet
	for applet in sh cat dd grep hostname ls mount ps sed touch; do
		ln -s busybox "$tmp/bundle/rootfs/bin/$applet"
	done
	install -m 0755 "$here/demo/inside" "$tmp/bundle/rootfs/bin/demo"
	configure
}

# configure lets the runtime write the default config.json and changes in it what the
# demo is about.
configure() {
	local config=$tmp/bundle/config.json limit='"limit": 33554432'
	# Where there is swap, a limit on memory alone would only make the process slow.
	[ "$(wc -l </proc/swaps)" -le 1 ] || limit+=', "swap": 33554432'
	skep spec --bundle "$tmp/bundle"
	sed -i -e 's|"terminal": *true|"terminal": false|' \
		-e 's|"sh"|"/bin/demo"|' \
		-e 's|"hostname": *"[^"]*"|"hostname": "beehive"|' \
		-e 's|"linux": *{|&"cgroupsPath": "/'"$id"'",|' \
		-e 's|"resources": *{|&"memory": {'"$limit"'},|' "$config"
	local want
	for want in '"terminal": false' '/bin/demo' 'beehive' "$id" "$limit"; do
		grep -qF "$want" "$config" || fail "cannot edit the config.json that spec wrote: no $want"
	done
}

heading "A bundle: a root filesystem of busybox, and the config.json of 'skep spec'"
bundle
ls -F "$tmp/bundle" "$tmp/bundle/rootfs"
host=$(uname -n)

heading "skep run $id: everything below is printed from inside"
status=0
# In the background, so that a signal ends the wait and not only the container.
skep run --bundle "$tmp/bundle" "$id" &
run=$!
wait "$run" || status=$?
run=

heading "Back on the host: the program's exit status is skep's"
echo "exit status $status"
[ "$status" = 42 ] || fail "the container ended with $status and not with 42"
[ "$(uname -n)" = "$host" ] || fail "the host has got another name"

heading "Nothing is left: no state, cgroup or mount"
left=$(leftovers)
[ -z "$left" ] || fail "left behind: $left"
echo "nothing"
