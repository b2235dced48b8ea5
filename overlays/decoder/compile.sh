#!/usr/bin/env bash
# The compiling half of build.sh, in $work, for $arch with the tools $triplet-*. Every path handed to a configure script is
# relative: ffmpeg and libvpx store their configure line in the program, and it must not tell where it was built.
set -euo pipefail
die() { printf 'decoder: %s\n' "$*" >&2; exit 1; }
. "$here/flags.sh"
set_target "$arch"
cd "$work"
jobs=$(nproc)
asm=()
if [ "$arch" = amd64 ]; then
	asm=(--x86asmexe=nasm)
	export AS=nasm # libvpx would prefer yasm
fi

# The pinned C library before the compiler's own.
libc=$(awk -v a="_$arch.deb" 'NF == 2 && index($2, a) { print $2 }' "$here/sources.lock")
dpkg-deb -x "$cache/sources/$libc" libc
lib=libc/usr/lib/$triplet
# glibc's libm.a on amd64 is a linker script with absolute paths.
if [ "$(head -c 1 "$lib/libm.a")" = / ]; then sed -i "s|/usr/lib/$triplet/||g" "$lib/libm.a"; fi

mkdir src
awk 'NF == 2 && $2 ~ /\.dsc$/ { print $2 }' "$here/sources.lock" | while read -r dsc; do
	dpkg-source --no-check -x "$cache/sources/$dsc" "src/${dsc%%_*}"
done

export PKG_CONFIG_LIBDIR=$work/root/porthole/lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root
export SOURCE_DATE_EPOCH=1 ARFLAGS=crD

echo "libvpx: configure"
cd "$work/src/libvpx"
# RC_RTC_SRCS is a rate control library that nothing here uses, and the only part that needs a C++ compiler.
CROSS=$triplet- CFLAGS=$cflags ./configure --target="$vpx_target" --prefix=/porthole "${vpx_flags[@]}"
make -j"$jobs" RC_RTC_SRCS=
make install RC_RTC_SRCS= DIST_DIR="$work/root/porthole"

echo "opus: configure"
cd "$work/src/opus"
./configure --host="$triplet" --prefix=/porthole CFLAGS="$cflags" "${opus_flags[@]}"
make -j"$jobs"
make install DESTDIR="$work/root"

echo "ffmpeg: configure"
cd "$work/src/ffmpeg"
# Our one addition: an encoder that hands pictures over in shared memory. configure finds it in the list of all codecs.
cp "$here/sharedenc.c" libavcodec/
sed -i 's/^extern const FFCodec ff_sgi_encoder;$/&\nextern const FFCodec ff_shared_encoder;/' libavcodec/allcodecs.c
sed -i 's/^OBJS-$(CONFIG_SGI_ENCODER).*$/&\nOBJS-$(CONFIG_SHARED_ENCODER) += sharedenc.o/' libavcodec/Makefile
grep -q ff_shared_encoder libavcodec/allcodecs.c && grep -q sharedenc.o libavcodec/Makefile || die "cannot add sharedenc.c to this ffmpeg"
# -B puts the pinned start files and libc.a before those of the compiler.
./configure --prefix=/usr --enable-cross-compile --cross-prefix="$triplet-" --arch="$ffmpeg_arch" --target-os=linux \
	--pkg-config=pkg-config --pkg-config-flags=--static "${asm[@]}" \
	--extra-cflags="$cflags" --extra-ldflags="$ldflags -B../../$lib/ -L../../$lib" "${ffmpeg_flags[@]}"
make -j"$jobs" ffmpeg
cp ffmpeg "$work/out/ffmpeg"
"$triplet-strip" "$work/out/ffmpeg"

grep -q '^#define CONFIG_GPL 0' config.h || die "the configuration became GPL"
grep -q '^#define CONFIG_NONFREE 0' config.h || die "the configuration became non-free"
! strings -n 6 "$work/out/ffmpeg" | grep -F -e "$work" -e "$cache" -e "$HOME/" >&2 || die "the program holds paths of this machine"

mkdir "$work/out/LICENSES"
cd "$work/out/LICENSES"
cp "$work/src/ffmpeg/COPYING.LGPLv2.1" ffmpeg-LGPL-2.1.txt
cp "$work/src/ffmpeg/LICENSE.md" ffmpeg-LICENSE.md
cp "$work/src/libvpx/LICENSE" libvpx-LICENSE.txt
cp "$work/src/libvpx/PATENTS" libvpx-PATENTS.txt
cp "$work/src/opus/COPYING" opus-COPYING.txt
cp "$work/libc/usr/share/doc/libc6-dev/copyright" glibc-copyright.txt
{
	cat "$here/SOURCE-OFFER.in"
	printf '\nArchitecture: %s\nCompiler: %s\nffmpeg configure: %s\n\n' "$arch" "$("$triplet-gcc" --version | head -n1)" \
		"$(sed -n 's/^#define FFMPEG_CONFIGURATION "\(.*\)"$/\1/p' "$work/src/ffmpeg/config.h")"
	sed 's/^binary \(libc6-dev\):/binary (source package: glibc) \1:/' "$here/sources.lock" | grep -v '^#'
} >"$work/out/SOURCE-OFFER.txt"
