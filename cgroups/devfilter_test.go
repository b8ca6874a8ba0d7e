package cgroups

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// request is what the kernel asks a device filter: "c 1:3 rw".
func request(s string) [3]uint32 {
	r := rule("ask " + s)
	kind := uint32(unix.BPF_DEVCG_DEV_BLOCK)
	if r.Type == "c" {
		kind = unix.BPF_DEVCG_DEV_CHAR
	}
	var bits uint32
	for _, letter := range r.Access {
		switch letter {
		case 'm':
			bits |= 1
		case 'r':
			bits |= 2
		case 'w':
			bits |= 4
		}
	}
	return [3]uint32{bits<<16 | kind, uint32(*r.Major), uint32(*r.Minor)}
}

// evaluate runs a program as the kernel does. It knows the instructions of
// device filters by the numbers in the kernel's documentation, and fails on
// what its verifier refuses: others, jumps backwards or out of the program,
// registers without a value, code that nothing reaches.
func evaluate(t *testing.T, program []instruction, ctx [3]uint32) uint32 {
	t.Helper()
	var reg [11]uint64
	known := [11]bool{1: true}
	for pc := 0; pc < len(program); pc++ {
		in := program[pc]
		dst, src := in.regs&0xf, in.regs>>4
		imm := uint32(in.imm)
		jump := false
		if in.code != 0xb7 && in.code != 0x61 && in.code != 0x69 && in.code != 0x95 && in.code != 0x05 && !known[dst] {
			t.Fatalf("%d: r%d has no value", pc, dst)
		}
		switch in.code {
		case 0x61: // load 32 bits
			if src != 1 || in.off%4 != 0 || in.off < 0 || in.off > 8 {
				t.Fatalf("%d: load from r%d+%d", pc, src, in.off)
			}
			reg[dst], known[dst] = uint64(ctx[in.off/4]), true
		case 0xb7: // move, 64 bits
			reg[dst], known[dst] = uint64(int64(in.imm)), true
		case 0x69: // load 16 bits
			if src != 1 || in.off != 0 {
				t.Fatalf("%d: load from r%d+%d", pc, src, in.off)
			}
			reg[dst], known[dst] = uint64(ctx[0]&0xffff), true
		case 0x54: // and, 32 bits
			reg[dst] = uint64(uint32(reg[dst]) & imm)
		case 0x74: // shift right, 32 bits
			reg[dst] = uint64(uint32(reg[dst]) >> imm)
		case 0x05: // jump
			jump = true
		case 0x56: // if not equal, 32 bits
			jump = uint32(reg[dst]) != imm
		case 0x46: // if a bit is set, 32 bits
			jump = uint32(reg[dst])&imm != 0
		case 0x95: // exit
			if !known[0] {
				t.Fatalf("%d: exit without a result", pc)
			}
			return uint32(reg[0])
		default:
			t.Fatalf("%d: instruction %#x", pc, in.code)
		}
		if in.off < 0 {
			t.Fatalf("%d: back by %d", pc, in.off)
		}
		if jump {
			pc += int(in.off)
		}
	}
	t.Fatal("the program has no end")
	return 0
}

// expectReachable fails on dead code, which the kernel does not load.
func expectReachable(t *testing.T, program []instruction) {
	t.Helper()
	reached := make([]bool, len(program)+1)
	reached[0] = true
	for pc, in := range program {
		if !reached[pc] {
			t.Errorf("nothing reaches %d", pc)
		}
		switch in.code {
		case 0x95:
		case 0x05:
			reached[pc+1+int(in.off)] = true
		case 0x56, 0x46:
			reached[pc+1+int(in.off)] = true
			reached[pc+1] = true
		default:
			reached[pc+1] = true
		}
	}
	if reached[len(program)] {
		t.Error("the program runs over its end")
	}
}

type filterTest struct {
	name    string
	rules   []string
	allowed string // requests, separated by commas
	denied  string
}

// CGD-01 CGD-03 CGD-04 CGD-05 CGD-07
func filterTests() []filterTest {
	const some = "c 1:11 r,b 8:0 w,c 254:77 rw"
	return []filterTest{
		{name: "deny all", rules: []string{"deny a *:* rwm"},
			allowed: "c 1:3 rwm,c 1:5 rw,c 1:7 w,c 1:8 r,c 1:9 r,c 5:0 rw,c 5:2 rw,c 136:0 rw,c 136:1048575 r,c 10:200 rw,c 1:11 m,b 8:0 m",
			denied:  some + ",b 1:3 r,c 1:11 rm,c 10:201 r,c 135:0 r,b 136:0 r"},
		{name: "unset is all", rules: []string{"deny"}, allowed: "c 1:3 rw", denied: some},
		{name: "order", rules: []string{"deny", "allow c 1:11 rw", "deny c 1:11 w"},
			allowed: "c 1:11 r", denied: "c 1:11 w,c 1:11 rw,b 1:11 r"},
		{name: "later word for all", rules: []string{"allow c 1:11", "deny"}, denied: some},
		{name: "each access by itself", rules: []string{"deny", "allow b 8:0 r", "allow b 8:* w"},
			allowed: "b 8:0 r,b 8:0 w,b 8:0 rw,b 8:0 rwm,b 8:1 w", denied: "b 8:1 r,b 8:1 rw,b 9:0 r"},
		{name: "partly denied later", rules: []string{"deny", "allow c 7:* rw", "deny c 7:1 w", "allow c 7:1 r"},
			allowed: "c 7:1 r,c 7:2 rw", denied: "c 7:1 w,c 7:1 rw"}, // v1 cannot
		{name: "a hole, and one in it", rules: []string{"deny", "allow c *:* rw", "deny c 7:* rw", "allow c 7:3 r"},
			allowed: "c 6:1 rw,c 7:3 r", denied: "c 7:1 r,c 7:3 w,c 7:3 rw,b 6:1 r"},
		{name: "only exceptions", rules: []string{"allow", "deny b 8:0 rw"},
			allowed: "c 1:11 rw,b 8:1 rw,b 8:0 m", denied: "b 8:0 r,b 8:0 w,b 8:0 rm"},
		{name: "nothing said before", rules: []string{"allow b *:0"}, allowed: "b 8:0 r,b 9:0 w,c 9:9 m", denied: "c 1:11 rw,b 8:1 rw"},
		{name: "the defaults stay", rules: []string{"deny", "deny c 1:3", "deny c *:* m"}, allowed: "c 1:3 rwm,c 9:9 m", denied: "c 9:9 r"},
		{name: "some access of all kinds", rules: []string{"deny", "allow a *:* r", "deny a 8:* r"},
			allowed: "c 1:11 r,b 9:0 r", denied: "c 1:11 w,c 8:0 r,b 8:0 r"},
		{name: "big numbers", rules: []string{"deny", "allow c 4294967295:4294967294 r"},
			allowed: "c 4294967295:4294967294 r", denied: "c 4294967295:4294967295 r"},
	}
}

func compileFilter(t *testing.T, lines ...string) Write {
	t.Helper()
	writes, warnings, err := Compile(V2, &specs.LinuxResources{Devices: rules(lines...)})
	if err != nil || len(warnings) != 0 || len(writes) != 1 || writes[0].File != deviceFilter {
		t.Fatalf("%v, %q, %v", writes, warnings, err)
	}
	return writes[0]
}

func TestFilter(t *testing.T) {
	for _, tt := range filterTests() {
		t.Run(tt.name, func(t *testing.T) {
			w := compileFilter(t, tt.rules...)
			program := filterProgram(w.rules)
			if Needed([]Write{w}) == "" || program == nil {
				t.Fatal("no program")
			}
			expectReachable(t, program)
			for result, list := range []string{tt.denied, tt.allowed} {
				if list == "" {
					continue
				}
				for s := range strings.SplitSeq(list, ",") {
					if got := evaluate(t, program, request(s)); got != uint32(result) {
						t.Errorf("%s: %d, want %d", s, got, result)
					}
				}
			}
		})
	}
}

// What denies nothing needs no program, as for a privileged container; what is
// there already of skep's goes. CGD-10: a container without cgroups lacks
// nothing.
func TestFilterNothing(t *testing.T) {
	for _, lines := range [][]string{
		{"allow"}, {"allow a *:* rwm"}, {"deny", "allow"}, {"deny c 1:3 r", "allow", "allow b 8:0"},
	} {
		if w := compileFilter(t, lines...); filterProgram(w.rules) != nil || Needed([]Write{w}) != "" {
			t.Errorf("%q: %v", lines, w)
		}
	}
	// CGD-09: without rules nothing is touched.
	if writes, _, err := Compile(V2, &specs.LinuxResources{Pids: &specs.LinuxPids{}}); len(writes) != 0 || err != nil {
		t.Errorf("%v, %v", writes, err)
	}
}

// What later rules cover takes no room.
func TestFilterCovered(t *testing.T) {
	short := filterProgram(compileFilter(t, "deny").rules)
	for _, lines := range [][]string{
		append([]string{"deny"}, defaults...),
		{"deny", "deny c 1:3", "allow c 136:7 rw", "allow b 8:0 m"},
		{"deny", "deny c 1:3 rw", "deny c 9:* m", "deny c 5:2"},
	} {
		if long := filterProgram(compileFilter(t, lines...).rules); len(long) != len(short) {
			t.Errorf("%q: %d instructions, not %d", lines, len(long), len(short))
		}
	}
	if same := filterProgram(compileFilter(t, "deny", "allow c 1:* r").rules); len(same) <= len(short) {
		t.Error("a rule that counts is left out")
	}
	if w := compileFilter(t, "allow", "deny c 1:3"); filterProgram(w.rules) != nil {
		t.Error("a denial that a default rule takes back makes a program")
	}
}

// The plan tells the rules.
func TestFilterShown(t *testing.T) {
	w := compileFilter(t, "deny", "allow b 8:0 rm")
	want := "deny a *:* rwm, allow b 8:0 rm, " + strings.Join(defaults, ", ")
	if w.Value != want {
		t.Errorf("%q, want %q", w.Value, want)
	}
}

func TestLastLine(t *testing.T) {
	for log, want := range map[string]string{
		"": "",
		"0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000)\n": "R0 !read_ok",
		"jump out of range\n\n": "jump out of range",
	} {
		if got := lastLine(log); got != want {
			t.Errorf("%q: %q", log, got)
		}
	}
}
