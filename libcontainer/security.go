package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"skep/libcontainer/process"
	"skep/nsenter"
	"skep/nsenter/plan"
	"skep/spec"
)

// sysfs is where the host tells which security modules it has.
const sysfs = "/sys"

// appArmorEnabled looks for both the module's switch and its interface: without securityfs nobody could have loaded a
// profile.
func appArmorEnabled(sysfs string) bool {
	if _, err := os.Stat(filepath.Join(sysfs, "kernel/security/apparmor")); err != nil {
		return false
	}
	enabled, err := os.ReadFile(filepath.Join(sysfs, "module/apparmor/parameters/enabled"))
	return err == nil && len(enabled) > 0 && enabled[0] == 'Y'
}

// selinuxEnabled looks for selinuxfs, which only a kernel with SELinux enabled has.
func selinuxEnabled(sysfs string) bool {
	var st unix.Statfs_t
	return unix.Statfs(filepath.Join(sysfs, "fs/selinux"), &st) == nil && uint32(st.Type) == unix.SELINUX_MAGIC
}

// designProcess finds out what the host lets the process have, and refuses what it does not.
func (b *blueprint) designProcess(id string, o *options) error {
	if b.spec.Linux.MountLabel != "" && !o.planning && !selinuxEnabled(sysfs) {
		return errors.New("linux.mountLabel: SELinux is not enabled on this host")
	}
	b.process = processHost(b.spec)
	// One that is joined is asked then.
	if user := spec.FindNamespace(b.spec.Linux, specs.UserNamespace); user == nil || user.Path == "" {
		b.process.KeepGroups = b.rights.deniesSetgroups(b.spec.Linux.GIDMappings)
	}
	if o.planning {
		b.process.Grantable = ^uint64(0)
	}
	p := b.spec.Process
	if p == nil {
		return nil
	}
	if !o.noNewKeyring {
		b.process.Keyring = "_ses." + id
	}
	b.process.AppArmor = o.planning || p.ApparmorProfile != "" && appArmorEnabled(sysfs)
	b.process.SELinux = o.planning || p.SelinuxLabel != "" && selinuxEnabled(sysfs)
	if err := b.designStreams(o); err != nil {
		return err
	}
	if err := b.preserve(o); err != nil {
		return err
	}
	return process.Check(p, b.process)
}

// reportKeyring warns when the container has the session keyring of skep's caller, for want of one of its own.
func (c *candidate) reportKeyring(results *nsenter.Results) {
	if c.process.Keyring == "" {
		return
	}
	if errno := results.Errno(plan.Keyring); errno != 0 {
		c.report([]string{fmt.Sprintf("no session keyring for the container: keyctl: %v", errno)})
	}
}

// stepHint adds what the user can do about a step that failed.
func (b *blueprint) stepHint(err error) error {
	var step *plan.StepError
	if !errors.As(err, &step) {
		return err
	}
	hint := process.Hint(step)
	if hint == "" {
		hint = b.mountHint(step)
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}
