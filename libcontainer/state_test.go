package libcontainer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// OPC-03: ids are judged before any path is made of them.
func TestValidateID(t *testing.T) {
	for _, id := range []string{"a", "A_b+c.d-e", "0", strings.Repeat("x", 255), "...", ".a"} {
		if err := ValidateID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", "é", "a\n", "a;b", "a*", "@seccomp", "a\x00", strings.Repeat("x", 256)} {
		if err := ValidateID(id); !errors.Is(err, ErrInvalidID) {
			t.Errorf("%q: got %v", id, err)
		}
	}
}

// OPC-02: of creates at the same time exactly one wins.
func TestMakeStateDirOnce(t *testing.T) {
	root := t.TempDir()
	var wins, losses int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			d, err := makeStateDir(root, "one")
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				wins++
				t.Cleanup(d.release)
			case errors.Is(err, ErrExist):
				losses++
			default:
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	if wins != 1 || losses != 7 {
		t.Errorf("%d creates won and %d lost", wins, losses)
	}
}

// A lock excludes others, shows as busy, and is worth nothing once the directory has been replaced.
func TestStateDirLock(t *testing.T) {
	root := t.TempDir()
	d, err := makeStateDir(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	second := &stateDir{path: d.path}
	if !second.busy() {
		t.Error("a locked directory is not busy")
	}
	if err := second.acquire(unix.LOCK_EX | unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		t.Errorf("second lock: %v", err)
	}
	acquired := make(chan error)
	go func() { acquired <- second.acquire(unix.LOCK_EX) }()
	if err := d.remove(); err != nil {
		t.Fatal(err)
	}
	d.release()
	if err := <-acquired; !errors.Is(err, ErrNotExist) {
		t.Errorf("lock of a removed directory: %v", err)
	}
}

// ST-12: state is replaced as a whole, readable for the owner only, and nothing temporary stays.
func TestStateIsReplaced(t *testing.T) {
	d, err := makeStateDir(t.TempDir(), "one")
	if err != nil {
		t.Fatal(err)
	}
	defer d.release()
	want := &State{ID: "one", Bundle: "/b", Rootfs: "/b/rootfs", Created: time.Unix(1, 2).UTC(), Init: Process{Pid: 5, Start: 6}}
	for range 2 {
		if err := d.writeState(stateFile, want); err != nil {
			t.Fatal(err)
		}
	}
	got, complete, err := d.read()
	if err != nil || !complete || got.Init != want.Init || !got.Created.Equal(want.Created) {
		t.Errorf("read back %+v, complete %v, %v", got, complete, err)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v in the directory, %v", entries, err)
	}
	if st, err := os.Stat(d.file(stateFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

// A state that cannot be read is an error that names the file, never a panic and never another container.
func TestBrokenState(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "truncated": `{"id":"one","bun`, "null": "null", "object": "{}", "foreign": `{"id":"other"}`, "array": "[]",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "one")
			if err := os.Mkdir(dir, 0o711); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, stateFile), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(root, "one"); err == nil || !strings.Contains(err.Error(), filepath.Join(dir, stateFile)) {
				t.Errorf("Load: %v", err)
			}
			if all, broken, err := List(root); err != nil || len(all) != 0 || len(broken) != 1 {
				t.Errorf("List: %v, %v", all, broken)
			}
			if err := Delete(root, "one", false); err == nil || !strings.Contains(err.Error(), "--force") {
				t.Errorf("Delete: %v", err)
			}
			if err := Delete(root, "one", true); err != nil {
				t.Errorf("Delete --force: %v", err)
			}
			if _, err := Load(root, "one"); !errors.Is(err, ErrNotExist) {
				t.Errorf("after Delete: %v", err)
			}
		})
	}
}

// A state of runc's, whose name is the same, is no container of skep's, and none to be removed, by whatever force.
func TestForeignState(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "one", stateFile)
	if err := os.Mkdir(filepath.Dir(file), 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(`{"id":"one","init_process_pid":1,"config":{"rootfs":"/"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, broken, err := List(root); err != nil || len(all) != 0 || len(broken) != 1 || !errors.Is(broken[0], errForeign) {
		t.Errorf("List: %v, %v", all, broken)
	}
	for _, force := range []bool{false, true} {
		if err := Delete(root, "one", force); !errors.Is(err, errForeign) || strings.Contains(err.Error(), "--force") {
			t.Errorf("Delete, force %v: %v", force, err)
		}
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

// ST-11: a pid that means another process now, or a zombie, is not the container's.
func TestProcessAlive(t *testing.T) {
	st, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if self := (Process{os.Getpid(), st.start}); !self.Alive() {
		t.Error("this process is not alive")
	}
	if reused := (Process{os.Getpid(), st.start - 1}); reused.Alive() {
		t.Error("a reused pid counts as the old process")
	}
	if _, err := (Process{os.Getpid(), st.start - 1}).open(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("open of a reused pid: %v", err)
	}
	pid, err := syscall.ForkExec("/bin/true", []string{"true"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := awaitExit(fd, pid, time.Minute); err != nil {
		t.Fatal(err)
	}
	zombie, err := readStat(pid)
	if err != nil || zombie.state != 'Z' {
		t.Fatalf("%+v, %v", zombie, err)
	}
	if (Process{pid, zombie.start}).Alive() {
		t.Error("a zombie is alive")
	}
	if _, err := unix.Wait4(pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
}

// endFirstThread ends the main thread of this process, and nothing else.
func endFirstThread() {
	for {
		go func() {
			runtime.LockOSThread() // for good, so that each of these has another thread
			if unix.Gettid() == unix.Getpid() {
				_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
			}
			select {}
		}()
		time.Sleep(time.Millisecond)
	}
}

// ST-11: a process lives as long as one of its threads, not as the first of them.
func TestProcessWithoutFirstThread(t *testing.T) {
	const helper = "TEST_END_FIRST_THREAD"
	if os.Getenv(helper) != "" {
		endFirstThread()
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", t.Name())
	cmd.Env = append(os.Environ(), helper+"=1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st procStat
	for deadline := time.Now().Add(time.Minute); st.state != 'Z' && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if st, err = readStat(pid); err != nil {
			t.Fatal(err)
		}
	}
	p := Process{pid, st.start}
	if st.state != 'Z' || !p.Alive() {
		t.Errorf("%+v is alive: %v", st, p.Alive())
	}
	if list, err := p.interfaces(); list != nil || err != nil {
		t.Errorf("interfaces %v, %v", list, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := awaitExit(fd, pid, time.Minute); err != nil || p.Alive() {
		t.Errorf("after its end: %v, alive: %v", err, p.Alive())
	}
	if err := cmd.Wait(); err == nil {
		t.Error("it was not killed")
	}
}

// OPS-02, OPD-02, OPD-03, OPK-02: what each status permits.
func TestAllowed(t *testing.T) {
	for status, want := range map[Status]allowed{
		Creating: {start: ErrStartCreating, pause: ErrNotRunning, resume: ErrNotPaused, live: ErrNotRunning, exec: ErrExecCreating},
		Created:  {signal: true, destroy: true, pause: ErrNotRunning, resume: ErrNotPaused},
		Running:  {signal: true, start: ErrStartRunning, resume: ErrNotPaused},
		Paused:   {signal: true, start: ErrStartPaused, pause: ErrNotRunning, exec: ErrExecPaused},
		Stopped:  {destroy: true, start: ErrStartStopped, pause: ErrNotRunning, resume: ErrNotPaused, live: ErrNotRunning, exec: ErrExecStopped},
	} {
		if got := status.allows(); got != want {
			t.Errorf("%s: got %+v, want %+v", status, got, want)
		}
	}
}

// A journal without a lock is a create that died: stopped, so that delete takes it.
func TestAbandonedJournal(t *testing.T) {
	root := t.TempDir()
	d, err := makeStateDir(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.writeState(journalFile, &State{ID: "one", Bundle: "/b"}); err != nil {
		t.Fatal(err)
	}
	c, err := Load(root, "one")
	if err != nil || c.Status() != Creating {
		t.Errorf("locked: %v, %v", c.Status(), err)
	}
	d.release()
	if got := c.Status(); got != Stopped {
		t.Errorf("abandoned: %v", got)
	}
	if err := Delete(root, "one", false); err != nil {
		t.Error(err)
	}
}

// ST-11: a container that is found while it is being created, and looked at right after, is not taken for a dead one.
func TestCreatedSinceFound(t *testing.T) {
	root := t.TempDir()
	d, err := makeStateDir(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	s := &State{ID: "one", Bundle: "/b", Created: time.Unix(1, 0)}
	if err := d.writeState(journalFile, s); err != nil {
		t.Fatal(err)
	}
	found, err := Load(root, "one")
	if err != nil {
		t.Fatal(err)
	}
	self, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s.Init = Process{Pid: os.Getpid(), Start: self.start}
	if err := d.writeState(stateFile, s); err != nil {
		t.Fatal(err)
	}
	d.release()
	if got := found.OCI(); string(got.Status) != string(Running) || got.Pid != os.Getpid() {
		t.Errorf("it is %s with pid %d, want running with %d", got.Status, got.Pid, os.Getpid())
	}
}

// Who deletes a container that he has known for long spares another one that has got its id meanwhile.
func TestDeleteSparesSuccessor(t *testing.T) {
	root := t.TempDir()
	create := func(at time.Time) *Container {
		d, err := makeStateDir(root, "one")
		if err != nil {
			t.Fatal(err)
		}
		defer d.release()
		if err := d.writeState(stateFile, &State{ID: "one", Bundle: "/b", Created: at, OwnPidns: true}); err != nil {
			t.Fatal(err)
		}
		c, err := Load(root, "one")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := create(time.Unix(1, 0))
	if err := Delete(root, "one", false); err != nil {
		t.Fatal(err)
	}
	second := create(time.Unix(2, 0))
	if err := first.Delete(); err != nil {
		t.Error(err)
	}
	if _, err := Load(root, "one"); err != nil {
		t.Errorf("the second container: %v", err)
	}
	if err := second.Delete(); err != nil {
		t.Error(err)
	}
	if _, err := Load(root, "one"); !errors.Is(err, ErrNotExist) {
		t.Errorf("the second container, deleted: %v", err)
	}
}
