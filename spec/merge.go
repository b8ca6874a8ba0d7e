package spec

import (
	"fmt"
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// MergeResources returns what is set once an update has been made to the
// resources that are set now. Both stay as they are, and either may be nil.
//
// What an update leaves out stays, and so does what it gives as a 0 that means
// unset. Lists are merged by the device, page size or interface of an entry;
// only the rules for devices, whose order counts, are replaced as a whole.
func MergeResources(now, update *specs.LinuxResources) *specs.LinuxResources {
	m, u := copyOf(now), copyOf(update)
	if len(u.Devices) > 0 {
		m.Devices = u.Devices
	}
	if u.Memory != nil {
		m.Memory = mergeMemory(m.Memory, u.Memory)
	}
	if u.CPU != nil {
		m.CPU = mergeCPU(m.CPU, u.CPU)
	}
	if u.Pids != nil {
		pids := copyOf(m.Pids)
		set(&pids.Limit, u.Pids.Limit)
		m.Pids = &pids
	}
	if u.BlockIO != nil {
		m.BlockIO = mergeBlockIO(m.BlockIO, u.BlockIO)
	}
	m.HugepageLimits = mergeList(m.HugepageLimits, u.HugepageLimits,
		func(h specs.LinuxHugepageLimit) string { return h.Pagesize }, replace)
	if u.Network != nil {
		network := copyOf(m.Network)
		set(&network.ClassID, u.Network.ClassID)
		network.Priorities = mergeList(network.Priorities, u.Network.Priorities,
			func(p specs.LinuxInterfacePriority) string { return p.Name }, replace)
		m.Network = &network
	}
	m.Rdma = maps.Clone(m.Rdma)
	for device, limit := range u.Rdma {
		l := m.Rdma[device]
		set(&l.HcaHandles, limit.HcaHandles)
		set(&l.HcaObjects, limit.HcaObjects)
		put(&m.Rdma, device, l)
	}
	m.Unified = maps.Clone(m.Unified)
	for file, value := range u.Unified {
		put(&m.Unified, file, value)
	}
	return &m
}

func mergeMemory(now, u *specs.LinuxMemory) *specs.LinuxMemory {
	m := copyOf(now)
	setLimit(&m.Limit, u.Limit)
	setLimit(&m.Reservation, u.Reservation)
	setLimit(&m.Swap, u.Swap)
	set(&m.Swappiness, u.Swappiness)
	set(&m.DisableOOMKiller, u.DisableOOMKiller)
	set(&m.UseHierarchy, u.UseHierarchy)
	set(&m.CheckBeforeUpdate, u.CheckBeforeUpdate)
	// Swap includes memory, and cannot stay limited where that is not any more.
	if isUnlimited(u.Limit) && (u.Swap == nil || *u.Swap == 0) && m.Swap != nil {
		m.Swap = u.Limit
	}
	return &m
}

func isUnlimited(n *int64) bool { return n != nil && *n == -1 }

func mergeCPU(now, u *specs.LinuxCPU) *specs.LinuxCPU {
	m := copyOf(now)
	setLimit(&m.Shares, u.Shares)
	setLimit(&m.Quota, u.Quota)
	setLimit(&m.Period, u.Period)
	set(&m.Burst, u.Burst)
	setLimit(&m.RealtimeRuntime, u.RealtimeRuntime)
	setLimit(&m.RealtimePeriod, u.RealtimePeriod)
	set(&m.Idle, u.Idle)
	if u.Cpus != "" {
		m.Cpus = u.Cpus
	}
	if u.Mems != "" {
		m.Mems = u.Mems
	}
	return &m
}

func mergeBlockIO(now, u *specs.LinuxBlockIO) *specs.LinuxBlockIO {
	m := copyOf(now)
	setLimit(&m.Weight, u.Weight)
	setLimit(&m.LeafWeight, u.LeafWeight)
	m.WeightDevice = mergeList(m.WeightDevice, u.WeightDevice,
		func(d specs.LinuxWeightDevice) specs.LinuxBlockIODevice { return d.LinuxBlockIODevice },
		func(now *specs.LinuxWeightDevice, u specs.LinuxWeightDevice) {
			set(&now.Weight, u.Weight)
			set(&now.LeafWeight, u.LeafWeight)
		})
	number := func(d specs.LinuxThrottleDevice) specs.LinuxBlockIODevice { return d.LinuxBlockIODevice }
	m.ThrottleReadBpsDevice = mergeList(m.ThrottleReadBpsDevice, u.ThrottleReadBpsDevice, number, replace)
	m.ThrottleWriteBpsDevice = mergeList(m.ThrottleWriteBpsDevice, u.ThrottleWriteBpsDevice, number, replace)
	m.ThrottleReadIOPSDevice = mergeList(m.ThrottleReadIOPSDevice, u.ThrottleReadIOPSDevice, number, replace)
	m.ThrottleWriteIOPSDevice = mergeList(m.ThrottleWriteIOPSDevice, u.ThrottleWriteIOPSDevice, number, replace)
	return &m
}

// mergeList updates the entries that have the same key and appends the others.
func mergeList[T any, K comparable](now, update []T, key func(T) K, merge func(now *T, update T)) []T {
	all := append([]T(nil), now...)
	place := make(map[K]int, len(all))
	for i, e := range all {
		place[key(e)] = i
	}
	for _, e := range update {
		if i, ok := place[key(e)]; ok {
			merge(&all[i], e)
			continue
		}
		place[key(e)] = len(all)
		all = append(all, e)
	}
	return all
}

func replace[T any](now *T, update T) { *now = update }

// set takes a value over if there is one.
func set[T any](now **T, update *T) {
	if update != nil {
		*now = update
	}
}

// setLimit is set for what a 0 leaves unset.
func setLimit[T int64 | uint64 | uint16](now **T, update *T) {
	if update != nil && *update != 0 {
		*now = update
	}
}

func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}

func copyOf[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// WithLimits returns a config.json with other resources and, unless nil, other
// shares of caches and memory bandwidth. All the rest stays as it is, what the
// specification does not know included.
func WithLimits(raw []byte, r *specs.LinuxResources, rdt *specs.LinuxIntelRdt) ([]byte, error) {
	var config, linux map[string]jsontext.Value
	if err := json.Unmarshal(raw, &config); err != nil {
		return nil, fmt.Errorf("decode the configuration: %w", err)
	}
	if section, ok := config["linux"]; ok {
		if err := json.Unmarshal(section, &linux); err != nil {
			return nil, fmt.Errorf("decode linux: %w", err)
		}
	}
	value, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode linux.resources: %w", err)
	}
	put(&linux, "resources", jsontext.Value(value))
	if rdt != nil {
		if value, err = json.Marshal(rdt); err != nil {
			return nil, fmt.Errorf("encode linux.intelRdt: %w", err)
		}
		put(&linux, "intelRdt", jsontext.Value(value))
	}
	if value, err = json.Marshal(linux, json.Deterministic(true)); err != nil {
		return nil, fmt.Errorf("encode linux: %w", err)
	}
	put(&config, "linux", jsontext.Value(value))
	return json.Marshal(config, json.Deterministic(true))
}
