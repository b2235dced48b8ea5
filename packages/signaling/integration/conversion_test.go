package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// children returns the decoder children of this process.
func children(t *testing.T) []int {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if comm, _ := os.ReadFile("/proc/" + field + "/comm"); string(comm) == "ffmpeg\n" {
				// The cameras' ffmpeg is named so, too, but by a path.
				if line, _ := os.ReadFile("/proc/" + field + "/cmdline"); strings.Contains(string(line), "pipe:1") {
					pid, _ := strconv.Atoi(field)
					pids = append(pids, pid)
				}
			}
		}
	}
	return pids
}

// TestConversionCrashes: the picture comes back by itself when its decoder dies, and nobody else is hurt.
func TestConversionCrashes(t *testing.T) {
	site := withCamera(t, testPicture+" -c:v mpeg4 -q:v 5 -g 25")
	b := chromium(t, site)
	b.watch()
	b.moves("first", 10)
	second := chromium(t, site)
	second.watch()
	second.moves("of another viewer", 10)
	pids := children(t)
	if len(pids) != 1 {
		t.Fatalf("%d conversions for two viewers of one camera", len(pids))
	}
	for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGKILL} {
		if err := syscall.Kill(children(t)[0], sig); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r := b.moves("after a crash", 20)
		second.moves("of another viewer after a crash", 20)
		t.Logf("%v: 20 pictures after %v, %d requests for key frames", sig, time.Since(began).Round(time.Millisecond), r.PLIs)
		if r.State != "connected" {
			t.Errorf("the connection is %s", r.State)
		}
	}
}

// syncJS measures how far the sound of a flash is behind its picture, in milliseconds, for ten flashes.
const syncJS = `(async () => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 8;
  const c = canvas.getContext('2d', {willReadFrequently: true});
  const flashes = [], beeps = [];
  let white = true, loud = true;
  const look = (now, meta) => {
    c.drawImage(video, 0, 0, 8, 8);
    const bright = c.getImageData(4, 4, 1, 1).data[0] > 128;
    if (bright && !white) flashes.push(meta.expectedDisplayTime);
    white = bright;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  const wave = new Float32Array(256);
  analyser.fftSize = 256;
  const end = performance.now() + 15000;
  while (performance.now() < end && (flashes.length < 11 || beeps.length < 11)) {
    analyser.getFloatTimeDomainData(wave);
    const beeping = Math.max(...wave) > 0.02;
    if (beeping && !loud) beeps.push(performance.now());
    loud = beeping;
    await new Promise(r => setTimeout(r, 2));
  }
  return JSON.stringify(flashes.map(f => beeps.map(b => b - f).sort((a, b) => Math.abs(a) - Math.abs(b))[0]).filter(d => Math.abs(d) < 500));
})()`

// TestLipSync: a camera that flashes and beeps once a second, as it is and converted. What a browser on a busy machine makes of it
// is measured loosely; that the timestamps are right is tested in package live.
func TestLipSync(t *testing.T) {
	const flash = "-f lavfi -i color=black:s=640x360:r=25,drawbox=w=iw:h=ih:color=white:t=fill:enable='lt(mod(t\\,1)\\,0.2)'" +
		" -f lavfi -i aevalsrc='0.5*sin(2*PI*880*t)*lt(mod(t\\,1)\\,0.2)':s=48000"
	for name, codecs := range map[string]string{
		"H.264, AAC":               " -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 50 -c:a aac",
		"H.264 with B-frames, AAC": " -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 50 -bf 3 -b_strategy 0 -x264-params b-pyramid=normal -c:a aac",
		"MPEG-4, G.711":            " -c:v mpeg4 -q:v 5 -g 25 -c:a pcm_mulaw -ar 8000 -ac 1",
	} {
		t.Run(name, func(t *testing.T) {
			b := chromium(t, withCamera(t, strings.ReplaceAll(flash, "'", "")+codecs))
			b.watch()
			b.moves("first", 50)
			b.hears()
			var off []float64
			if text := b.eval(syncJS); json.Unmarshal([]byte(text), &off) != nil || len(off) < 5 {
				t.Fatalf("the page measures %s", text)
			}
			slices.Sort(off)
			median := off[len(off)/2]
			t.Logf("sound behind the picture, in ms: %s, median %.0f", fmt.Sprintf("%.0f", off), median)
			if median > 250 || median < -250 {
				t.Errorf("sound is %.0f ms behind the picture", median)
			}
		})
	}
}
