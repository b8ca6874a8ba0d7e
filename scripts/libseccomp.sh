#!/bin/bash
# Builds a static libseccomp against musl and says where: build/libseccomp/{lib,include}.
#
# The distribution's own libseccomp.a does not link with musl: it is compiled
# with fortify and refers to glibc's __*_chk functions. So its source package is
# built once more, into a prefix of our own, and kept until its version changes.
#
# usage: libseccomp.sh PREFIX
#   LIBSECCOMP_SRC=DIR   build from this unpacked release instead of the
#                        distribution's source package
#   CC                   compiler, musl-gcc unless set
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"

prefix=$(realpath -m "${1:?usage: libseccomp.sh PREFIX}")
cc=${CC:-musl-gcc}

# wanted prints what the prefix has to be built from. Installed packages are asked, and
# not the lists of available ones: it is fifty times faster.
wanted() {
	local from=${LIBSECCOMP_SRC:-}
	if [ -n "$from" ]; then
		from=$(realpath "$from")
	elif has dpkg-query; then
		# apt itself depends on libseccomp2: it is always installed.
		from=$(dpkg-query -W -f '${source:Version}' libseccomp2)
	fi
	printf '%s %s %s\n' "$cc" "$from" "$prefix"
}

# kernel_headers links the kernel's headers, and nothing of glibc's, into $1:
# musl-gcc leaves /usr/include out because it holds glibc's headers too.
kernel_headers() {
	local asm=/usr/include/asm
	[ -e "$asm" ] || asm=/usr/include/$(gcc -print-multiarch)/asm
	[ -e "$asm/unistd.h" ] || die "kernel headers are missing: /usr/include/linux and asm (Debian: linux-libc-dev)"
	mkdir -p "$1"
	ln -sfn /usr/include/linux "$1/linux"
	ln -sfn /usr/include/asm-generic "$1/asm-generic"
	ln -sfn "$asm" "$1/asm"
}

# fetch unpacks the distribution's source package into $1/src. Lists and cache are
# private to the build, because the system's apt seldom has deb-src lines, and
# changing its configuration is not ours to do.
fetch() {
	local apt=$1/apt file name
	mkdir -p "$apt/sources" "$apt/lists/partial" "$apt/cache/archives/partial"
	for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources}; do
		[ -e "$file" ] || continue
		name=$(basename "$file")
		[ "$file" != /etc/apt/sources.list ] || name=main.list
		case $file in
		*.sources) sed 's/^Types:.*/Types: deb-src/' "$file" ;;
		*) sed -n 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" ;;
		esac >"$apt/sources/$name"
	done
	local opts=(-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$apt/sources"
		-o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root)
	again fetch_once "$1" "${opts[@]}" || {
		cat "$1/log" >&2
		die "cannot fetch libseccomp's source package; give an unpacked release with LIBSECCOMP_SRC=DIR"
	}
	mv "$1"/libseccomp-*/ "$1/src"
}

# fetch_once fetches it into the directory $1, by apt with the other arguments.
fetch_once() (
	cd "$1" || return
	shift
	# A source list that does not answer is no reason to stop: the next command tells
	# whether the one that matters did.
	apt-get -q "$@" update >log 2>&1 || true
	apt-get -q "$@" --only-source source libseccomp >>log 2>&1
)

stamp=$prefix/built-from
want=$(wanted)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then
	exit 0
fi

echo "building libseccomp with $cc, once"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
rm -rf "$prefix"
kernel_headers "$prefix/kernel"
if [ -n "${LIBSECCOMP_SRC:-}" ]; then
	[ -x "$LIBSECCOMP_SRC/configure" ] || die "LIBSECCOMP_SRC=$LIBSECCOMP_SRC has no configure script: unpack a release of libseccomp there"
	cp -a "$LIBSECCOMP_SRC" "$work/src"
else
	has apt-get || die "libseccomp's source is missing: unpack a release of it and give LIBSECCOMP_SRC=DIR"
	fetch "$work"
fi

# Only the library is built: its tools and tests are of no use here.
build() {
	cd "$work/src" &&
		./configure --quiet --prefix="$prefix" --disable-shared --enable-static \
			CC="$cc" CFLAGS=-O2 CPPFLAGS="-I$prefix/kernel" &&
		make -s -C include install &&
		make -s -C src install &&
		make -s install-pkgconfDATA
}
build >"$work/log" 2>&1 || {
	cat "$work/log" >&2
	die "libseccomp does not build with $cc"
}
printf '%s\n' "$want" >"$stamp"
