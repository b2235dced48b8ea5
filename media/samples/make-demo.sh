#!/bin/sh
# Makes demo.ts, the clip of the built-in demo camera: see README.md beside it.
set -eu
cd "$(dirname "$0")"
out=${1:-demo.ts}
dir=${FONT_DIR:-/usr/share/fonts/truetype/dejavu}
bold=$dir/DejaVuSans-Bold.ttf
mono=$dir/DejaVuSansMono-Bold.ttf
for f in "$bold" "$mono"; do
	[ -r "$f" ] || { echo "$f is missing: apt-get install fonts-dejavu-core" >&2; exit 1; }
done

# 8 s is 200 pictures, 4 GOPs of 2 s and 375 AAC frames of 1024 samples at 48 kHz, all of them whole: the loop has no seam.
seconds=8

# A dusk sky, drawn once, in RGB so that the colours are the ones written here.
sky="color=c=black:s=1280x720:r=25,format=gbrp,geq=\
r='24+Y*0.40':g='40+Y*0.27':b='96+Y*0.05',\
select='eq(n,0)',loop=loop=-1:size=1:start=0,setpts=N/25/TB,trim=duration=$seconds"
# The sea beneath moves, with the light on it: waves that repeat after 8 s (their speeds are whole turns per clip).
wave="sin(X/23+Y/7+2*PI*N*8/200)+sin(X/41-Y/11+2*PI*N*5/200)+sin(X/13+Y/19-2*PI*N*12/200)"
sea="color=c=black:s=640x105:r=25,format=gbrp,geq=\
r='14+Y*0.1+5*($wave)':g='66+Y*0.2+8*($wave)':b='104+Y*0.2+9*($wave)',\
scale=1280:210:flags=bicubic,trim=duration=$seconds"
# The porthole: a brass ring whose white bead goes round once per clip.
rim="hypot(X-180,Y-180)"
bead="lt(hypot(X-180-158*sin(2*PI*N/200),Y-180+158*cos(2*PI*N/200)),20)"
ring="color=c=black:s=360x360:r=25,format=rgba,geq=\
r='if($bead,255,if(gt($rim,161),185,235))':g='if($bead,255,if(gt($rim,161),150,200))':b='if($bead,255,if(gt($rim,161),80,120))':\
a='255*max($bead,between($rim,148,172))',trim=duration=$seconds"
# Colour bars, to see that the colours arrive right.
bars="smptehdbars=s=1280x720:r=25,crop=1280:40:0:0,trim=duration=$seconds"

text="fontcolor=white:shadowcolor=black@0.6:shadowx=2:shadowy=2"
video="$sky[sky];$sea[sea];$ring[ring];$bars[bars];\
[sky][sea]overlay=x=0:y=470:format=gbrp[a];\
[a][ring]overlay=x=100:y=150:format=gbrp[b];\
[b][bars]overlay=x=0:y=680:format=gbrp[c];\
[c]drawtext=fontfile=$bold:text='Porthole':fontsize=112:x=530:y=160:$text,\
drawtext=fontfile=$bold:text='demo camera':fontsize=64:x=536:y=290:$text,\
drawtext=fontfile=$mono:text='%{eif\\:floor(n/25)\\:d\\:2}.%{eif\\:mod(n*4\\,100)\\:d\\:2} s':fontsize=76:x=536:y=384:$text,\
drawtext=fontfile=$mono:text='picture %{eif\\:n\\:d\\:3}':fontsize=36:x=540:y=500:$text,\
format=yuv420p[v]"
# A soft beep in the middle of every second; silence where the loop closes.
# The encoder puts a frame of its own in front: 374 frames of samples make 375.
audio="aevalsrc='0.12*sin(2*PI*660*t)*exp(-pow((mod(t\\,1)-0.5)/0.05\\,2))':s=48000:c=mono:d=9,atrim=end_sample=$((374 * 1024))[au]"

# One thread and bitexact flags: the same ffmpeg writes the same bytes.
ffmpeg -hide_banner -loglevel error -y -filter_complex_threads 1 -filter_complex "$video;$audio" -map '[v]' -map '[au]' \
	-c:v libx264 -profile:v main -level 3.1 -preset slow -threads 1 -bf 0 \
	-g 50 -keyint_min 50 -sc_threshold 0 -x264-params open-gop=0:aud=1:repeat-headers=1:force-cfr=1 \
	-b:v 1000k -maxrate 1200k -bufsize 1200k -color_primaries bt709 -color_trc bt709 -colorspace bt709 \
	-c:a aac -b:a 48k -ac 1 -ar 48000 \
	-flags +bitexact -fflags +bitexact -map_metadata -1 -muxdelay 0 -muxpreload 0 \
	-f mpegts "$out"
