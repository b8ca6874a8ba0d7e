package cli

import (
	"encoding/json"

	"github.com/opencontainers/runtime-spec/specs-go/features"
	"github.com/urfave/cli/v2"

	"skep/libcontainer/seccomp"
	"skep/spec"
)

// featureReport prints the list of annotations also when it is empty: a missing one would mean that nobody knows.
type featureReport struct {
	*features.Features
	UnsafeAnnotations []string `json:"potentiallyUnsafeConfigAnnotations"`
}

func (a *app) featuresCommand() *cli.Command {
	return a.define(&cli.Command{
		Name:  "features",
		Usage: "print what configurations may ask for, as JSON",
		Action: func(*cli.Context) error {
			f := spec.Features(spec.Build{
				Version: a.build.Version, Commit: a.build.Commit, Libseccomp: seccomp.Version(),
				SeccompArchs: seccomp.Archs(), SeccompFlags: seccomp.Flags(),
			})
			encoder := json.NewEncoder(a.stdout)
			encoder.SetIndent("", "    ")
			return encoder.Encode(featureReport{f, f.PotentiallyUnsafeConfigAnnotations})
		},
	})
}
