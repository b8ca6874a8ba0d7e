package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kernels are those of the image, by version, newest last.
var kernels = []string{"6.1", "6.12"}

// machine is a kind of virtual machine. Each has a snapshot of its own.
type machine struct {
	kernel       string // one of kernels
	cgroup       string // v2, hybrid or v1
	systemd      bool
	cpus, memory int    // memory in MiB
	accel        string // kvm or tcg
}

// saved is a machine that has been booted and saved to disk.
type saved struct {
	machine
	image string // directory of the image
	dir   string // memory and state of the devices
}

// complete fills in what was left open and checks the rest.
func (m *machine) complete() error {
	if !slices.Contains([]string{"v2", "hybrid", "v1"}, m.cgroup) {
		return fmt.Errorf("cgroup mode %q is none of v2, hybrid and v1", m.cgroup)
	}
	if m.kernel == "" {
		m.kernel = kernels[len(kernels)-1]
		if m.cgroup != "v2" { // Debian builds 6.12 without the memory and cpuset controllers of v1
			m.kernel = kernels[0]
		}
	}
	if !slices.Contains(kernels, m.kernel) {
		return fmt.Errorf("kernel %q is none of %s", m.kernel, strings.Join(kernels, ", "))
	}
	switch m.accel {
	case "":
		m.accel = "tcg"
		if kvmWorks() {
			m.accel = "kvm"
		}
	case "kvm", "tcg":
	default:
		return fmt.Errorf("accelerator %q is neither kvm nor tcg", m.accel)
	}
	return nil
}

// kvmWorks says whether the host can run machines of its own. The device alone proves
// little: inside some virtual machines it opens and then runs nothing.
func kvmWorks() bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	flags := strings.Fields(cpuField("flags"))
	return slices.Contains(flags, "vmx") || slices.Contains(flags, "svm")
}

// cpuField is a field of the host's first processor in /proc/cpuinfo.
func cpuField(name string) string {
	info, _ := os.ReadFile("/proc/cpuinfo") // absent: no field
	for line := range strings.Lines(string(info)) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// cmdline is the kernel's command line.
func (m machine) cmdline() string {
	line := []string{
		"console=ttyS0", "quiet", "panic=-1", "net.ifnames=0", "psi=1", "vm.cgroup=" + m.cgroup,
		// A machine that lives for seconds and holds no secrets.
		"mitigations=off", "nokaslr", "nowatchdog", "random.trust_cpu=on", "cryptomgr.notests",
		// An emulated clock is slow, and grace periods wait for every processor.
		"tsc=reliable", "no_timer_check", "rcupdate.rcu_expedited=1",
	}
	if !m.systemd {
		return strings.Join(append(line, "vm.init=/usr/local/sbin/vm-init"), " ")
	}
	line = append(line, "systemd.show_status=0")
	switch m.cgroup {
	case "v2":
		line = append(line, "systemd.unified_cgroup_hierarchy=1")
	case "hybrid":
		line = append(line, "systemd.unified_cgroup_hierarchy=0")
	case "v1":
		line = append(line, "systemd.unified_cgroup_hierarchy=0", "systemd.legacy_systemd_cgroup_controller=1")
	}
	return strings.Join(line, " ")
}

// slots is how many directories a machine can share; they are part of its snapshot.
const slots = 3

// qemuArgs are the arguments of QEMU, but for the descriptors that start adds. The memory
// is a file in dir: shared is for making the snapshot, otherwise changes stay private.
func (m machine) qemuArgs(image, dir string, shared bool, shares []share) []string {
	accel, cpu := "kvm", "max"
	if m.accel == "tcg" {
		// One thread for all processors: with one for each, QEMU 7.2 lets a processor run code that another is
		// patching, as happens with the first CPU quota, and one kernel in some twenty dies of it. Without
		// five-level page tables, and what is slow to emulate.
		accel, cpu = "tcg,thread=single,tb-size=512", "max,la57=off,-smap,-smep,-umip,-pku,-pcid,-erms,-fsrm"
	}
	size := strconv.Itoa(m.memory) + "M"
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,memory-backend=ram", "-accel", accel, "-cpu", cpu,
		"-smp", strconv.Itoa(m.cpus), "-m", size,
		"-object", "memory-backend-file,id=ram,size=" + size + ",mem-path=" + escape(filepath.Join(dir, "ram")) + ",share=" + onOff(shared),
		"-kernel", filepath.Join(image, m.kernel+".vmlinuz"), "-initrd", filepath.Join(image, m.kernel+".initrd"),
		"-append", m.cmdline(),
		"-drive", "if=virtio,format=raw,readonly=on,file.locking=off,file=" + escape(filepath.Join(image, "root.ext4")),
		"-drive", "if=virtio,format=raw,snapshot=on,file.locking=off,file=" + escape(filepath.Join(image, "scratch.ext4")),
		"-device", "virtio-rng-pci", "-device", "vmgenid,guid=auto",
	}
	model := "passthrough"
	if os.Geteuid() != 0 {
		model = "none" // who cannot chown
	}
	for i := range slots {
		s := share{host: filepath.Join(image, "empty")}
		if i < len(shares) {
			s = shares[i]
		}
		id := strconv.Itoa(i)
		args = append(args,
			"-fsdev", "local,multidevs=remap,id=fs"+id+",security_model="+model+",readonly="+onOff(s.readonly)+",path="+escape(s.host),
			"-device", "virtio-9p-pci,fsdev=fs"+id+",mount_tag=share"+id)
	}
	return args
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// escape doubles the commas of a path inside a QEMU option.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// key names the snapshot of a machine: whatever changes the saved state changes it.
func (m machine) key() string {
	key := sha256.New()
	fmt.Fprintln(key, m.qemuArgs("", "", false, nil), qemuVersion(), agentProtocol)
	if m.accel == "kvm" {
		fmt.Fprintln(key, cpuField("model name"), cpuField("flags"))
	}
	return hex.EncodeToString(key.Sum(nil))[:16]
}

// prepare makes the image and the snapshot of a machine where they are missing.
func (m machine) prepare(ctx context.Context) (saved, error) {
	if err := m.complete(); err != nil {
		return saved{}, err
	}
	image, err := prepareImage(ctx)
	if err != nil {
		return saved{}, err
	}
	s := saved{machine: m, image: image, dir: filepath.Join(image, "machine-"+m.key())}
	return s, makeOnce(s.dir, func(dir string) error {
		note("booting Linux %s, cgroup %s, systemd %s, %s", m.kernel, m.cgroup, onOff(m.systemd), m.accel)
		return m.save(ctx, image, dir)
	})
}

// bootTimeout is far longer than an emulated machine on a busy host takes.
const bootTimeout = time.Hour

// save boots the machine and saves it in dir.
func (m machine) save(ctx context.Context, image, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, bootTimeout)
	defer cancel()
	q, err := startQEMU(ctx, dir, m.qemuArgs(image, dir, true, nil), io.Discard, io.Discard)
	if err != nil {
		return err
	}
	defer q.stop()
	if _, err := q.await("ready"); err != nil {
		return q.failed("boot", err)
	}
	if err := q.monitor.save("state"); err != nil {
		return q.failed("save the machine", err)
	}
	return nil
}

// run restores a copy of the machine, runs a job in it and returns the job's exit status.
func (s saved) run(ctx context.Context, j job, stdout, stderr io.Writer) (int, error) {
	script, err := j.script()
	if err != nil {
		return 0, err
	}
	args := append(s.qemuArgs(s.image, s.dir, false, j.shares), "-incoming", "defer")
	q, err := startQEMU(ctx, s.dir, args, stdout, stderr)
	if err != nil {
		return 0, err
	}
	defer q.stop()
	if err := q.monitor.restore("state"); err != nil {
		return 0, q.failed("restore the machine", err)
	}
	if _, err := fmt.Fprintf(q.control, "%d\n%s", len(script), script); err != nil {
		return 0, q.failed("send the job", err)
	}
	status, err := q.await("exit ")
	if err != nil {
		return 0, q.failed("run the job", err)
	}
	return strconv.Atoi(status)
}
