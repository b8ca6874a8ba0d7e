package spec

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// Build is what the features tell about a build and this package's tables do
// not know.
type Build struct {
	Version, Commit string // of skep; the commit may be empty
	Libseccomp      string // version of the linked library
	SeccompArchs    []string
	SeccompFlags    []string // those that the running kernel takes
}

// minVersion is the oldest version of the specification whose configurations
// are accepted.
const minVersion = "1.0.0"

// The annotations that change what skep does.
const (
	// SystemdProperty begins one that sets a property of the container's systemd
	// unit, which the rest of the key names.
	SystemdProperty = "org.systemd.property."
	// CriuConfig names criu's configuration file; empty means none.
	CriuConfig = "org.criu.config"
	// MountContextType chooses the kind of context that linux.mountLabel becomes; crun has introduced it, and Podman
	// asks for rootcontext where systemd is to label files in the container.
	MountContextType = "run.oci.mount_context_type"
)

// The annotations of the features.
const (
	versionAnnotation    = "skep.version"
	commitAnnotation     = "skep.commit"
	libseccompAnnotation = "io.github.seccomp.libseccomp.version"
)

// Features tells what a configuration may ask for (features.md,
// features-linux.md): what this build can do, whatever the host has of it. Only
// seccomp.supportedFlags depends on the kernel.
func Features(b Build) *features.Features {
	annotations := map[string]string{versionAnnotation: b.Version, libseccompAnnotation: b.Libseccomp}
	if b.Commit != "" {
		annotations[commitAnnotation] = b.Commit
	}
	return &features.Features{
		OCIVersionMin: minVersion,
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  MountOptionNames(),
		Linux:         linuxFeatures(b),
		Annotations:   annotations,

		PotentiallyUnsafeConfigAnnotations: []string{CriuConfig, SystemdProperty, MountContextType},
	}
}

func linuxFeatures(b Build) *features.Linux {
	yes := true
	return &features.Linux{
		Namespaces:   Namespaces.Names(),
		Capabilities: Capabilities.Names(),
		Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
		Seccomp: &features.Seccomp{
			Enabled:        &yes,
			Actions:        SeccompActions.Names(),
			Operators:      SeccompOperators.Names(),
			Archs:          b.SeccompArchs,
			KnownFlags:     SeccompFlags.Names(),
			SupportedFlags: b.SeccompFlags,
		},
		Apparmor:        &features.Apparmor{Enabled: &yes},
		Selinux:         &features.Selinux{Enabled: &yes},
		IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
		MemoryPolicy:    &features.MemoryPolicy{Modes: MemoryPolicyModes.Names(), Flags: MemoryPolicyFlags.Names()},
		MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
		NetDevices:      &features.NetDevices{Enabled: &yes},
	}
}
