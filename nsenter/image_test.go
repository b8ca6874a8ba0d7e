package nsenter

import (
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// tool runs a program that these tests cannot do without.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("this test needs %s, to look at the player's machine code: %v", name, err)
	}
	out, err := exec.Command(file, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// compile makes an object of player.c as cgo does for an architecture.
func compile(t *testing.T, cc, arch string) string {
	t.Helper()
	object := filepath.Join(t.TempDir(), "player.o")
	flags := strings.Fields(tool(t, "go", "env", "CGO_CFLAGS"))
	t.Setenv("GOARCH", arch)
	t.Setenv("CGO_ENABLED", "1")
	flags = append(flags, strings.Fields(tool(t, "go", "list", "-f", `{{join .CgoCFLAGS " "}}`, "."))...)
	words := strings.Fields(cc)
	tool(t, words[0], append(append(words[1:], flags...), "-c", "-o", object, "player.c")...)
	return object
}

// compiler has to make a working player.
type compiler struct{ name, arch, objdump string }

// compilers are gcc, and what else is installed.
func compilers() []compiler {
	found := []compiler{{"gcc", runtime.GOARCH, "objdump"}}
	for _, c := range []compiler{{"clang", runtime.GOARCH, "objdump"}, {"aarch64-linux-gnu-gcc", "arm64", "aarch64-linux-gnu-objdump"}} {
		if _, err := exec.LookPath(c.name); err == nil {
			found = append(found, c)
		}
	}
	return found
}

var (
	instruction = regexp.MustCompile(`^\s*[0-9a-f]+:\t(?:[0-9a-f]{2,8} )+\s*\t(\S+)\s*(.*)$`)
	jumpTarget  = regexp.MustCompile(`<(\w+)(?:\+0x[0-9a-f]+)?>`)
)

// TestPlayerStandsAlone looks for whatever would not survive the copy out of the binary: calls, relocations, data,
// and vector registers, whose constants are data.
func TestPlayerStandsAlone(t *testing.T) {
	for _, cc := range compilers() {
		t.Run(cc.name, func(t *testing.T) {
			object := compile(t, cc.name, cc.arch)
			count := 0
			for line := range strings.Lines(tool(t, cc.objdump, "-dr", "-j", "player", object)) {
				line = strings.TrimRight(line, "\n")
				if strings.Contains(line, "R_X86_64_") || strings.Contains(line, "R_AARCH64_") {
					t.Errorf("relocation: %s", line)
				}
				m := instruction.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				count++
				if reason := unfit(m[1], m[2]); reason != "" {
					t.Errorf("%s: %s", reason, line)
				}
			}
			if count < 100 {
				t.Errorf("only %d instructions found: is the disassembly understood?", count)
			}
		})
	}
}

// unfit says why an instruction cannot be part of the player.
func unfit(mnemonic, operands string) string {
	switch target := jumpTarget.FindStringSubmatch(operands); {
	case strings.HasPrefix(mnemonic, "call"), mnemonic == "bl", mnemonic == "blr":
		return "call"
	case strings.HasPrefix(mnemonic, "jmp") && strings.HasPrefix(operands, "*"), mnemonic == "br":
		return "jump through a table"
	case strings.Contains(operands, "(%rip)"), strings.HasPrefix(mnemonic, "adr"):
		return "data"
	case strings.Contains(operands, "%xmm"), strings.Contains(operands, "%ymm"):
		return "vector register"
	case target != nil && target[1] != "player_start":
		return "jump out of the section"
	}
	return ""
}

// TestLinkedPlayer compares what the linker made of the section with the object.
func TestLinkedPlayer(t *testing.T) {
	section := filepath.Join(t.TempDir(), "section")
	tool(t, "objcopy", "-O", "binary", "--only-section=player", compile(t, tool(t, "go", "env", "CC"), runtime.GOARCH), section)
	want, err := os.ReadFile(section)
	if err != nil {
		t.Fatal(err)
	}
	got, entry := code()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes are linked, %d compiled, and they differ", len(got), len(want))
	}
	if entry < 0 || entry >= len(got) {
		t.Errorf("the player starts at %d of %d", entry, len(got))
	}
	const limit = 1536
	if len(got) > limit {
		t.Errorf("the player has %d bytes, it is meant to stay below %d", len(got), limit)
	}
}

// TestImage reads the ELF executable back.
func TestImage(t *testing.T) {
	text, entry := code()
	f, err := elf.NewFile(bytes.NewReader(image()))
	if err != nil {
		t.Fatal(err)
	}
	if f.Type != elf.ET_EXEC || f.Machine != elf.Machine(machine()) || len(f.Progs) != 2 {
		t.Fatalf("%v for %v with %d segments", f.Type, f.Machine, len(f.Progs))
	}
	load, stack := f.Progs[0], f.Progs[1]
	if load.Type != elf.PT_LOAD || load.Flags != elf.PF_R|elf.PF_X {
		t.Errorf("first segment: %v %v", load.Type, load.Flags)
	}
	if stack.Type != elf.PT_GNU_STACK || stack.Flags != elf.PF_R|elf.PF_W {
		t.Errorf("second segment: %v %v", stack.Type, stack.Flags)
	}
	content := make([]byte, load.Filesz)
	if _, err := load.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if at := f.Entry - load.Vaddr; !bytes.HasPrefix(content[at:], text[entry:]) {
		t.Errorf("the entry point %#x is not where the player starts", f.Entry)
	}
}
