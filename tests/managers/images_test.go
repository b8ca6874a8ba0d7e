package managers

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// imageConfig is what an image says about its programs, in Docker's format.
type imageConfig struct {
	User         string
	Env          []string
	Entrypoint   []string
	Cmd          []string
	WorkingDir   string
	Volumes      map[string]struct{}
	ExposedPorts map[string]struct{}
	Labels       map[string]string
	StopSignal   string
	Healthcheck  any `json:",omitempty"`
}

// Names of the images that every suite may load. Podman wants a registry's
// name; nothing asks it.
const (
	busyboxImage = "skep.test/busybox:latest"
	debianImage  = "skep.test/debian:latest"
)

// defaultConfig is for images whose configuration does not matter.
var defaultConfig = imageConfig{
	Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "BAKED=in"},
	Cmd: []string{"/bin/sh"},
}

// busyboxArchive writes a Docker archive of an image with busybox and nothing
// else, and returns its path.
func busyboxArchive(t *testing.T, name string, config imageConfig) string {
	t.Helper()
	layer := filepath.Join(tempDir(t), "layer.tar")
	f := createFile(t, layer)
	defer f.Close()
	busyboxLayer(t, f)
	return dockerArchive(t, name, config, layer)
}

// debianArchive does the same with the Debian that makeDebian has made.
func debianArchive(t *testing.T, name string, config imageConfig) string {
	t.Helper()
	return dockerArchive(t, name, config, debianTar)
}

// busyboxTree unpacks the busybox layer, for bundles without a manager.
func busyboxTree(t *testing.T) string {
	t.Helper()
	layer := filepath.Join(tempDir(t), "layer.tar")
	f := createFile(t, layer)
	busyboxLayer(t, f)
	f.Close()
	root := filepath.Join(tempDir(t), "rootfs")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, "tar", "-xf", layer, "-C", root)
	return root
}

// busyboxLayer writes a small root filesystem around the host's busybox.
func busyboxLayer(t *testing.T, w io.Writer) {
	t.Helper()
	need(t, "busybox")
	program, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	layer := tar.NewWriter(w)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		h.ModTime = time.Unix(1e9, 0)
		if err := layer.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(layer, content); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range strings.Fields("bin dev etc home proc root run sys usr usr/bin var") {
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, "")
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, "")
	add(tar.Header{Typeflag: tar.TypeDir, Name: "home/user/", Mode: 0o755, Uid: 1000, Gid: 1000}, "")
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n",
		"etc/group":  "root:x:0:\nstaff:x:50:user\nuser:x:1000:\n",
	} {
		add(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content)
	}
	add(tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, string(content))
	for _, applet := range strings.Fields(run(t, program, "--list")) {
		if applet != "busybox" {
			add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}, "")
		}
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
}

// dockerArchive writes what `docker save` would of an image with one layer.
// containerd, Docker and Podman import it.
func dockerArchive(t *testing.T, name string, config imageConfig, layer string) string {
	t.Helper()
	in, err := os.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	image := marshal(t, map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"created":      "2001-09-09T01:46:40Z",
		"config":       config,
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum.Sum(nil))}},
		"history":      []map[string]any{{"created_by": "tests"}},
	})
	imageName := fmt.Sprintf("%x.json", sha256.Sum256(image))
	manifest := marshal(t, []map[string]any{{"Config": imageName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})

	out := createFile(t, filepath.Join(tempDir(t), "image.tar"))
	defer out.Close()
	archive := tar.NewWriter(out)
	for _, file := range []struct {
		name    string
		size    int64
		content io.Reader
	}{
		{"layer.tar", size, in},
		{imageName, int64(len(image)), strings.NewReader(string(image))},
		{"manifest.json", int64(len(manifest)), strings.NewReader(string(manifest))},
	} {
		if err := archive.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: file.name, Mode: 0o644, Size: file.size}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(archive, file.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// debianTar is a small Debian. It takes half a minute and the network to
// make, so that it is kept.
const debianTar = "../../build/managers/debian.tar"

// makeDebian makes debianTar unless it is there.
func makeDebian() error {
	if err := os.MkdirAll(filepath.Dir(debianTar), 0o755); err != nil {
		return err
	}
	lock, err := os.Create(debianTar + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if _, err := os.Stat(debianTar); err == nil {
		return nil
	}
	part := debianTar + ".part.tar"
	// This machine's release: its keys are at hand.
	script := `. /etc/os-release && exec mmdebstrap --quiet --variant=minbase --aptopt="Acquire::Retries 5" "$VERSION_CODENAME" "$1"`
	out, err := exec.Command("sh", "-c", script, "sh", part).CombinedOutput()
	if err != nil {
		return fmt.Errorf("mmdebstrap: %w (`scripts/need.sh managers` installs what these tests need)\n%s", err, out)
	}
	return os.Rename(part, debianTar)
}
