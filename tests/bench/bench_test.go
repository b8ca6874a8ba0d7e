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
	binary := os.Getenv("SKEP_BINARY")
	if binary == "" || os.Geteuid() != 0 {
		b.Fatal("needs root, and SKEP_BINARY set to the binary to measure")
	}
	runtimes := []string{binary}
	for _, peer := range []string{"crun", "runc"} {
		if path, err := exec.LookPath(peer); err == nil {
			runtimes = append(runtimes, path)
		}
	}
	bundle := makeBundle(b)
	root, err := os.MkdirTemp("/run", "skep-bench-") // where state lives, a tmpfs
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(root)
	cpu := make([][]time.Duration, len(runtimes))
	for range b.N {
		for i, r := range runtimes {
			cpu[i] = append(cpu[i], runOnce(b, r, root, bundle))
		}
	}
	own := median(cpu[0])
	b.ReportMetric(float64(own.Microseconds())/1000, "skep-ms")
	for i, r := range runtimes[1:] {
		peer := median(cpu[i+1])
		b.ReportMetric(float64(own)/float64(peer), "of-"+filepath.Base(r))
	}
}

func runOnce(b *testing.B, runtime, root, bundle string) time.Duration {
	b.Helper()
	id := fmt.Sprintf("bench-%d", os.Getpid())
	cmd := exec.Command(runtime, "--root", filepath.Join(root, filepath.Base(runtime)), "run", "--bundle", bundle, id)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", runtime, err, out)
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// makeBundle is the bundle that `skep spec` describes, with a version that old peers accept and without a terminal.
func makeBundle(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	s := spec.Example(spec.ExampleOptions{})
	s.Version = "1.0.2"
	s.Process.Terminal = false
	s.Process.Args = []string{"/bin/true"}
	s.Linux.CgroupsPath = "/skep-bench"
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
		os.WriteFile(filepath.Join(bin, "true"), busybox, 0o755), //nolint:gosec // a program
		os.WriteFile(filepath.Join(dir, spec.ConfigFile), config, 0o644),
	} {
		if err != nil {
			b.Fatal(err)
		}
	}
	return dir
}
