package criu

// The messages of criu's rpc.proto, as far as a container needs them. The numbers are those of its fields.

// requestType says what criu is asked to do, or what it answers.
type requestType int32

// The requests, and what criu asks back.
const (
	dump    requestType = 1
	restore requestType = 2
	preDump requestType = 4
	notify  requestType = 6
)

type request struct {
	Type    requestType `criu:"1"`
	Options *Options    `criu:"2"`
	Success bool        `criu:"3"` // of a notification
}

type response struct {
	Type         requestType  `criu:"1"`
	Success      bool         `criu:"2"`
	Restored     processID    `criu:"4"`
	Notification notification `criu:"5"`
	Errno        int32        `criu:"7"`
	Message      string       `criu:"9"`
}

type processID struct {
	Pid int32 `criu:"1"`
}

type notification struct {
	Script string `criu:"1"`
	Pid    int32  `criu:"2"`
}

// Options are those of a dump or a restore. Descriptors are numbers in the process that asks, those of Inherited in
// criu's.
type Options struct {
	Images *int32 `criu:"1"`  // the directory of the images
	Work   int32  `criu:"17"` // that of the log
	Pid    int32  `criu:"2"`  // of the process to dump, with all its children
	Root   string `criu:"13"` // the container's root, a mount point

	LogLevel int32  `criu:"9"`
	LogFile  string `criu:"10"` // in the directory of the log
	Notify   bool   `criu:"12"`

	LeaveRunning    bool `criu:"3"`
	ExternalSockets bool `criu:"4"` // unix sockets connected to somebody outside may be dumped
	TCPEstablished  bool `criu:"5"`
	EvasiveDevices  bool `criu:"6"`
	ShellJob        bool `criu:"7"` // the session's leader is outside
	FileLocks       bool `criu:"8"`
	LinkRemap       bool `criu:"18"`
	ForceIrmap      bool `criu:"21"`
	TCPSkipInFlight bool `criu:"46"`
	TCPClose        bool `criu:"52"`

	PageServer  *PageServer `criu:"11"`
	Parent      string      `criu:"14"` // the images before, relative to Images
	TrackMemory bool        `criu:"15"`
	AutoDedup   bool        `criu:"16"`
	LazyPages   bool        `criu:"48"`
	StatusFD    *int32      `criu:"49"`

	ExternalMounts []ExternalMount `criu:"23"`
	External       []string        `criu:"37"`
	Inherited      []Inherited     `criu:"27"`
	EmptyNetns     int32           `criu:"38"` // CLONE_NEWNET: it is given back empty
	Sibling        bool            `criu:"26"` // what is restored becomes a child of criu's parent
	OrphanPty      bool            `criu:"50"` // the terminal's master is handed over

	ManageCgroups bool         `criu:"24"`
	CgroupMode    *CgroupMode  `criu:"34"`
	CgroupRoots   []CgroupRoot `criu:"25"`
	FreezeCgroup  string       `criu:"44"`

	ConfigFile      string      `criu:"51"`
	LSMProfile      string      `criu:"53"`
	LSMMountContext string      `criu:"63"`
	NetworkLock     NetworkLock `criu:"64"`
}

// PageServer is where the memory goes.
type PageServer struct {
	Address string `criu:"1"`
	Port    int32  `criu:"2"`
}

// ExternalMount names a mount whose source is outside the container: when dumped Key is its place in the container
// and Value its name, when restored Key is the name and Value the source on the host.
type ExternalMount struct {
	Key   string `criu:"1"`
	Value string `criu:"2"`
}

// Inherited is a descriptor that takes the place of a resource outside the container.
type Inherited struct {
	Key string `criu:"1"`
	FD  *int32 `criu:"2"`
}

// CgroupRoot is where the cgroups of a hierarchy are restored, of all of them if Controller is empty.
type CgroupRoot struct {
	Controller string `criu:"1"`
	Path       string `criu:"2"`
}

// CgroupMode says what criu does about cgroups.
type CgroupMode int32

// The modes. Strict fails where a cgroup exists that is to be restored.
const (
	CgroupIgnore CgroupMode = 0
	CgroupSoft   CgroupMode = 3
	CgroupFull   CgroupMode = 4
	CgroupStrict CgroupMode = 5
)

// NetworkLock says how criu holds the container's network still; 0 leaves it to criu.
type NetworkLock int32

// The words that the command line knows.
var (
	cgroupModes = [...]struct {
		Word string
		Mode CgroupMode
	}{{"ignore", CgroupIgnore}, {"soft", CgroupSoft}, {"full", CgroupFull}, {"strict", CgroupStrict}}
	networkLocks = [...]string{1: "iptables", 2: "nftables", 3: "skip"}
)

// ParseCgroupMode knows ignore, soft, full and strict.
func ParseCgroupMode(word string) (*CgroupMode, bool) {
	for _, m := range cgroupModes {
		if m.Word == word {
			return &m.Mode, true
		}
	}
	return nil, false
}

// ParseNetworkLock knows iptables, nftables and skip.
func ParseNetworkLock(word string) (NetworkLock, bool) {
	for i, w := range networkLocks {
		if i > 0 && w == word {
			return NetworkLock(i), true
		}
	}
	return 0, false
}
