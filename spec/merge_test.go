package spec

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// CLI-15 CGB-06: what an update leaves out stays.
func TestMergeResources(t *testing.T) {
	for _, tt := range []struct{ name, now, update, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"to nothing", `{"pids":{"limit":7}}`, `{}`, `{"pids":{"limit":7}}`},
		{"memory", `{"memory":{"limit":1,"swappiness":3}}`, `{"memory":{"reservation":2,"limit":null}}`,
			`{"memory":{"limit":1,"reservation":2,"swappiness":3}}`},
		{"0 is unset", `{"memory":{"limit":1,"swap":2},"cpu":{"shares":4,"quota":5,"period":6}}`,
			`{"memory":{"limit":0,"swap":0,"reservation":0},"cpu":{"shares":0,"quota":0,"period":0},"blockIO":{"weight":0}}`,
			`{"memory":{"limit":1,"swap":2},"cpu":{"shares":4,"quota":5,"period":6},"blockIO":{}}`},
		{"0 is a value", `{"cpu":{"burst":4,"idle":1},"pids":{"limit":5}}`, `{"cpu":{"burst":0,"idle":0},"pids":{"limit":0}}`,
			`{"cpu":{"burst":0,"idle":0},"pids":{"limit":0}}`},
		{"unlimited", `{"memory":{"limit":1,"swap":2}}`, `{"memory":{"limit":-1}}`, `{"memory":{"limit":-1,"swap":-1}}`},
		{"unlimited but swap", `{"memory":{"limit":1,"swap":2}}`, `{"memory":{"limit":-1,"swap":5}}`, `{"memory":{"limit":-1,"swap":5}}`},
		{"cpu", `{"cpu":{"cpus":"0","mems":"0","realtimePeriod":4}}`, `{"cpu":{"cpus":"1","realtimeRuntime":3}}`,
			`{"cpu":{"cpus":"1","mems":"0","realtimeRuntime":3,"realtimePeriod":4}}`},
		{"devices as a whole", `{"devices":[{"allow":false},{"allow":true,"type":"c"}]}`, `{"devices":[{"allow":true}]}`, `{"devices":[{"allow":true}]}`},
		{"no devices", `{"devices":[{"allow":false}]}`, `{"devices":[]}`, `{"devices":[{"allow":false}]}`},
		{"hugepages", `{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":2}]}`,
			`{"hugepageLimits":[{"pageSize":"1GB","limit":3},{"pageSize":"64KB","limit":4}]}`,
			`{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"1GB","limit":3},{"pageSize":"64KB","limit":4}]}`},
		{"blockIO", `{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":20}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}`,
			`{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":30}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":2},{"major":8,"minor":16,"rate":3}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}}`,
			`{"blockIO":{"weight":10,"weightDevice":[{"major":8,"minor":0,"weight":20,"leafWeight":30}],"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":2},{"major":8,"minor":16,"rate":3}],"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":4}]}}`},
		{"network", `{"network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]}}`,
			`{"network":{"priorities":[{"name":"eth0","priority":2},{"name":"eth1","priority":3}]}}`,
			`{"network":{"classID":1,"priorities":[{"name":"eth0","priority":2},{"name":"eth1","priority":3}]}}`},
		{"rdma", `{"rdma":{"a":{"hcaHandles":1}}}`, `{"rdma":{"a":{"hcaObjects":2},"b":{"hcaHandles":3}}}`,
			`{"rdma":{"a":{"hcaHandles":1,"hcaObjects":2},"b":{"hcaHandles":3}}}`},
		{"unified", `{"unified":{"memory.high":"1","cpu.weight":"2"}}`, `{"unified":{"memory.high":"3"}}`,
			`{"unified":{"memory.high":"3","cpu.weight":"2"}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now, update := resourcesOf(t, tt.now), resourcesOf(t, tt.update)
			got := MergeResources(now, update)
			if !sameJSON(t, got, resourcesOf(t, tt.want)) {
				t.Errorf("got %s", asText(t, got))
			}
			if !reflect.DeepEqual(now, resourcesOf(t, tt.now)) || !reflect.DeepEqual(update, resourcesOf(t, tt.update)) {
				t.Error("what is merged has changed")
			}
		})
	}
	if got := MergeResources(nil, nil); !reflect.DeepEqual(got, &specs.LinuxResources{}) {
		t.Errorf("nothing: %+v", got)
	}
}

// WithLimits leaves all else alone, and its result is a configuration.
func TestWithLimits(t *testing.T) {
	limit := int64(7)
	r := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}, HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}}}
	for raw, want := range map[string]string{
		`{"ociVersion":"1.0.2","x-unknown":{"a":[1,null]},"linux":{"resources":{"memory":{}},"namespaces":[{"type":"pid"}]}}`: `{"ociVersion":"1.0.2","x-unknown":{"a":[1,null]},"linux":{"resources":{"pids":{"limit":7},"hugepageLimits":[{"pageSize":"2MB","limit":0}]},"namespaces":[{"type":"pid"}]}}`,
		`{"ociVersion":"1.0.2"}`: `{"ociVersion":"1.0.2","linux":{"resources":{"pids":{"limit":7},"hugepageLimits":[{"pageSize":"2MB","limit":0}]}}}`,
	} {
		got, err := WithLimits([]byte(raw), r, nil)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(got, &a) != nil || json.Unmarshal([]byte(want), &b) != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("got %s", got)
		}
		if s, _, err := Parse(got); err != nil || *s.Linux.Resources.Pids.Limit != 7 {
			t.Errorf("%s: %v", got, err)
		}
	}
	for _, bad := range []string{"", "[]", `{"linux":3}`, `{"linux":{},"linux":{}}`} {
		if got, err := WithLimits([]byte(bad), r, nil); err == nil {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

func resourcesOf(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	r, _, err := ParseResources([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func asText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func sameJSON(t *testing.T, a, b any) bool { return asText(t, a) == asText(t, b) }
