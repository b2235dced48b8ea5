# What is compiled in, and how. Sourced by build.sh and compile.sh.

# set_target ARCH sets the compiler's prefix, and the packages that it and its C library's headers come from.
set_target() {
	case $1 in
	amd64) triplet=x86_64-linux-gnu compiler_package=gcc-x86-64-linux-gnu libc_package=libc6-dev ffmpeg_arch=x86_64 vpx_target=x86_64-linux-gcc ;;
	arm64) triplet=aarch64-linux-gnu compiler_package=gcc-aarch64-linux-gnu libc_package=libc6-dev-arm64-cross ffmpeg_arch=aarch64 vpx_target=arm64-linux-gcc ;;
	*) die "unknown architecture $1: amd64 and arm64 are the ones Porthole runs on." ;;
	esac
}

# Bytes from strangers go through this code: a random load address (static PIE), stack protector, read-only relocations.
# Unused sections are dropped, which is worth more than -Os and costs no speed.
cflags="-O2 -fPIE -fstack-protector-strong -D_FORTIFY_SOURCE=2 -ffunction-sections -fdata-sections -fno-ident"
ldflags="-static-pie -Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,--build-id=none"

decoders=h264,hevc,mpeg4,h263,vp8,vp9,mjpeg,rawvideo,aac,aac_latm,mp3,mp3float,mp2,mp2float,opus,pcm_alaw,pcm_mulaw,pcm_s16le,pcm_s16be
parsers=h264,hevc,mpeg4video,h263,vp8,vp9,mjpeg,aac,aac_latm,mpegaudio,opus
demuxers=mov,matroska,mpegts,avi,h264,hevc,m4v,mjpeg,aac,mp3,ogg,wav,nut
# shared is ours: sharedenc.c.
encoders=libvpx_vp8,libopus,rawvideo,shared,wrapped_avframe,pcm_s16le
muxers=nut,rawvideo,yuv4mpegpipe,ivf,ogg,null,framecrc
# No network: nothing in this program can open a socket.
protocols=file,pipe
bsfs=extract_extradata,h264_mp4toannexb,hevc_mp4toannexb,vp9_superframe_split,null
filters=scale,format,fps,select,aresample,aformat,anull,null

ffmpeg_flags=(
	--disable-everything --disable-autodetect --disable-network --disable-doc --disable-debug
	--disable-avdevice --disable-postproc --disable-ffplay --disable-ffprobe --disable-swscale-alpha
	--enable-static --disable-shared --enable-pic --enable-pthreads
	--enable-libvpx --enable-libopus
	--enable-decoder="$decoders" --enable-parser="$parsers" --enable-demuxer="$demuxers"
	--enable-encoder="$encoders" --enable-muxer="$muxers" --enable-protocol="$protocols"
	--enable-bsf="$bsfs" --enable-filter="$filters"
)
vpx_flags=(
	--enable-static --disable-shared --enable-pic --enable-vp8-encoder --disable-vp8-decoder --disable-vp9
	--enable-realtime-only --enable-multithread --disable-examples --disable-tools --disable-docs --disable-unit-tests
	--disable-webm-io --disable-libyuv --disable-install-bins --disable-install-srcs
)
opus_flags=(--enable-static --disable-shared --disable-doc --disable-extra-programs)
