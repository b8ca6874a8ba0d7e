#!/bin/bash
# Makes a minimal Debian tree into the machine's image: a hook of mmdebstrap, called with
# the tree's path. mmdebstrap may run it in a user namespace, where it is root all the same.
#
# SKEP_VM_GUEST is the directory of this script, SKEP_VM_OUT where the results go:
# root.ext4, and for each kernel NAME.vmlinuz and NAME.initrd.
set -euo pipefail
shopt -s nullglob
root=$1

# The kernels' packages are unpacked, not installed, because installing them builds an
# initramfs with udev in it. Names are versions, as in machine.go.
kernel() { # NAME SUITE
	local name=$1 suite=$2 package version tree
	tree=$(mktemp -d "$SKEP_VM_OUT/kernel.XXXXXX")
	(
		cd "$tree"
		export APT_CONFIG=$MMDEBSTRAP_APT_CONFIG
		download() { apt-get -qq -o APT::Sandbox::User=root download "$1"; }
		download "linux-image-$arch/$suite"
		package=$(dpkg-deb -f linux-image-*.deb Depends)
		rm linux-image-*.deb
		download "${package%%[ ,]*}"
		dpkg-deb -x linux-image-*.deb .
	)
	version=$(ls "$tree/lib/modules")
	mv "$tree/boot/vmlinuz-$version" "$SKEP_VM_OUT/$name.vmlinuz"
	modules "$version" "$tree/lib/modules"
	initrd "$version" >"$SKEP_VM_OUT/$name.initrd"
	rm -r "$tree"
}

# modules installs the modules that guest/modules names, with what they depend on.
modules() { # VERSION FROM
	local version=$1 from=$2
	# Modules link against each other across the tree: dependencies are found in all of it.
	mkdir -p "$root/lib/modules" "$root/tmp/all/lib/modules"
	mv "$from/$version" "$root/tmp/all/lib/modules/"
	chroot "$root" depmod -b /tmp/all "$version"
	grep -o '^[^#]*' "$SKEP_VM_GUEST/modules" | xargs -n 1 |
		chroot "$root" xargs -n 1 modprobe -d /tmp/all -S "$version" --show-depends |
		sed -n 's|^insmod /tmp/all/\([^ ]*\).*|\1|p' | sort -u >"$root/tmp/all/list"
	(
		cd "$root/tmp/all"
		xargs cp --parents -t "$root" <list
		cp --parents -t "$root" "lib/modules/$version"/modules.{builtin,builtin.modinfo,order}
	)
	find "$root/lib/modules/$version" -name '*.xz' -exec "$root/bin/busybox" unxz {} +
	rm -r "$root/tmp/all"
	chroot "$root" depmod "$version"
}

# initrd writes an archive of what it takes to mount the root: busybox and a few modules.
initrd() { # VERSION
	local version=$1 tree module
	tree=$(mktemp -d "$root/tmp/initrd.XXXXXX")
	mkdir "$tree"/{bin,modules,dev,proc,sys,disk,ram,new}
	cp "$root/bin/busybox" "$tree/bin/"
	cp "$SKEP_VM_GUEST/init" "$tree/init"
	chmod 755 "$tree/init"
	for module in virtio_pci virtio_blk ext4 overlay; do
		chroot "$root" modprobe -S "$version" --show-depends "$module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r module; do
		cp "$root/$module" "$tree/modules/"
		echo "${module##*/}" >>"$tree/modules/list"
	done
	(cd "$tree" && "$root/bin/busybox" find . | "$root/bin/busybox" cpio -o -H newc 2>/dev/null)
	rm -r "$tree"
}

configure() {
	cp -r "$SKEP_VM_GUEST/root/." "$root"
	chmod 755 "$root"/usr/local/sbin/*
	mkdir -p "$root/scratch" "$root/var/lib/systemd/linger"
	echo vm >"$root/etc/hostname"
	echo '127.0.0.1 localhost vm' >"$root/etc/hosts"
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
	: >"$root/etc/fstab"
	chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash tester # with subordinate ids
	# Nobody logs in, no clock tells when to tidy up, and the devices are the kernel's.
	chroot "$root" systemctl --quiet mask \
		{getty,console-getty,serial-getty@,getty@}.service getty.target \
		{apt-daily,apt-daily-upgrade,dpkg-db-backup,e2scrub_all,fstrim,systemd-tmpfiles-clean}.timer \
		{apparmor,e2scrub_reap,systemd-remount-fs,systemd-random-seed,systemd-update-utmp}.service \
		{systemd-pstore,systemd-machine-id-commit,systemd-boot-system-token}.service \
		{systemd-journal-flush,systemd-journal-catalog-update,systemd-update-done}.service \
		{systemd-firstboot,systemd-sysusers,systemd-user-sessions,ldconfig,networking}.service
	# The managers' daemons are the tests' to start.
	chroot "$root" systemctl --quiet mask {docker,containerd}.service docker.socket \
		podman.socket podman-auto-update.timer podman-{auto-update,restart}.service
	chroot "$root" systemctl --quiet --global mask podman.socket podman-auto-update.timer podman-{auto-update,restart}.service
	ln -s /usr/share/systemd/tmp.mount "$root/etc/systemd/system/"
	chroot "$root" systemctl --quiet set-default vm.target
	rm -rf "$root"/usr/share/{doc,man,info,locale,lintian,bug}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
}

arch=$(chroot "$root" dpkg --print-architecture)
kernel 6.1 bookworm
kernel 6.12 bookworm-backports
configure
# Without /proc and what else mmdebstrap has mounted in there.
cp -ax "$root" "$SKEP_VM_OUT/tree"
mke2fs -q -t ext4 -O ^has_journal -d "$SKEP_VM_OUT/tree" "$SKEP_VM_OUT/root.ext4" 2G
rm -r "$SKEP_VM_OUT/tree"
