package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// guest is what the image has besides Debian's packages, and the hook that puts it there.
//
//go:embed guest
var guest embed.FS

// packages are Debian's: a small system, what the tests call, the runtimes that skep is
// compared with, and the managers with what they call.
var packages = []string{
	"systemd", "dbus", "dbus-user-session", "libpam-systemd", "kmod", "e2fsprogs", "iproute2", "procps", "psmisc",
	"busybox-static", "libcap2-bin", "uidmap", "apparmor", "nftables", "iptables", "strace", "jq", "python3-minimal",
	"runc", "crun", "criu", "libseccomp2",
	"containerd", "docker.io", "podman", "slirp4netns", "fuse-overlayfs", "tini",
}

// mirrorVariable names a Debian mirror for hosts whose own apt knows none.
const mirrorVariable = "SKEP_VM_MIRROR"

// What of Debian the image is made of. The kernel's package comes from the first
// and the last, see guest/customize.sh.
const (
	release          = "bookworm"
	releaseSecurity  = "bookworm-security"
	releaseBackports = "bookworm-backports"
)

// cacheDir is where images and snapshots live.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "skep-vm"), err
}

// prepareImage builds the image where it is missing and returns its directory.
func prepareImage(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	key, err := imageKey()
	if err != nil {
		return "", err
	}
	image := filepath.Join(cache, "image-"+key)
	return image, makeOnce(image, func(dir string) error {
		note("building the image in %s", image)
		return buildImage(ctx, dir)
	})
}

// imageKey changes with whatever the image is made of, but for the packages' versions.
func imageKey() (string, error) {
	key := sha256.New()
	fmt.Fprintln(key, packages, release, releaseSecurity, releaseBackports)
	err := fs.WalkDir(guest, ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := guest.ReadFile(path)
		fmt.Fprintf(key, "%s %d\n%s", path, len(content), content)
		return err
	})
	return hex.EncodeToString(key.Sum(nil))[:16], err
}

// buildImage makes the root filesystem, kernels and initial ramdisks in dir.
func buildImage(ctx context.Context, dir string) error {
	sources, err := aptSources(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "skep-vm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := errors.Join(os.CopyFS(work, guest), os.Mkdir(filepath.Join(dir, "empty"), 0o755)); err != nil {
		return err
	}
	var log bytes.Buffer
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--variant=essential", "--format=null",
		"--include="+strings.Join(packages, ","),
		"--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none", "--aptopt=Acquire::Retries 5",
		"--customize-hook=bash "+quote(filepath.Join(work, "guest/customize.sh"))+` "$1"`,
		release, "-", "-")
	cmd.Stdin = strings.NewReader(sources)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.Env = append(os.Environ(), "SKEP_VM_GUEST="+filepath.Join(work, "guest"), "SKEP_VM_OUT="+dir)
	if err := cmd.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		return fmt.Errorf("mmdebstrap: %w\n%s", err, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	out, err := exec.CommandContext(ctx, "mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", filepath.Join(dir, "scratch.ext4"), "4G").CombinedOutput()
	if err != nil {
		return fmt.Errorf("mke2fs: %w\n%s", err, out)
	}
	return nil
}

// aptSources lists where the packages come from: the mirror that the host's own apt uses,
// or the one that the variable names.
func aptSources(ctx context.Context) (string, error) {
	mirrors := map[string]string{release: os.Getenv(mirrorVariable)}
	if mirrors[release] == "" {
		out, _ := exec.CommandContext(ctx, "apt-get", "indextargets", // missing: no mirror
			"--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages").Output()
		for line := range strings.Lines(string(out)) {
			if f := strings.Fields(line); len(f) == 2 && mirrors[f[1]] == "" {
				mirrors[f[1]] = f[0]
			}
		}
	}
	if mirrors[release] == "" {
		return "", fmt.Errorf("this host's apt knows no mirror of Debian 12: name one in %s", mirrorVariable)
	}
	sources := fmt.Sprintf("deb %[1]s %[2]s main\ndeb %[1]s %[3]s main\n", mirrors[release], release, releaseBackports)
	if mirrors[releaseSecurity] != "" {
		sources += fmt.Sprintf("deb %s %s main\n", mirrors[releaseSecurity], releaseSecurity)
	}
	return sources, nil
}

// makeOnce has a directory filled by one of several processes that want it. A failed or
// interrupted attempt leaves nothing that looks complete.
func makeOnce(dir string, fill func(dir string) error) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	lock, err := os.Create(dir + ".lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := dir + ".part"
	if err := errors.Join(os.RemoveAll(part), os.Mkdir(part, 0o755)); err != nil {
		return err
	}
	if err := fill(part); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return os.Rename(part, dir)
}

// note tells the user what takes a while.
func note(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "vm: "+format+"\n", args...)
}
