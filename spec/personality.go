package spec

import "github.com/opencontainers/runtime-spec/specs-go"

// Personalities lists the execution domains of personality(2)
// (PER_LINUX, PER_LINUX32).
var Personalities = Table[specs.LinuxPersonalityDomain, uint32]{
	{specs.PerLinux, 0x0},
	{specs.PerLinux32, 0x8},
}
