package spec

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Owners returns as whose ids the files of a mount are to appear: its uidMappings and gidMappings, or what
// idmap=uids=…;gids=… says, as crun has it and Podman writes it. Empty ones mean the container's user namespace.
//
// The values are triplets first-second-length, joined by #, where first is an id of the filesystem and second the
// host's. With @ before it second is an id of the container, which linux.uidMappings or gidMappings lead to the
// host's.
func (o *MountOptions) Owners(m *specs.Mount, l *specs.Linux) (uids, gids []specs.LinuxIDMapping, err error) {
	if o.owners == "" {
		return m.UIDMappings, m.GIDMappings, nil
	}
	if len(m.UIDMappings)+len(m.GIDMappings) > 0 {
		return nil, nil, errors.New("mappings are given twice, as an option and in uidMappings and gidMappings")
	}
	for part := range strings.SplitSeq(o.owners, ";") {
		kind, text, _ := strings.Cut(part, "=")
		to, container := &uids, l.UIDMappings
		switch kind {
		case "uids":
		case "gids":
			to, container = &gids, l.GIDMappings
		default:
			return nil, nil, fmt.Errorf("%q: expected uids= or gids=", part)
		}
		if *to != nil {
			return nil, nil, fmt.Errorf("%s are given twice", kind)
		}
		if *to, err = parseOwners(text, container); err != nil {
			return nil, nil, err
		}
	}
	if uids == nil || gids == nil {
		return nil, nil, errors.New("both uids= and gids= are required")
	}
	return uids, gids, nil
}

func parseOwners(text string, container []specs.LinuxIDMapping) ([]specs.LinuxIDMapping, error) {
	var list []specs.LinuxIDMapping
	for triplet := range strings.SplitSeq(text, "#") {
		absolute, relative := strings.CutPrefix(triplet, "@")
		fields := strings.Split(absolute, "-")
		if len(fields) != 3 {
			return nil, fmt.Errorf("%q: expected three numbers, as in 0-1000-1", triplet)
		}
		var v [3]uint32
		for i, field := range fields {
			n, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("%q: %q is not an id", triplet, field)
			}
			v[i] = uint32(n)
		}
		m := specs.LinuxIDMapping{ContainerID: v[0], HostID: v[1], Size: v[2]}
		if relative {
			host, ok := hostOf(m.HostID, m.Size, container)
			if !ok {
				return nil, fmt.Errorf("%q: no mapping of the container's user namespace holds these ids", triplet)
			}
			m.HostID = host
		}
		list = append(list, m)
	}
	return list, nil
}

// hostOf leads a range of the container's ids to the host's.
func hostOf(first, size uint32, mappings []specs.LinuxIDMapping) (host uint32, ok bool) {
	for _, m := range mappings {
		if first >= m.ContainerID && uint64(first)+uint64(size) <= uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (first - m.ContainerID), true
		}
	}
	return 0, false
}
