#!/usr/bin/env bash
# Builds the decoder: one static ffmpeg with only the LGPL parts that Porthole needs, from Debian's patched sources.
#
#   build.sh ARCH OUT         ARCH is amd64 or arm64; OUT gets ffmpeg, LICENSES/ and SOURCE-OFFER.txt
#   build.sh --path ARCH      the same without copying: prints the folder in the cache that holds them
#   build.sh --update-sources takes the versions that Debian has today into sources.lock
#
# Sources come through apt with lists and folders of its own; the system's are not touched. Their SHA-256 stand in
# sources.lock. Results are kept in ${XDG_CACHE_HOME:-~/.cache}/porthole/decoder, named by the hash of everything
# that goes in: these scripts, the sources, the compilers. The same inputs give the same bytes, in any folder.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/porthole/decoder
progress=$here/../../.ci/progress
. "$here/sources.sh"
. "$here/flags.sh"

die() { printf 'decoder: %s\n' "$*" >&2; exit 1; }

# check_tools names every missing tool and the Debian package that has it.
check_tools() {
	local tool pkg missing=()
	while read -r tool pkg; do
		command -v "$tool" >/dev/null || missing+=("$pkg")
	done <<-LIST
		apt-get apt
		dpkg-source dpkg-dev
		make make
		pkg-config pkgconf
		flock util-linux
		nasm nasm
		gcc gcc
		$triplet-gcc $compiler_package
	LIST
	# Debian only recommends it beside the compiler. Without it the compiler makes no program, and configure scripts say no more.
	if [ "$("$triplet-gcc" -print-file-name=crt1.o 2>/dev/null)" = crt1.o ]; then missing+=("$libc_package"); fi
	[ ${#missing[@]} -eq 0 ] || die "these Debian packages are missing: $(printf '%s\n' "${missing[@]}" | sort -u | xargs). Install them and try again."
}

# inputs_hash is one hash over all that decides what comes out.
inputs_hash() {
	{
		printf '%s\n' "$arch"
		"$triplet-gcc" --version | head -n1
		"$triplet-ld" --version | head -n1
		[ "$arch" != amd64 ] || nasm -v | cut -d' ' -f1-3
		(cd "$here" && sha256sum build.sh compile.sh flags.sh sources.sh sources.lock sharedenc.c SOURCE-OFFER.in)
	} | sha256sum | cut -c1-16
}

# build makes $cache/$hash, or leaves it alone if it is there. Two builds at once: the second waits for the first.
build() {
	mkdir -p "$cache"
	exec 9>"$cache/$hash.lock"
	if ! flock -n 9; then
		"$progress" "waiting for another build of the decoder" flock 9
	fi
	[ -x "$cache/$hash/ffmpeg" ] && return
	fetch_sources
	work=$(mktemp -d "$cache/build.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/out"
	"$progress" "building the decoder for $arch (some minutes, once)" \
		env arch="$arch" triplet="$triplet" here="$here" cache="$cache" work="$work" bash "$here/compile.sh"
	rm -rf "${cache:?}/$hash"
	mv "$work/out" "$cache/$hash"
	rm -rf "$work"
	trap - EXIT
}

case ${1-} in
--update-sources)
	update_sources
	exit
	;;
--path)
	[ $# -eq 2 ] || die "usage: build.sh --path ARCH"
	arch=$2 out=
	;;
*)
	[ $# -eq 2 ] || die "usage: build.sh ARCH OUT, with amd64 or arm64 as ARCH"
	arch=$1 out=$2
	;;
esac
set_target "$arch"
check_tools
hash=$(inputs_hash)
[ -x "$cache/$hash/ffmpeg" ] || build
if [ -z "$out" ]; then
	printf '%s\n' "$cache/$hash"
else
	mkdir -p "$out"
	rm -rf "$out/LICENSES"
	cp -R "$cache/$hash/." "$out/"
fi
