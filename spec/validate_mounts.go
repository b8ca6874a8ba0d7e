package spec

import (
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// procFiles may be mounted over: lxcfs and its like fake them. Anything else
// below /proc could redirect what the runtime and LSMs write there
// (CVE-2019-16884, CVE-2019-19921).
var procFiles = List[string]{
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/loadavg",
	"/proc/meminfo",
	"/proc/slabinfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/sys/crypto/fips_enabled",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/uptime",
}

func (v *validator) mounts(mounts []specs.Mount) {
	for i := range mounts {
		where := at("mounts", i)
		v.destination(where+".destination", mounts[i].Destination)
		v.mount(where, &mounts[i])
	}
}

func (v *validator) destination(where, destination string) {
	clean := path.Clean("/" + destination)
	switch {
	case destination == "":
		v.problem(where, "required but missing")
	case strings.IndexByte(destination, 0) >= 0:
		v.problem(where, "%q has a NUL byte", destination)
	case clean == "/":
		v.problem(where, "%q would cover the root filesystem", destination)
	case strings.HasPrefix(clean, "/proc/") && !procFiles.Has(clean):
		v.problem(where, "%q is below /proc, where only %s may be mounted", destination, strings.Join(procFiles, " "))
	case destination[0] != '/':
		v.warn(where, "%q is relative, which is deprecated; taken as %q", destination, clean)
	}
}

func (v *validator) mount(where string, m *specs.Mount) {
	v.text(where+".type", m.Type)
	v.text(where+".source", m.Source)
	options, err := ParseMountOptions(m.Options)
	if err != nil {
		v.problem(where+".options", "%v", err)
		return
	}
	switch {
	case options.Bind:
		v.bind(where, m, &options)
	case options.Remount:
	case m.Type == "":
		v.problem(where+".type", "a mount that is neither a bind mount nor a remount needs a type")
	case m.Type == "bind":
		v.problem(where+".type", `"bind" is not a filesystem: a bind mount has the option bind or rbind`)
	}
	if options.TmpCopyUp && (m.Type != "tmpfs" || options.Bind) {
		v.problem(where+".options", "tmpcopyup is for tmpfs only")
	}
	if !options.Bind {
		v.mountIDs(where, m)
	}
	v.idmap(where, m, &options)
}

func (v *validator) bind(where string, m *specs.Mount, options *MountOptions) {
	if m.Source == "" && !options.Remount {
		v.problem(where+".source", "a bind mount needs a source")
	}
	if path.Clean("/"+m.Destination) == "/proc" && strings.HasPrefix(path.Clean(m.Source), "/proc/") {
		v.warn(where+".source", "%q is a part of a procfs only, in which the paths to mask may be missing", m.Source)
	}
	if len(options.Data) == 0 {
		return
	}
	// The kernel ignores them, or changes the host's filesystem.
	for i, option := range m.Options {
		if o, err := ParseMountOptions(m.Options[i : i+1]); err == nil && len(o.Data) > 0 {
			v.problem(where+at(".options", i), "%q is an option of a filesystem, a bind mount cannot have it", option)
		}
	}
}

// mountIDs checks uid= and gid=, for which the kernel only says EINVAL.
func (v *validator) mountIDs(where string, m *specs.Mount) {
	for i, option := range m.Options {
		mappings := v.linux.UIDMappings
		value, ok := strings.CutPrefix(option, "uid=")
		if !ok {
			mappings = v.linux.GIDMappings
			if value, ok = strings.CutPrefix(option, "gid="); !ok {
				continue
			}
		}
		if id, err := strconv.ParseUint(value, 10, 32); err == nil && !mapped(uint32(id), mappings) {
			v.problem(where+at(".options", i), "%q is not mapped in the container's user namespace", option)
		}
	}
}

func (v *validator) idmap(where string, m *specs.Mount, options *MountOptions) {
	uidMappings, gidMappings, err := options.Owners(m, v.linux)
	uids, gids := len(uidMappings) > 0, len(gidMappings) > 0
	switch {
	case err != nil:
		v.problem(where+".options", "idmap: %v", err)
	case uids && !gids:
		v.problem(where+".gidMappings", "required with uidMappings")
	case gids && !uids:
		v.problem(where+".uidMappings", "required with gidMappings")
	case !uids && (options.IDMap || options.RIDMap) && !v.has(specs.UserNamespace):
		v.problem(where+".options", "idmap without uidMappings and gidMappings needs a user namespace to take them from")
	}
	v.mappings(where+".uidMappings", uidMappings)
	v.mappings(where+".gidMappings", gidMappings)
}
