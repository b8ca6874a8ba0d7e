package spec

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Options are the facts outside a configuration that decide whether it is
// valid. What depends on the host's kernel, cgroup version or files is not
// judged here.
type Options struct {
	Rootless      bool // the runtime does not run as root
	NoPivot       bool // --no-pivot
	Detached      bool // the runtime does not stay: create, run --detach
	ConsoleSocket bool // --console-socket
}

// Validate reports everything that is wrong with a configuration, as
// [Problems] in the order of the specification, and warnings for what is legal
// but will not do what its author may expect.
func Validate(s *specs.Spec, opt Options) (warnings []string, err error) {
	v := &validator{opt: opt, linux: s.Linux}
	if v.linux == nil {
		v.linux = new(specs.Linux)
	}
	v.version(s.Version)
	v.root(s.Root)
	v.mounts(s.Mounts)
	if s.Process != nil {
		v.process(s.Process)
		v.console(s.Process)
	}
	v.uts(s.Hostname, s.Domainname)
	v.hooks(s.Hooks)
	v.annotations(s.Annotations)
	v.namespaces()
	v.devices()
	v.netDevices()
	v.text("linux.cgroupsPath", v.linux.CgroupsPath)
	v.resources(v.linux.Resources)
	v.rdt(v.linux.IntelRdt)
	v.memoryPolicy(v.linux.MemoryPolicy)
	v.sysctl(v.linux.Sysctl)
	v.paths()
	v.personality(v.linux.Personality)
	v.seccomp(v.linux.Seccomp)
	return v.warnings, v.problems.err()
}

// ValidateProcess is [Validate] for the process of exec. The container's
// configuration, which may be nil, says which ids exist.
func ValidateProcess(p *specs.Process, container *specs.Spec, opt Options) (warnings []string, err error) {
	v := &validator{opt: opt, linux: new(specs.Linux)}
	if container != nil && container.Linux != nil {
		v.linux = container.Linux
	}
	v.process(p)
	v.console(p)
	return v.warnings, v.problems.err()
}

// ValidateResources is [Validate] for the resources of update.
func ValidateResources(r *specs.LinuxResources, opt Options) (warnings []string, err error) {
	v := &validator{opt: opt, linux: new(specs.Linux)}
	v.resources(r)
	return v.warnings, v.problems.err()
}

// ValidateIntelRdt is [Validate] for the schemas of update.
func ValidateIntelRdt(r *specs.LinuxIntelRdt) error {
	v := &validator{linux: new(specs.Linux)}
	v.rdt(r)
	return v.problems.err()
}

// A validator collects what is found.
type validator struct {
	opt      Options
	linux    *specs.Linux // never nil
	problems Problems
	warnings []string
}

// problem adds a problem; the format is used for problems only, so that a
// sound configuration does not pay for it.
func (v *validator) problem(path, format string, args ...any) {
	v.problems = append(v.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (v *validator) warn(path, format string, args ...any) {
	v.warnings = append(v.warnings, Problem{path, fmt.Sprintf(format, args...)}.String())
}

// has reports whether the container has a namespace of its own, new or joined.
func (v *validator) has(t specs.LinuxNamespaceType) bool {
	return FindNamespace(v.linux, t) != nil
}

// text refuses what no system call can take.
func (v *validator) text(path, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		v.problem(path, "%q has a NUL byte", s)
	}
}

// absolute wants an absolute path.
func (v *validator) absolute(where, name string) {
	switch {
	case name == "":
		v.problem(where, "required but missing")
	case !path.IsAbs(name):
		v.problem(where, "%q is not an absolute path", name)
	default:
		v.text(where, name)
	}
}

// version takes every 1.x.y: later minor versions only add (features.md).
func (v *validator) version(version string) {
	switch {
	case version == "":
		v.problem("ociVersion", "required but missing")
	case !isSemVer(version):
		v.problem("ociVersion", "%q is not a version of the form MAJOR.MINOR.PATCH (SemVer 2.0.0)", version)
	case !strings.HasPrefix(version, "1."):
		v.problem("ociVersion", "%q is not supported, only 1.x.y is", version)
	}
}

// isSemVer follows the grammar of https://semver.org/spec/v2.0.0.html.
func isSemVer(s string) bool {
	s, build, hasBuild := strings.Cut(s, "+")
	core, pre, hasPre := strings.Cut(s, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) != 3 {
		return false
	}
	for _, n := range numbers {
		if !isNumber(n) {
			return false
		}
	}
	return (!hasPre || semVerTail(pre, true)) && (!hasBuild || semVerTail(build, false))
}

// semVerTail checks dot separated identifiers; numbers among those of a
// pre-release have no leading zero.
func semVerTail(s string, pre bool) bool {
	for id := range strings.SplitSeq(s, ".") {
		digits := true
		for _, c := range []byte(id) {
			switch {
			case '0' <= c && c <= '9':
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-':
				digits = false
			default:
				return false
			}
		}
		if id == "" || pre && digits && !isNumber(id) {
			return false
		}
	}
	return true
}

// isNumber reports whether s is a decimal number without leading zeros.
func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == "" && (s == "0" || s[0] != '0')
}

func (v *validator) root(root *specs.Root) {
	switch {
	case root == nil:
		v.problem("root", "required but missing")
	case root.Path == "":
		v.problem("root.path", "required but missing")
	default:
		v.text("root.path", root.Path)
	}
}

func (v *validator) annotations(annotations map[string]string) {
	if _, ok := annotations[""]; ok {
		v.problem(`annotations[""]`, "a key cannot be empty")
	}
}
