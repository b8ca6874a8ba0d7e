package tests

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// disksCanBeMade tells whether there are loop devices, and they may be used.
func disksCanBeMade() bool {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err == nil {
		control.Close()
	}
	return err == nil
}

// disksHaveWeights tells whether the kernel has BFQ, an I/O scheduler with weights.
func disksHaveWeights() bool {
	queues, _ := filepath.Glob("/sys/block/*/queue/scheduler")
	for _, queue := range queues {
		if text, err := os.ReadFile(queue); err == nil && strings.Contains(string(text), "bfq") {
			return true
		}
	}
	return exec.Command("modprobe", "--dry-run", "--quiet", "bfq").Run() == nil // the kernel loads it when it is chosen
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
		d := disk{scheduler: fmt.Sprintf("/sys/block/loop%d/queue/scheduler", n)}
		_, err = fmt.Sscanf(readFile(t, fmt.Sprintf("/sys/block/loop%d/dev", n)), "%d:%d", &d.major, &d.minor)
		node := filepath.Join(tempDir(t), "loop") // /dev may be a container's
		if err == nil {
			err = unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(uint32(d.major), uint32(d.minor))))
		}
		if err != nil {
			t.Fatal(err)
		}
		loop, err := os.OpenFile(node, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		err = unix.IoctlLoopConfigure(int(loop.Fd()), &config)
		if err == nil {
			t.Cleanup(func() { loop.Close() })
			return d
		}
		loop.Close()
		if err != unix.EBUSY { // somebody has been faster
			t.Fatal(err)
		}
	}
}

// schedule gives it another scheduler for the rest of the test.
func (d disk) schedule(t *testing.T, name string) {
	t.Helper()
	_, before, _ := strings.Cut(readFile(t, d.scheduler), "[")
	before, _, _ = strings.Cut(before, "]")
	if err := os.WriteFile(d.scheduler, []byte(name), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(d.scheduler, []byte(before), 0) }) // the disk goes anyway
}

func (d disk) rate(rates ...uint64) (list []specs.LinuxThrottleDevice) {
	for _, n := range rates {
		list = append(list, specs.LinuxThrottleDevice{LinuxBlockIODevice: d.device(), Rate: n})
	}
	return list
}

func (d disk) weight(w uint16) []specs.LinuxWeightDevice {
	return []specs.LinuxWeightDevice{{LinuxBlockIODevice: d.device(), Weight: &w}}
}

func blockIO(b specs.LinuxBlockIO) edit {
	return resources(func(r *specs.LinuxResources) { r.BlockIO = &b })
}

// CGB-04 CGB-05 CGB-06: the last rate of a disk counts, and an update changes those that it names.
func TestDiskLimits(t *testing.T) {
	r := newRuntime(t)
	d := newDisk(t)
	c := r.runDetached(newBundle(t, blockIO(specs.LinuxBlockIO{
		ThrottleReadBpsDevice: d.rate(1<<20, 2<<20), ThrottleWriteBpsDevice: d.rate(3 << 20),
		ThrottleReadIOPSDevice: d.rate(400), ThrottleWriteIOPSDevice: d.rate(500),
	})))
	want := func(rates ...string) { // of v1, where 0 is none
		t.Helper()
		v1, v2 := []string{}, d.String()
		for i, n := range rates {
			line := d.String() + " " + n
			if n == "0" {
				line, n = "", "max"
			}
			v1 = append(v1, "blkio.throttle."+[]string{"read_bps", "write_bps", "read_iops", "write_iops"}[i]+"_device", line)
			v2 += " " + []string{"rbps", "wbps", "riops", "wiops"}[i] + "=" + n
		}
		c.wantFiles("blkio", v1, []string{"io.max", v2})
	}
	want("2097152", "3145728", "400", "500")
	c.updateJSON(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: d.rate(0), ThrottleWriteIOPSDevice: d.rate(7)}})
	want("0", "3145728", "400", "7")
}

// CGB-01 CGB-03: an update of the common weight leaves those of single disks, and takes back what another setting spoils.
// Of what systemd makes of weights docs/cgroups.md tells.
func TestDiskLimitsByWeight(t *testing.T) {
	r := newCgroupfsRuntime(t)
	d := newDisk(t)
	d.schedule(t, "bfq")
	b := newBundle(t, onCgroupfs, blockIO(specs.LinuxBlockIO{Weight: ptr(uint16(500)), WeightDevice: d.weight(300)}))
	b.cgroup = b.spec.Linux.CgroupsPath
	c := r.runDetached(b)
	want := func(common, own string) {
		t.Helper()
		weights := "default " + common
		if own != "" {
			weights += "\n" + d.String() + " " + own
		}
		c.wantFiles("blkio", []string{"blkio.bfq.weight", common, "blkio.bfq.weight_device", weights}, []string{"io.bfq.weight", weights})
	}
	want("500", "300")
	r.ok("update", "--blkio-weight", "600", c.id)
	want("600", "300")
	r.refuse(call{args: []string{"update", "-r", "-", "--blkio-weight", "700", c.id}, stdin: `{"cpu": {"cpus": "1000"}}`}, "linux.resources.cpu.cpus")
	want("600", "300")
	c.updateJSON(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: d.weight(0)}})
	want("600", "")
	d.schedule(t, "none")
	bad := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{WeightDevice: d.weight(300)}}
	r.refuse(call{args: []string{"update", "-r", "-", c.id}, stdin: asJSON(t, bad)},
		"linux.resources.blockIO.weightDevice[0].weight: write "+d.String()+" 300 to ", "the I/O scheduler of this disk has no weights")
	want("600", "")
}

// CGB-04 CGB-05: a disk that is not there is named by its number.
func TestDiskLimitsRefused(t *testing.T) {
	r := newRuntime(t)
	nodev := disk{major: 511, minor: 7}.rate(1)
	for field, set := range map[string]func(*specs.LinuxBlockIO, []specs.LinuxThrottleDevice){
		"throttleReadBpsDevice":   func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadBpsDevice = d },
		"throttleWriteBpsDevice":  func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteBpsDevice = d },
		"throttleReadIOPSDevice":  func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleReadIOPSDevice = d },
		"throttleWriteIOPSDevice": func(b *specs.LinuxBlockIO, d []specs.LinuxThrottleDevice) { b.ThrottleWriteIOPSDevice = d },
	} {
		var io specs.LinuxBlockIO
		set(&io, nodev)
		b := newBundle(t, blockIO(io))
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}},
			"linux.resources.blockIO."+field+"[0]: write 511:7 ", "there is no such block device")
	}
}
