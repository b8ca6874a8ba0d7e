// Skep is a low-level OCI container runtime: it runs the container that a bundle
// describes. See libcontainer/cli for its commands and libcontainer for the same as a
// library.
package main

import (
	_ "embed"
	"os"
	"strings"

	"skep/libcontainer/cli"
)

// version is embedded and not stamped, so that a plain go build knows it too.
//
//go:embed VERSION
var version string

// commit is stamped by the Makefile; it is empty in a plain go build.
var commit string

func main() {
	os.Exit(cli.Main(os.Args, cli.Build{Version: strings.TrimSpace(version), Commit: commit}))
}
