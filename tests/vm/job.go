package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// share is a directory of the host's that the machine sees.
type share struct {
	host, guest string
	readonly    bool
}

// job is a command to run in a machine.
type job struct {
	args   []string
	env    []string // name=value
	shares []share  // the first is the working directory
	dir    string   // the working directory, instead
	user   bool     // as the unprivileged user
}

// addShare parses host[:guest[:ro]].
func (j *job) addShare(text string) error {
	if len(j.shares) == slots {
		return fmt.Errorf("at most %d directories can be shared", slots)
	}
	host, rest, _ := strings.Cut(text, ":")
	guest, mode, _ := strings.Cut(rest, ":")
	if mode != "" && mode != "ro" {
		return fmt.Errorf("%q is not ro", mode)
	}
	host, err := filepath.Abs(host)
	if err != nil {
		return err
	}
	if info, err := os.Stat(host); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", host)
	}
	if guest == "" {
		guest = host
	}
	j.shares = append(j.shares, share{host, guest, mode == "ro"})
	return nil
}

// addVariable parses name[=value].
func (j *job) addVariable(text string) error {
	name, _, given := strings.Cut(text, "=")
	if name == "" {
		return errors.New("a variable needs a name")
	}
	if !given {
		text += "=" + os.Getenv(name)
	}
	j.env = append(j.env, text)
	return nil
}

// script is what the agent runs: it sees to the machine first, which has just woken up
// with the clock of its snapshot, and then runs the command in its place.
func (j job) script() (string, error) {
	if len(j.args) == 0 {
		return "", errors.New("no command")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "set -e\ndate --set=@%d >/dev/null\n", time.Now().Unix())
	fmt.Fprintf(&b, "mount /dev/vdb /scratch\nchmod 1777 /scratch\n")
	for i, s := range j.shares {
		mode := "rw"
		if s.readonly {
			mode = "ro"
		}
		fmt.Fprintf(&b, "mkdir -p %[1]s\nmount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,%[2]s share%[3]d %[1]s\n",
			quote(s.guest), mode, i)
	}
	var names []string
	for _, v := range j.env {
		name, _, _ := strings.Cut(v, "=")
		names = append(names, name)
		fmt.Fprintf(&b, "export %s\n", quote(v))
	}
	dir := j.dir
	if dir == "" && len(j.shares) > 0 {
		dir = j.shares[0].guest
	}
	if dir == "" {
		dir = "/tmp"
	}
	fmt.Fprintf(&b, "cd %s\n", quote(dir))
	b.WriteString("exec")
	if j.user {
		fmt.Fprintf(&b, " env SKEP_VM_ENV=%s vm-as-tester", quote(strings.Join(names, " ")))
	}
	for _, a := range j.args {
		b.WriteString(" " + quote(a))
	}
	b.WriteString("\n")
	return b.String(), nil
}

// quote makes one word of a shell's.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
