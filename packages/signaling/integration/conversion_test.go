package integration_test

import (
	"encoding/json"
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

// syncJS is how far Chromium plays the sound behind the picture by our sender reports, in milliseconds, twenty times.
const syncJS = `(async () => {
  const off = [];
  while (off.length < 20) {
    const at = {};
    (await pc.getStats()).forEach(s => { if (s.type === 'inbound-rtp') at[s.kind] = s.estimatedPlayoutTimestamp; });
    if (at.audio && at.video) off.push(at.video - at.audio);
    await new Promise(r => setTimeout(r, 200));
  }
  return JSON.stringify(off);
})()`

// TestLipSync: Chromium knows how sound and picture belong together, passed on and converted, and keeps them so. What a browser on a
// busy machine makes of it is judged loosely; that the timestamps are right is tested in package live.
func TestLipSync(t *testing.T) {
	for name, codecs := range map[string]string{
		"H.264, AAC":               x264 + " -tune zerolatency -c:a aac",
		"H.264 with B-frames, AAC": x264 + " -bf 3 -b_strategy 0 -x264-params b-pyramid=normal -c:a aac",
		"MPEG-4, G.711":            " -c:v mpeg4 -q:v 5 -g 25 -c:a pcm_mulaw -ar 8000 -ac 1",
	} {
		t.Run(name, func(t *testing.T) {
			b := chromium(t, withCamera(t, testPicture+testSound+codecs))
			b.watch()
			b.moves("first", 50)
			b.hears()
			// It moves them together step by step.
			var off []float64
			for end := time.Now().Add(deadline); ; {
				if text := b.eval(syncJS); json.Unmarshal([]byte(text), &off) != nil {
					t.Fatalf("the page measures %s", text)
				}
				slices.Sort(off)
				median := off[len(off)/2]
				t.Logf("sound behind the picture: median %.0f ms, %.0f to %.0f", median, off[0], off[len(off)-1])
				if median < 150 && median > -150 {
					return
				}
				if time.Now().After(end) {
					t.Fatalf("sound is %.0f ms behind the picture", median)
				}
			}
		})
	}
}
