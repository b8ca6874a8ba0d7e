package tests

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// observe prints what a program can see of its container, in sections of
// lines "key: value". It makes no directory: one recorded filter kills that.
const observe = `
section() { echo "== $1"; }
section mount; cat /proc/self/mountinfo
section status; cat /proc/1/status
section limits; tail -n +2 /proc/1/limits | sed 's/   */: /'
section environment; tr '\0' '\n' </proc/1/environ | sed 's/=/: /'
section dev; find /dev | while read -r f; do
	if [ -L "$f" ]; then echo "$f: $(readlink "$f")"; else echo "$f: $(stat -c '%A %u %g %t:%T' "$f")"; fi
done
section other
echo "hostname: $(hostname)"
echo "domainname: $(cat /proc/sys/kernel/domainname)"
echo "umask: $(umask)"
echo "cwd: $(pwd)"
(ls /proc/1/fd; true) >/dev/shm/descriptors # no pipe of the shell is open meanwhile
echo "descriptors: $(xargs </dev/shm/descriptors)"
echo "oom_score_adj: $(cat /proc/1/oom_score_adj)"
echo "cgroup namespace: $(cut -d: -f3 /proc/1/cgroup | sort -u | xargs)"
for s in kernel/msgmax net/ipv4/ip_unprivileged_port_start net/ipv4/ping_group_range; do
	echo "sysctl $s: $(cat /proc/sys/$s 2>&1)"
done
echo "interfaces: $(ip -o link | cut -d' ' -f2,3 | xargs)"
echo "end: reached"
exit 7
`

// observation maps "section key" to a value.
type observation map[string]string

// statusKeys are the lines of /proc/1/status that a runtime decides about.
var statusKeys = []string{
	"Umask", "Tgid", "Uid", "Gid", "Groups", "Threads", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
	"NoNewPrivs", "Seccomp", "Speculation_Store_Bypass", "Cpus_allowed_list",
}

// allowedDifferences are the keys in which the runtime under test may differ
// from the peer, what it shows there, and why that is right.
var allowedDifferences = []struct{ key, ours, reason string }{
	{`mount /(proc/acpi|proc/scsi|sys/firmware|sys/dev/block)`, `^\[/ nodev,noexec,nosuid,relatime,ro  tmpfs tmpfs `,
		"what hides a directory holds nothing: its tmpfs has one inode, and no mount of it runs or opens anything"},
	{`mount /proc/(keys|timer_list|kcore|latency_stats|timer_stats|sched_debug)`, `^\[/null noexec,nosuid,relatime,rw  (devtmpfs|tmpfs) `,
		"what hides a file is the host's /dev/null, proven to be 1:3; the container's own is under the image's control (CVE-2025-31133)"},
	{`mount /dev/(full|null|random|tty|urandom|zero)`, `^\[/[a-z]+ noexec,nosuid,relatime,rw  (devtmpfs|tmpfs) `,
		"in a user namespace devices are bound from the host: nosuid, noexec, and no slave of the host's mount (DEV-11)"},
	{`dev /dev/mqueue`, `^drwxrwxrwt 0 0 `,
		"the ipc namespace is made by the container's root, so that its group owns the queues too"},
	{`mount /`, ` shared master `,
		"rootfsPropagation shared makes / shared (PRP-01); runc leaves it private"},
	{`mount /sys/fs/cgroup`, `^\[/ nodev,noexec,nosuid,relatime,ro  tmpfs tmpfs `,
		"a read-only cgroup mount is read-only as a whole, the tmpfs below the hierarchies too"},
	{`mount /s`, `^\[BUNDLE/binds/propagation relatime,rw master `,
		"rslave makes a slave (MOPT-25), below a shared root too; runc's is private there"},
	{`mount /sys/fs/cgroup/.*`, `^\[CGROUP nodev,noexec,nosuid,relatime,r[ow]  cgroup `,
		"the container's own cgroups are bound private: nothing that the host mounts there is meant for it"},
	{`mount /sys/fs/cgroup/systemd`, `^\[/ nodev,noexec,nosuid,relatime,ro  cgroup cgroup name=systemd,rw\]$`,
		"what stands for the source of a cgroup mount is a name; it is cgroup for every hierarchy"},
	{`mount /sys/fs/cgroup`, `^\[CGROUP nodev,noexec,nosuid,relatime,r[ow]  cgroup2 cgroup2 .*rw\]$`,
		"without a cgroup namespace the container's own cgroup is bound, not the host's whole tree mounted (MNT-23)"},
	{`cgroup cpu.weight`, `^(59|75|100)\n$`,
		"512, 700 and 1024 shares on the curve through both defaults, as in runc since 1.3.2"},
	{`other domainname`, `^dom$`, "runc before 1.2 does not know domainname"},
}

// withoutReference are the recorded bundles that runc does not run on every
// machine of the tests, and why.
var withoutReference = map[string]string{
	"docker-05": "--privileged: runc refuses it where a capability is missing, skep warns",
}

// TestPeersRecorded runs the recorded bundles under runc and under the
// runtime under test, and compares what the program and the host see.
func TestPeersRecorded(t *testing.T) {
	peer, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal("the peer to compare with is missing: install runc")
	}
	compared := 0
	for name, spec := range recorded(t) {
		if _, without := withoutReference[name]; without {
			continue
		}
		spec.Process.Terminal = false
		compared++ // also where only some of them are asked for
		t.Run(name, func(t *testing.T) {
			script, joined := observe, slices.Contains(joinRecorded(t, &spec), specs.PIDNamespace)
			if joined { // pid 1 is another container's: the program looks at itself, whatever its number is
				script = strings.ReplaceAll(observe, "/proc/1/", "/proc/$$/")
			}
			ours := observeWith(t, suite.binary, spec, script, joined)
			restore := keepFlags(t)
			theirs := observeWith(t, peer, spec, script, joined)
			restore()
			if joined {
				delete(theirs, "status Tgid")
				delete(ours, "status Tgid")
			}
			for _, key := range slices.Sorted(maps.Keys(merge(theirs, ours))) {
				if theirs[key] != ours[key] && !allowed(key, ours[key]) {
					t.Errorf("%s\n  runc: %s\n  ours: %s", key, quote(theirs, key), quote(ours, key))
				}
			}
		})
	}
	if want := recordedCount - len(withoutReference); compared != want {
		t.Errorf("only %d of %d were compared", compared, want)
	}
}

// keepFlags notes what the host's v2 tree is mounted with, and gives it back: runc takes nsdelegate and
// memory_recursiveprot off it when it mounts the tree without a cgroup namespace, criu up to 3.19 whenever it restores
// cgroups.
func keepFlags(t *testing.T) (restore func()) {
	t.Helper()
	mounts := parseMounts(readFile(t, "/proc/self/mountinfo"))
	i := slices.IndexFunc(mounts, func(m mountLine) bool { return m.fstype == "cgroup2" })
	if i < 0 {
		return func() {}
	}
	return func() {
		fs, err := unix.Fspick(unix.AT_FDCWD, mounts[i].point, unix.FSPICK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fs)
		for _, flag := range strings.Split(mounts[i].super, ",")[1:] { // after rw
			if err := unix.FsconfigSetFlag(fs, flag); err != nil {
				t.Error(err)
			}
		}
		if err := unix.FsconfigReconfigure(fs); err != nil {
			t.Error(err)
		}
	}
}

func merge(a, b observation) observation {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func quote(o observation, key string) string {
	if v, ok := o[key]; ok {
		return fmt.Sprintf("%q", v)
	}
	return "absent"
}

func allowed(key, ours string) bool {
	for _, d := range allowedDifferences {
		if regexp.MustCompile("^"+d.key+"$").MatchString(key) && regexp.MustCompile(d.ours).MatchString(ours) {
			return true
		}
	}
	return false
}

// observeWith runs the bundle once to its end and once to the state created,
// where the host's side is looked at. A program in a joined pid namespace has to run detached: a foreground runc passes
// on every signal, among them the SIGPIPE that it now and then causes to itself, which only pid 1 of a namespace is
// proof against.
func observeWith(t *testing.T, binary string, spec specs.Spec, script string, detached bool) observation {
	t.Helper()
	r := newRuntimeOf(t, binary)
	b := recordedBundle(t, spec, args("/bin/sh", "-c", script))
	seen := make(observation)
	var res result
	anywhere := []string{"taskset", "--cpu-list", "0-1023"} // runc pins its containers where it is pinned itself
	if detached {
		c := r.make(b, call{args: []string{"run", "--detach"}, wrap: anywhere})
		c.awaitStatus("stopped")
		c.delete()
		res = c.made
		res.stdout = c.made.later(t)
	} else {
		res = r.call(call{args: r.runLine(b), wrap: anywhere})
		seen["exit code"] = fmt.Sprint(res.code)
	}
	seen["stderr"] = res.stderr
	local := strings.NewReplacer(b.dir, "BUNDLE", pathInFilesystem(t, b.dir), "BUNDLE", b.cgroup, "CGROUP")
	section := ""
	for line := range strings.Lines(res.stdout) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "== "); ok {
			section = name
			continue
		}
		if section == "mount" {
			for _, m := range parseMounts(line) {
				seen["mount "+m.point] += local.Replace(m.comparable())
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		if section != "status" || slices.Contains(statusKeys, key) {
			seen[section+" "+key] = local.Replace(strings.Join(strings.Fields(value), " "))
		}
	}

	if seen["other end"] != "reached" {
		t.Errorf("%s: the program has not come to its end: %v", binary, res)
	}
	c := r.create(b)
	maps.Copy(seen, cgroupFiles(t, b))
	seen["host cgroup"] = local.Replace(readFile(t, procPath(c.pid, "cgroup")))
	seen["host uid_map"] = readFile(t, procPath(c.pid, "uid_map"))
	seen["host gid_map"] = readFile(t, procPath(c.pid, "gid_map"))
	if res := r.do("delete", c.id); res.code != 0 { // runc may say on the way that a cgroup was still busy
		t.Errorf("delete: exit %d, %s", res.code, res.stderr)
	}
	r.live = nil
	return seen
}

var peerGroup = regexp.MustCompile(`:\d+`)

// comparable describes a mount without ids, device and peer group numbers.
func (m mountLine) comparable() string {
	return fmt.Sprintf("[%s %s %s %s %s %s]", m.root, sorted(m.options), peerGroup.ReplaceAllString(m.tags, ""), m.fstype, m.source, sorted(m.super))
}

func sorted(list string) string {
	words := strings.Split(list, ",")
	slices.Sort(words)
	return strings.Join(words, ",")
}

// cgroupFiles reads what limits can be written to, from the host's side.
func cgroupFiles(t *testing.T, b bundle) observation {
	t.Helper()
	files := map[string][]string{
		"devices": {"devices.list"},
		"memory":  {"memory.swappiness", "memory.oom_control", "memory.use_hierarchy", "memory.high"},
		"blkio":   {"blkio.weight", "blkio.bfq.weight"},
	}
	for _, l := range limits {
		for pair := range slices.Chunk(append(slices.Clone(l.v1), l.v2...), 2) {
			files[l.controller] = append(files[l.controller], pair[0])
		}
	}
	seen := make(observation)
	for controller, names := range files {
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(cgroupDir(t, controller, b.cgroup), name))
			if err == nil { // else not in this version, or not in this kernel
				lines := slices.Sorted(strings.Lines(string(content))) // device rules have no order
				seen["cgroup "+name] = strings.Join(lines, "")
			}
		}
	}
	return seen
}
