package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// UIDM-01 UIDM-02 UIDM-07 USR-05: ids of the user's ranges, written by newuidmap and newgidmap, which leave
// setgroups allowed.
func TestRootlessRanges(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t, args("/bin/sh", "-c", strings.Join([]string{
		"id -u; id -g; id -G", "tr -s ' ' </proc/self/uid_map; tr -s ' ' </proc/self/gid_map", "cat /proc/self/setgroups",
		"echo >/made",
	}, "; ")), proc(func(p *specs.Process) {
		p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{7, 1000}}
	}), func(s *specs.Spec) { s.Process.Cwd = "/home/user" })
	if err := os.Chmod(b.rootfs, 0o777); err != nil {
		t.Fatal(err)
	}
	out := r.output(b)
	number := func(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
	maps := func(own int) []string {
		return []string{" 0 " + strconv.Itoa(own) + " 1", " 1 " + number(a.sub) + " " + number(a.size)}
	}
	wantLines(t, out, append(append(append([]string{"1000", "1000", "1000 7"}, maps(a.uid)...), maps(a.gid)...), "allow")...)
	info, err := os.Stat(filepath.Join(b.rootfs, "made"))
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != a.sub+999 || st.Gid != a.sub+999 {
		t.Errorf("made by %d:%d, want %d", st.Uid, st.Gid, a.sub+999)
	}
	if a.as == nil { // the file is not ours to remove
		r.output(a.bundleOf(t, b, args("/bin/rm", "/made")))
	}
}

// bundleOf is another bundle with the root filesystem of one.
func (a *account) bundleOf(t *testing.T, b bundle, edits ...edit) bundle {
	t.Helper()
	other := a.bundle(t, append(edits, func(s *specs.Spec) { s.Root.Path = b.rootfs })...)
	return other
}

// UIDM-07: what is in the way is said, and nothing is left.
func TestRootlessRangesRefused(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t)
	create := func() []string { return []string{"create", "--bundle", b.dir, r.id()} }
	r.refuse(call{args: create(), env: []string{"PATH=/nowhere"}}, "linux.uidMappings", "newuidmap", "/nowhere", "package uidmap")
	r.refuse(call{args: create(), wrap: []string{"setpriv", "--no-new-privs"}}, "linux.uidMappings", "newuidmap", "no_new_privs")

	b.spec.Linux.UIDMappings[1].Size++
	b.save()
	r.refuse(call{args: create()}, "linux.uidMappings", "not allowed", "/etc/subuid", strconv.Itoa(a.uid))
	b.spec.Linux.UIDMappings[1].Size--
	b.spec.Linux.GIDMappings[1].HostID--
	b.save()
	r.refuse(call{args: create()}, "linux.gidMappings", "not allowed", "/etc/subgid")
}

// UIDM-07 USR-05: the own id alone needs no helper, but has no groups.
func TestRootlessSingleID(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t, a.single, args("/bin/sh", "-c", "id -u; cat /proc/self/setgroups"))
	res := r.succeed(call{args: r.runLine(b), env: []string{"PATH=/nowhere"}})
	wantLines(t, res.stdout, "0", "deny")
	for _, gids := range [][]uint32{{0}, {5}} {
		b.spec.Process.User.AdditionalGids = gids
		b.save()
		r.refuse(call{args: []string{"create", "--bundle", b.dir, r.id()}}, "process.user.additionalGids")
	}
}

// PROC-20: the error says what there is to go by.
func TestRootlessOOMScoreAdj(t *testing.T) {
	r, a := newRootless(t)
	b := a.bundle(t, args("/bin/cat", "/proc/self/oom_score_adj"), proc(func(p *specs.Process) { p.OOMScoreAdj = ptr(700) }))
	wantLines(t, r.output(b), "700")
	b = a.bundle(t, proc(func(p *specs.Process) { p.OOMScoreAdj = ptr(-500) }))
	own := strings.TrimSpace(readFile(t, "/proc/self/oom_score_adj"))
	r.fails("process.oomScoreAdj: -500: permission denied (it is "+own+" now; an unprivileged user can only raise it)", "create", "--bundle", b.dir, r.id())
}

// MNT-25 DEV-11: root in a user namespace is no root of the host, whatever its uid says. It may have the host's mount
// and network namespaces or its own, and one id or many.
func TestRootlessNested(t *testing.T) {
	r, a := newRootless(t)
	script := args("/bin/sh", "-c", "id -u; cat /proc/self/setgroups; stat -c %t:%T /dev/null; echo x >/dev/null && ls /sys/kernel >/dev/null && echo ok")
	inner := func(s *specs.Spec) {
		a.single(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = ids(0, 0, 1), ids(0, 0, 1)
	}
	within := func(s *specs.Spec) {
		a.single(s)
		without(specs.UserNamespace)(s)
		s.Linux.UIDMappings, s.Linux.GIDMappings = nil, nil
	}
	for name, more := range map[string]edit{"user namespace": inner, "no other": within} {
		for _, network := range []bool{true, false} {
			for flags, setgroups := range map[string]string{
				"--user --map-root-user": "deny", "--user --map-root-user --mount": "deny", "--user --map-root-user --mount --net": "deny",
				"--user --map-root-user --map-auto --mount": "allow",
			} {
				t.Run(name+" "+flags+" "+strconv.FormatBool(network), func(t *testing.T) {
					edits := []edit{more, script}
					if !network {
						edits = append(edits, without(specs.NetworkNamespace))
					}
					res := r.wrapped(a.bundle(t, edits...), append([]string{"unshare"}, strings.Fields(flags)...)...)
					if res.code != 0 || res.stderr != "" {
						t.Fatalf("exit %d: %s", res.code, res.stderr)
					}
					wantLines(t, res.stdout, "0", setgroups, "1:3", "ok")
				})
			}
		}
	}
	// What the outer namespace does not have it cannot give.
	b := a.bundle(t)
	res := r.wrapped(b, "unshare", "--user", "--map-root-user")
	if res.code != 1 {
		t.Errorf("exit %d", res.code)
	}
	checkError(t, "run", res.stderr, "linux.uidMappings", "it has 0")
}

// CLI-02: the state of a user's containers is in the session's runtime directory.
func TestRootlessStateRoot(t *testing.T) {
	r, a := newRootless(t)
	session := tempDir(t)
	a.own(t, session)
	env := []string{"XDG_RUNTIME_DIR=" + session, "USER=straw"}
	b := a.bundle(t)
	id := r.id()
	call := func(wrap []string, args ...string) string {
		t.Helper()
		return r.succeed(call{bare: true, env: env, wrap: wrap, args: args}).stdout
	}
	call(nil, "create", "--bundle", b.dir, id)
	info, err := os.Stat(filepath.Join(session, "skep"))
	if err != nil {
		t.Fatal(err)
	}
	if want := fs.ModeDir | fs.ModeSticky | 0o700; info.Mode() != want {
		t.Errorf("the state directory is %v, want %v", info.Mode(), want)
	}
	// Root in a user namespace is the same user.
	if got := call([]string{"unshare", "--user", "--map-root-user"}, "list", "-q"); got != id+"\n" {
		t.Errorf("listed: %q", got)
	}
	call(nil, "delete", "--force", id)

	for _, unset := range []string{"XDG_RUNTIME_DIR=", "XDG_RUNTIME_DIR=relative"} {
		env = []string{unset}
		r.refuse(callOf(env, "create", "--bundle", b.dir, r.id()), "XDG_RUNTIME_DIR", "--root")
		call(nil, "features")
		call(nil, "--version")
	}
}

func callOf(env []string, args ...string) call { return call{bare: true, env: env, args: args} }
