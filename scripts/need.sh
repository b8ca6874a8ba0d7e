#!/bin/bash
# Sees to it that this machine has what a make target needs. On Debian and its
# relatives root gets missing packages installed; everybody else gets one sentence
# and exit status 2.
#
# usage: need.sh PURPOSE...    build, test, managers, crio, vm, cross, demo: see the table below; root: to be root
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

# What is needed for what: purpose, how to see that it is there, Debian's package.
table() {
	cat <<-'END'
		build	has gcc	gcc
		build	has musl-gcc	musl-tools
		build	has pkg-config	pkg-config
		build	has gperf	gperf
		build	test -e /usr/include/linux/seccomp.h	linux-libc-dev
		source	has dpkg-source	dpkg-dev
		test	has git	git
		test	has gcc	gcc
		test	test -e /usr/include/stdlib.h	libc6-dev
		test	has pkg-config	pkg-config
		test	pkg-config --exists libseccomp	libseccomp-dev
		test	has shellcheck	shellcheck
		test	has runc	runc
		test	has crun	crun
		test	has newuidmap	uidmap
		test	has capsh	libcap2-bin
		test	has ip	iproute2
		test	has sysctl	procps
		test	static_busybox	busybox-static
		managers	static_busybox	busybox-static
		managers	has mmdebstrap	mmdebstrap
		managers	has containerd	containerd
		managers	has dockerd	docker.io
		managers	has podman	podman
		managers	has conmon	conmon
		managers	has tini-static	tini
		managers	has buildah	buildah
		managers	has runc	runc
		managers	has iptables	iptables
		managers	has ps	procps
		managers	has newuidmap	uidmap
		managers	has slirp4netns	slirp4netns
		managers	has fuse-overlayfs	fuse-overlayfs
		crio	test -x /usr/lib/cni/ptp	containernetworking-plugins
		vm	has qemu-system-x86_64	qemu-system-x86
		vm	has mmdebstrap	mmdebstrap
		vm	has mke2fs	e2fsprogs
		vm	test -e /usr/share/keyrings/debian-archive-keyring.gpg	debian-archive-keyring
		demo	static_busybox	busybox-static
		cross	has aarch64-linux-gnu-gcc	gcc-aarch64-linux-gnu
		cross	test -e /usr/aarch64-linux-gnu/include/stdlib.h	libc6-dev-arm64-cross
		cross	pkg-config --exists libseccomp	libseccomp-dev
	END
}

# missing prints the packages that the given purposes lack.
missing() {
	local purpose check package
	while IFS=$'\t' read -r purpose check package; do
		[[ " $* " == *" $purpose "* ]] || continue
		eval "$check" >/dev/null 2>&1 || echo "$package"
	done < <(table) | sort -u
}

# Distributions' Go is often too old for go.mod; it is not ours to install.
has go || die "Go is missing: install the version that go.mod names, or newer, from https://go.dev/dl"

if [[ " $* " == *" root "* && "$(id -u)" != 0 ]]; then
	die "this needs root; run it by: sudo env \"PATH=\$PATH\" make ..."
fi

# What cannot be fetched the target's own commands tell.
modules=(-test ./...)
[ "$*" != build ] || modules=(.)
GOPROXY=off go list -deps "${modules[@]}" >/dev/null 2>&1 || again go mod download >/dev/null 2>&1 || true

purposes=("$@")
# Only the distribution's source package needs unpacking by its own tool.
if [[ " $* " == *" build "* && -z "${LIBSECCOMP_SRC:-}" ]] && has apt-get; then
	purposes+=(source)
fi
mapfile -t packages < <(missing "${purposes[@]}")
[ ${#packages[@]} -gt 0 ] || exit 0

if ! has apt-get; then
	die "missing here, by Debian's package names: ${packages[*]}"
fi
if [ "$(id -u)" != 0 ]; then
	die "missing packages; as root: apt-get install ${packages[*]}"
fi
export DEBIAN_FRONTEND=noninteractive
install() { apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 install "${packages[@]}"; }
refresh_and_install() { apt-get -q update && install; }

echo "installing ${packages[*]}"
# The package lists of a fresh machine are empty or old, but most machines need no
# update, which takes longer than the installation. So it is tried without first; what
# is wrong is told by the second attempt.
install >/dev/null 2>&1 || again refresh_and_install >&2 ||
	die "apt-get cannot install: ${packages[*]}"
