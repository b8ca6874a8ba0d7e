#!/bin/bash
# Builds the Go program that README.md shows, in a module of its own that finds skep
# through a replace line, as README.md says. A bundle that does not exist then tells
# that the program runs and reports errors.
set -euo pipefail
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
go mod tidy
go build -o importer .
echo "import-check: README.md's program builds in a module of its own"
