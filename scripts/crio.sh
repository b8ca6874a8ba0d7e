#!/bin/bash
# Builds CRI-O, and the pinns that it calls, of the release below, unless the directory has them. Debian 12 has no
# packages of it. The first time takes minutes.
#
# usage: crio.sh DIRECTORY    makes DIRECTORY/crio and DIRECTORY/pinns
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

readonly module=github.com/cri-o/cri-o@v1.34.0
readonly tags=containers_image_openpgp,containers_image_ostree_stub,exclude_graphdriver_btrfs,seccomp

[ $# = 1 ] || die "usage: crio.sh DIRECTORY"
mkdir -p "$1"
cd "$1"
if [ "$(cat built-from 2>/dev/null)" = "$module $tags" ]; then
	exit 0
fi
rm -rf built-from source
# Outside of any module: this one's go.sum says nothing about it.
cache=$(cd / && go mod download -json "$module" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
# Go builds no main module inside its cache.
cp -r --no-preserve=mode "$cache" source
(cd source && go build -mod=readonly -buildvcs=false -tags "$tags" -o ../crio ./cmd/crio)
gcc -std=c99 -Os -static -o pinns source/pinns/src/*.c
rm -r source
echo "$module $tags" >built-from
