package libcontainer

import (
	"os"
	"strings"
	"testing"
)

// Who waits for somebody else's child is told at once.
func TestWaitForStranger(t *testing.T) {
	st, err := readStat(os.Getppid())
	if err != nil {
		t.Fatal(err)
	}
	c := &Container{state: &State{ID: "x", Init: Process{Pid: os.Getppid(), Start: st.start}}}
	if _, err := c.Wait(t.Context()); err == nil || !strings.HasSuffix(err.Error(), "is no child of this process") {
		t.Error(err)
	}
	c.state.Init.Start++
	if _, err := c.Wait(t.Context()); err != ErrNotRunning {
		t.Error(err)
	}
}
