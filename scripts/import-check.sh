#!/bin/bash
# Builds the Go program that README.md shows, in a module of its own that finds skep
# through a replace line, as README.md says; and runs it where there is no bundle, which
# it has to say.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
here=$(realpath "$(dirname "$0")/..")

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
awk '/^```go$/ { code = 1; next } /^```$/ { code = 0 } code' "$here/README.md" >"$tmp/main.go"
grep -q '"skep/libcontainer"' "$tmp/main.go" || {
	echo "import-check: README.md shows no program that imports skep/libcontainer" >&2
	exit 1
}

cd "$tmp"
go mod init example.org/importer
go mod edit -require=skep@v0.0.0 -replace="skep=$here"
again go mod tidy
go build -o importer .
if out=$(./importer 2>&1); then
	echo "import-check: README.md's program made a container without a bundle: $out" >&2
	exit 1
fi
case $out in
*hive*) echo "import-check: README.md's program builds and says: $out" ;;
*)
	echo "import-check: README.md's program does not name the bundle it misses: $out" >&2
	exit 1
	;;
esac
