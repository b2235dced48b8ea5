package decode_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// TestLibraries: a program that loads libraries runs only where it may read them; the sandbox stays as it is otherwise.
func TestLibraries(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("this test decodes with Debian's ffmpeg: apt-get install ffmpeg")
	}
	clip := decodetest.Clip(t, "clip.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=0.2")
	d := open(t, clip, func(o *decode.Options) {
		o.Binary, o.Libraries = ffmpeg, []string{"/usr/lib", "/lib", "/lib64", "/etc", "/nowhere"}
	})
	if f, err := d.Next(t.Context()); err != nil || f.Image.Rect.Dx() != 320 {
		t.Errorf("with its libraries: %v", err)
	}
	if r := d.Restrictions(); !strings.Contains(strings.Join(r.Applied, " "), "landlock") || len(r.Missing) > 0 {
		t.Errorf("restrictions %+v", r)
	}
	f, err := os.Open(clip)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := decode.Open(t.Context(), decode.Options{Binary: ffmpeg, File: f}); err == nil || !strings.Contains(err.Error(), "execute: permission denied") {
		t.Errorf("without them: %v", err)
	}
}
