#!/bin/bash
# Installs a Go program that is not in go.mod: a linter's dependencies are no business of whoever imports skep.
#
# usage: tool.sh PACKAGE@VERSION FILE
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

dir=$(realpath -m "$2").new
again env GOBIN="$dir" go install "$1"
mv "$dir"/* "$2"
rmdir "$dir"
