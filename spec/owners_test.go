package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// IDM-13: crun's form of mappings, absolute and relative to the container's user namespace.
func TestOwners(t *testing.T) {
	l := &specs.Linux{
		UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}, {ContainerID: 1, HostID: 2, Size: 1000}},
		GIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 5000, Size: 10}},
	}
	ids := func(v ...uint32) (list []specs.LinuxIDMapping) {
		for v := range slices.Chunk(v, 3) {
			list = append(list, specs.LinuxIDMapping{ContainerID: v[0], HostID: v[1], Size: v[2]})
		}
		return list
	}
	for option, want := range map[string]struct {
		uids, gids []specs.LinuxIDMapping
		err        string
	}{
		"uids=0-1-10#10-11-10;gids=0-100-10": {ids(0, 1, 10, 10, 11, 10), ids(0, 100, 10), ""},
		"uids=@1-3-10;gids=7-@5-1":           {err: `"7-@5-1": "@5" is not an id`},
		"uids=@1-3-10;gids=@7-5-1#8-9-1":     {ids(1, 4, 10), ids(7, 5005, 1, 8, 9, 1), ""},
		"gids=@0-0-10;uids=@0-0-1":           {ids(0, 0, 1), ids(0, 5000, 10), ""},
		"uids=@0-0-2;gids=0-0-1":             {err: `"@0-0-2": no mapping of the container's user namespace`},
		"uids=@0-1-1001;gids=0-0-1":          {err: "no mapping"},
		"uids=0-1-10":                        {err: "both uids= and gids= are required"},
		"uids=0-1;gids=0-1-1":                {err: `"0-1": expected three numbers`},
		"uids=;gids=0-1-1":                   {err: `"": expected three numbers`},
		"uids=0-1-1;uids=0-1-1":              {err: "uids are given twice"},
		"uids=0-1-1;pids=0-1-1":              {err: `"pids=0-1-1": expected uids= or gids=`},
		"0-1-1":                              {err: `"0-1-1": expected uids= or gids=`},
		"uids=0-1-4294967296;gids=0-1-1":     {err: `"4294967296" is not an id`},
	} {
		for _, word := range []string{"idmap", "ridmap"} {
			o, err := ParseMountOptions([]string{"rbind", word + "=" + option, "ro"})
			if err != nil || o.IDMap == (word == "ridmap") || o.RIDMap != (word == "ridmap") || len(o.Data) > 0 {
				t.Fatalf("%s=%s: %+v, %v", word, option, o, err)
			}
			uids, gids, err := o.Owners(&specs.Mount{}, l)
			if want.err != "" && (err == nil || !strings.Contains(err.Error(), want.err)) || want.err == "" && err != nil {
				t.Errorf("%s=%s: %v", word, option, err)
			}
			if !slices.Equal(uids, want.uids) || !slices.Equal(gids, want.gids) {
				t.Errorf("%s=%s: %v %v", word, option, uids, gids)
			}
		}
	}
	o, _ := ParseMountOptions([]string{"bind", "idmap=uids=0-1-1;gids=0-1-1"})
	if _, _, err := o.Owners(&specs.Mount{UIDMappings: l.UIDMappings}, l); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Error(err)
	}
	o, _ = ParseMountOptions([]string{"bind", "idmap=uids=0-1-1;gids=0-1-1", "idmap"}) // the last one wins
	if uids, _, err := o.Owners(&specs.Mount{}, l); err != nil || uids != nil {
		t.Errorf("%v %v", uids, err)
	}
}
