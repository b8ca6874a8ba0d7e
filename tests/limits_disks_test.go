package tests

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// disksHaveWeights tells whether a disk can be made whose scheduler has weights.
func disksHaveWeights() bool {
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return false
	}
	queues, _ := filepath.Glob("/sys/block/*/queue/scheduler")
	for _, queue := range queues {
		if text, err := os.ReadFile(queue); err == nil && strings.Contains(string(text), "bfq") {
			return true
		}
	}
	return false
}

// disk is a loop device, and the file that says which scheduler it has.
type disk struct {
	major, minor int64
	scheduler    string
}

func (d disk) String() string { return fmt.Sprintf("%d:%d", d.major, d.minor) }

func (d disk) device() specs.LinuxBlockIODevice {
	return specs.LinuxBlockIODevice{Major: d.major, Minor: d.minor}
}

// newDisk makes one for the time of the test.
func newDisk(t *testing.T) disk {
	t.Helper()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	file := createFile(t, filepath.Join(tempDir(t), "disk"))
	defer file.Close()
	if err := file.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	config := unix.LoopConfig{Fd: uint32(file.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Fatal(err)
		}
		loop, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			t.Cleanup(func() { loop.Close() })
			d := disk{7, int64(n), fmt.Sprintf("/sys/block/loop%d/queue/scheduler", n)}
			before := regexp.MustCompile(`\[(.*)\]`).FindStringSubmatch(readFile(t, d.scheduler))[1]
			t.Cleanup(func() { d.schedule(t, before) })
			return d
		}
		loop.Close()
		if err != unix.EBUSY { // somebody has been faster
			t.Fatal(err)
		}
	}
}

func (d disk) schedule(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(d.scheduler, []byte(name), 0); err != nil {
		t.Fatal(err)
	}
}

// CGB-01 CGB-03 CGB-04 CGB-05 CGB-06: the last value for a disk counts, and an update changes what it names.
func TestDiskLimits(t *testing.T) {
	r := newRuntime(t)
	d := newDisk(t)
	d.schedule(t, "bfq")
	rate := func(rates ...uint64) (list []specs.LinuxThrottleDevice) {
		for _, n := range rates {
			list = append(list, specs.LinuxThrottleDevice{LinuxBlockIODevice: d.device(), Rate: n})
		}
		return list
	}
	weight := func(w uint16) []specs.LinuxWeightDevice {
		return []specs.LinuxWeightDevice{{LinuxBlockIODevice: d.device(), Weight: &w}}
	}
	c := r.runDetached(newBundle(t, resources(func(r *specs.LinuxResources) {
		r.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(500)), WeightDevice: weight(300),
			ThrottleReadBpsDevice: rate(1<<20, 2<<20), ThrottleWriteBpsDevice: rate(3 << 20),
			ThrottleReadIOPSDevice: rate(400), ThrottleWriteIOPSDevice: rate(500)}
	})))
	want := func(weights string, rates ...string) { // of v1, where 0 is none
		t.Helper()
		v1, v2 := []string{"blkio.bfq.weight_device", weights}, []string{"io.bfq.weight", weights, "io.max", ""}
		for i, n := range rates {
			line := d.String() + " " + n
			if n == "0" {
				line, n = "", "max"
			}
			v1 = append(v1, "blkio.throttle."+[]string{"read_bps", "write_bps", "read_iops", "write_iops"}[i]+"_device", line)
			v2[3] += " " + []string{"rbps", "wbps", "riops", "wiops"}[i] + "=" + n
		}
		v2[3] = d.String() + v2[3]
		c.wantFiles("blkio", v1, v2)
	}
	want("default 500\n"+d.String()+" 300", "2097152", "3145728", "400", "500")
	r.ok("update", "--blkio-weight", "600", c.id)
	want("default 600\n"+d.String()+" 300", "2097152", "3145728", "400", "500")
	r.refuse(call{args: []string{"update", "-r", "-", "--blkio-weight", "700", c.id}, stdin: `{"cpu": {"cpus": "1000"}}`}, "linux.resources.cpu.cpus")
	want("default 600\n"+d.String()+" 300", "2097152", "3145728", "400", "500")
	c.updateJSON(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: weight(0), ThrottleReadBpsDevice: rate(0), ThrottleWriteIOPSDevice: rate(7)}})
	want("default 600", "0", "3145728", "400", "7")

	d.schedule(t, "none")
	bad := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: weight(300), ThrottleWriteBpsDevice: rate(1 << 20)}}
	r.refuse(call{args: []string{"update", "-r", "-", c.id}, stdin: asJSON(t, bad)},
		"linux.resources.blockIO.weightDevice[0].weight: write "+d.String()+" 300 to ", "the I/O scheduler of this disk has no weights")
	want("default 600", "0", "3145728", "400", "7")
}

// CGB-04 CGB-05: a disk that is not there is named by its number.
func TestDiskLimitsRefused(t *testing.T) {
	r := newRuntime(t)
	for field, set := range map[string]func(*specs.LinuxBlockIO, []specs.LinuxThrottleDevice){
		"throttleReadBpsDevice":   func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadBpsDevice = d },
		"throttleWriteBpsDevice":  func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteBpsDevice = d },
		"throttleReadIOPSDevice":  func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadIOPSDevice = d },
		"throttleWriteIOPSDevice": func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteIOPSDevice = d },
	} {
		nodev := []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 511, Minor: 7}, Rate: 1}}
		b := newBundle(t, resources(func(r *specs.LinuxResources) {
			r.BlockIO = &specs.LinuxBlockIO{}
			set(r.BlockIO, nodev)
		}))
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}},
			"linux.resources.blockIO."+field+"[0]: write 511:7 ", "there is no such block device")
	}
}
