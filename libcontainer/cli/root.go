package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"skep/libcontainer"
)

// stateRoot returns the absolute directory for the state of containers. The default of an unprivileged user is in the
// session's runtime directory.
func stateRoot(given string) (string, error) {
	if given == "" && ofSession() {
		return sessionRoot()
	}
	if given == "" {
		given = "/run/skep"
	}
	root, err := filepath.Abs(given)
	if err == nil && root == "/" {
		err = errors.New("--root must not be /")
	}
	return root, err
}

// needsState tells whether a command is about containers.
func needsState(command string) bool {
	switch command {
	case "", "help", "spec", "plan", "features":
		return false
	}
	return true
}

// ofSession tells whether the state belongs to a session. Root in a user namespace is mostly an ordinary user, whose
// commands on both sides of it have to find the same containers; where it is the root of a system of its own, such as
// a nested container, USER says so or XDG_RUNTIME_DIR is not set. runc decides by the same variables.
func ofSession() bool {
	if os.Geteuid() != 0 {
		return true
	}
	return os.Getenv("XDG_RUNTIME_DIR") != "" && os.Getenv("USER") != "root" && libcontainer.Unprivileged()
}

// sessionRoot makes the directory: 0700, and sticky, so that it is not cleaned up when it is not used for some hours
// (XDG Base Directory Specification).
func sessionRoot() (string, error) {
	session := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(session) {
		return "", errors.New("XDG_RUNTIME_DIR is not set to an absolute path: log in with a session (loginctl enable-linger gives one to a service), or give --root DIR")
	}
	root := filepath.Join(session, "skep")
	err := os.Mkdir(root, 0o700)
	if errors.Is(err, fs.ErrExist) {
		return root, nil
	}
	if err == nil {
		err = os.Chmod(root, 0o700|fs.ModeSticky)
	}
	if err != nil {
		return "", fmt.Errorf("directory for the state of containers: %w (--root DIR names another)", err)
	}
	return root, nil
}
