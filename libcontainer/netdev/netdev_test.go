package netdev

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// strangers counts the threads of this process that are in another network namespace than its main one was.
func strangers(t *testing.T, home string) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, task := range tasks {
		ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net")
		if err == nil && ns != home { // else the thread has ended
			n++
		}
	}
	return n
}

// Sockets of another namespace leave no thread there, wherever the goroutine that asks for them runs.
func TestDialIn(t *testing.T) {
	home, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // its end is awaited
		_ = cmd.Wait()
	}()
	for range 50 {
		c, err := dialIn("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		answers, err := c.dump(unix.RTM_GETLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
		if lo, found := c.link("lo"); err != nil || len(answers) != 1 || found != nil || lo.up {
			t.Fatalf("%d devices (%v), lo %+v (%v): not the new namespace", len(answers), err, lo, found)
		}
		c.close()
		if ns, err := os.Readlink("/proc/self/ns/net"); err != nil || ns != home {
			t.Fatalf("the main thread is in %s, not in %s", ns, home)
		}
	}
	for deadline := time.Now().Add(time.Minute); strangers(t, home) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d threads stay in another namespace", strangers(t, home))
		}
	}
	for _, path := range []string{"/nosuch", "/dev/null"} {
		if c, err := dialIn(path); err == nil {
			c.close()
			t.Errorf("%s passes for a namespace", path)
		}
	}
}

// A label follows its device's new name, as far as the kernel has room for it.
func TestRelabel(t *testing.T) { // NETD-06
	for _, test := range [][3]string{
		{"eth0", "web", "web"}, {"eth0:1", "web", "web:1"}, {"other", "web", "other"}, {"eth0:a-long-tail", "fifteen-letters", "fifteen-letters"},
	} {
		address := description{kind: unix.RTM_NEWADDR, header: make([]byte, unix.SizeofIfAddrmsg), attributes: []syscall.NetlinkRouteAttr{
			{Attr: syscall.RtAttr{Type: unix.IFA_LOCAL}, Value: []byte{10, 0, 0, 1}},
			{Attr: syscall.RtAttr{Type: unix.IFA_LABEL}, Value: nl.ZeroTerminated(test[0])},
		}}
		moved := address.on(7).relabel("eth0", test[1])
		if got := unix.ByteSliceToString(moved.find(unix.IFA_LABEL)); got != test[2] {
			t.Errorf("%s of eth0 becomes %s on %s, want %s", test[0], got, test[1], test[2])
		}
		if got := unix.ByteSliceToString(address.find(unix.IFA_LABEL)); got != test[0] {
			t.Errorf("the original has become %s", got)
		}
	}
}
