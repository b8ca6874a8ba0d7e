package libcontainer

import (
	"os"

	"skep/libcontainer/resctrl"
)

// Option changes how Create and Restore make a container or Exec runs a program. Those about hooks, warnings and systemd
// count for all that is done with a container: Load takes them too.
type Option func(*options)

type options struct {
	streams       [3]*os.File
	consoleSocket string
	console       func(master *os.File) error
	pidFile       string
	noPivot       bool
	rootless      bool
	noCgroups     bool
	timerSlack    uint64
	hookEnv       []string
	searchPath    string
	noNewKeyring  bool
	preserveFDs   int
	listenFDs     int
	listenNames   string
	notifySocket  string
	notifyPlace   bool // the program gets a place for its socket in any case
	pidfdSocket   string
	cgroups       map[string]string // of exec
	ignorePaused  bool
	notifyPass    bool
	warn          func(string)
	systemd       bool
	userBus       []string
	notifyDir     string        // for the program's own socket; empty: it gets none
	planning      bool          // nothing is to be made
	resctrl       *resctrl.Tree // in place of the host's, for tests
}

// NoCgroups makes the container without cgroups: no limits, no pause, and a pid namespace of its own, which is what
// tells its processes.
func NoCgroups() Option { return func(o *options) { o.noCgroups = true } }

func newOptions(rootless bool, opts []Option) *options {
	o := &options{rootless: rootless}
	for _, set := range opts {
		set(o)
	}
	return o
}

// Streams are the program's standard input, output and error, unless it has a terminal; in place of one that is nil it
// gets this process's own. Create and Exec have duplicates: the files can be closed afterwards.
func Streams(stdin, stdout, stderr *os.File) Option {
	return func(o *options) { o.streams = [3]*os.File{stdin, stdout, stderr} }
}

// ConsoleSocket names the AF_UNIX stream socket that receives the terminal's master, where process.terminal is set.
func ConsoleSocket(path string) Option { return func(o *options) { o.consoleSocket = path } }

// Console hands the terminal's master to a function, which owns it from then on, where process.terminal is set.
func Console(take func(master *os.File) error) Option { return func(o *options) { o.console = take } }

// PidFile has the pid of init written to a file once the container is created, or that of the process of Exec.
func PidFile(path string) Option { return func(o *options) { o.pidFile = path } }

// PidfdSocket names the AF_UNIX stream socket that receives a pidfd of init, or of the process of Exec.
func PidfdSocket(path string) Option { return func(o *options) { o.pidfdSocket = path } }

// Cgroups puts the process of Exec into existing cgroups below the container's, by paths relative to it: one for each
// v1 controller, or under the empty name one for all hierarchies. On v2 there is but one.
func Cgroups(paths map[string]string) Option { return func(o *options) { o.cgroups = paths } }

// IgnorePaused lets Exec wait for a paused container to be resumed.
func IgnorePaused() Option { return func(o *options) { o.ignorePaused = true } }

// NoPivot uses a move of the root mount and chroot instead of pivot_root, for hosts that run from a ramfs.
func NoPivot() Option { return func(o *options) { o.noPivot = true } }

// Rootless says whether cgroups are used as an unprivileged user has to: below the parent of the own cgroup, where a
// delegated subtree begins, and not at all where that is refused and no limits are asked for. Without this option the
// kernel is asked what this process is ([Unprivileged]).
func Rootless(on bool) Option { return func(o *options) { o.rootless = on } }

// TimerSlack is the timer slack, in nanoseconds, that the container and hooks get where this process has changed its
// own: the kernel would hand ours on.
func TimerSlack(ns uint64) Option { return func(o *options) { o.timerSlack = ns } }

// NoNewKeyring leaves the container the session keyring of this process.
func NoNewKeyring() Option { return func(o *options) { o.noNewKeyring = true } }

// PreserveFDs hands descriptors of this process to the program, which finds them under the same numbers: n of them,
// from 3 on, or after those of ListenFDs. Each has to be open; this process keeps its own.
func PreserveFDs(n int) Option { return func(o *options) { o.preserveFDs = n } }

// ListenFDs hands the n descriptors from 3 on to the program as sd_listen_fds(3) expects them, with their names
// (LISTEN_FDNAMES) where they have some.
func ListenFDs(n int, names string) Option {
	return func(o *options) { o.listenFDs, o.listenNames = n, names }
}

// NotifySocket is the path of a service manager's socket (NOTIFY_SOCKET, sd_notify(3)). Create gives the program a
// socket of its own; Start waits until the program says READY=1 and passes that on, together with the pid of init as
// the service's main process.
func NotifySocket(path string) Option { return func(o *options) { o.notifySocket = path } }

// NotifyPass changes NotifySocket for a caller that is to stay the service's main process: Start does not wait, and
// what the program says about itself is passed on for as long as it and this process live.
func NotifyPass() Option { return func(o *options) { o.notifyPass = true } }

// SystemdCgroup has systemd make and limit the cgroup: that of the system or, with Rootless, that of the user. For a
// container that exists it matters only where its state cannot be read.
func SystemdCgroup() Option { return func(o *options) { o.systemd = true } }

// UserBus names the D-Bus addresses at which the user's systemd is looked for, in their order.
func UserBus(addresses ...string) Option { return func(o *options) { o.userBus = addresses } }

// HookEnvironment is the environment of those hooks outside the container that the configuration gives none: an empty
// one, unless this is set.
func HookEnvironment(env []string) Option { return func(o *options) { o.hookEnv = env } }

// SearchPath is where programs of the host are looked up, a list of directories as in PATH: criu(8), and newuidmap(1) and
// newgidmap(1), which are needed where an unprivileged user has more ids mapped than the own one.
func SearchPath(list string) Option { return func(o *options) { o.searchPath = list } }

// Warn receives warnings: what was asked for, could not be had, and does not stop the container.
func Warn(f func(string)) Option { return func(o *options) { o.warn = f } }
