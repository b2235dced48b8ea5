// Package decodetest gives tests the real decoder and clips to feed it.
package decodetest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Binary is the decoder that overlays/decoder builds, for the machine the test runs on. Where none is in the cache the first call builds it,
// which takes minutes and says so on standard error. PORTHOLE_DECODER names one to be used instead.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("build the decoder: %v", err)
	}
	return path
}

// binary runs the build script, once per test process.
var binary = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("PORTHOLE_DECODER"); path != "" {
		return path, nil
	}
	_, self, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(self), "../../../overlays/decoder/build.sh")
	cmd := exec.Command(script, "--path", runtime.GOARCH)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", err
	}
	return filepath.Join(strings.TrimSpace(out.String()), "ffmpeg"), nil
})

// Clip makes a file of the given name in the test's own folder, with Debian's ffmpeg and the arguments, and returns its path.
func Clip(t testing.TB, name string, args ...string) string {
	t.Helper()
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Fatal("this test makes its clips with ffmpeg: apt-get install ffmpeg")
	}
	path := filepath.Join(t.TempDir(), name)
	args = append([]string{"-hide_banner", "-v", "error", "-nostdin", "-y"}, append(args, path)...)
	if out, err := exec.Command(ffmpeg, args...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, out)
	}
	return path
}
