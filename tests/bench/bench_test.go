// Package bench compares what a container costs under skep and its peers. The runtimes take turns in one run, because
// a machine's speed changes from minute to minute: only ratios mean something.
package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"skep/spec"
)

// BenchmarkRun measures `run /bin/true` of a plain bundle: CPU of the runtime and of all it waited for. It needs root,
// SKEP_BINARY, busybox-static and at least one of crun and runc.
//
//	SKEP_BINARY=$PWD/skep go test -bench Run -benchtime 100x ./tests/bench
func BenchmarkRun(b *testing.B) {
	c := newContest(b)
	bundle := makeBundle(b, "/bin/true", "/skep-bench")
	c.compare(func(runtime string) time.Duration { return c.cost(runtime, "run", "--bundle", bundle, c.id) })
}

// BenchmarkExec measures `exec /bin/true` in a container of the runtime's own.
func BenchmarkExec(b *testing.B) {
	c := newContest(b)
	for i, runtime := range c.runtimes {
		c.cost(runtime, "run", "--detach", "--bundle", makeBundle(b, "/bin/sleep", fmt.Sprintf("/skep-bench-%d", i)), c.id)
		defer c.cost(runtime, "delete", "--force", c.id)
	}
	c.compare(func(runtime string) time.Duration { return c.cost(runtime, "exec", c.id, "/bin/true") })
}

// contest is skep, first, and its peers.
type contest struct {
	b        *testing.B
	runtimes []string
	root, id string
}

func newContest(b *testing.B) *contest {
	b.Helper()
	binary := os.Getenv("SKEP_BINARY")
	if binary == "" || os.Geteuid() != 0 {
		b.Fatal("needs root, and SKEP_BINARY set to the binary to measure")
	}
	c := &contest{b: b, runtimes: []string{binary}, id: fmt.Sprintf("bench-%d", os.Getpid())}
	for _, peer := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(peer); err == nil {
			c.runtimes = append(c.runtimes, path)
		}
	}
	var err error
	if c.root, err = os.MkdirTemp("/run", "skep-bench-"); err != nil { // where state lives, a tmpfs
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(c.root) })
	return c
}

// compare lets the runtimes take turns, and reports skep's median and its ratios.
func (c *contest) compare(cost func(runtime string) time.Duration) {
	cpu := make([][]time.Duration, len(c.runtimes))
	for range c.b.N {
		for i, r := range c.runtimes {
			cpu[i] = append(cpu[i], cost(r))
		}
	}
	own := median(cpu[0])
	c.b.ReportMetric(float64(own.Microseconds())/1000, "skep-ms")
	for i, r := range c.runtimes[1:] {
		peer := median(cpu[i+1])
		c.b.ReportMetric(float64(own)/float64(peer), "of-"+filepath.Base(r))
	}
}

// cost is the CPU that a command takes. Its streams are no pipes, which a container would keep open.
func (c *contest) cost(runtime string, args ...string) time.Duration {
	c.b.Helper()
	cmd := exec.Command(runtime, append([]string{"--root", filepath.Join(c.root, filepath.Base(runtime))}, args...)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		c.b.Fatalf("%s %s: %v", runtime, args[0], err)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// makeBundle is the bundle that `skep spec` describes, with a version that old peers accept and without a terminal.
func makeBundle(b *testing.B, program, cgroup string) string {
	b.Helper()
	dir := b.TempDir()
	s := spec.Example(spec.ExampleOptions{})
	s.Version = "1.0.2"
	s.Process.Terminal = false
	s.Process.Args = []string{program, "1000"}
	s.Linux.CgroupsPath = cgroup
	s.Hostname = "bench"
	config, err := json.Marshal(s)
	if err != nil {
		b.Fatal(err)
	}
	bin := filepath.Join(dir, "rootfs", "bin")
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		b.Fatal(err)
	}
	for _, err := range []error{
		os.MkdirAll(bin, 0o755),
		os.WriteFile(filepath.Join(bin, "true"), busybox, 0o755),  //nolint:gosec // a program
		os.WriteFile(filepath.Join(bin, "sleep"), busybox, 0o755), //nolint:gosec // a program
		os.WriteFile(filepath.Join(dir, spec.ConfigFile), config, 0o644),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
