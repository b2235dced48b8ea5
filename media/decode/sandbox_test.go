package decode_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/media/decode"
	"porthole/media/decode/decodetest"
)

// buildProbe builds the program that tries things out.
func buildProbe(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "probe")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the probe: %v\n%s", err, out)
	}
	return path
}

// TestSandbox: what a taken-over decoder might try fails in the child, and works outside of it (so that the attempt proves something).
func TestSandbox(t *testing.T) {
	probe := buildProbe(t)
	secret := write(t, "secret", []byte("key"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port

	for _, what := range []string{"read-item", "read-file", "list-folder", "write-file", "write-item", "tcp", "udp", "ipv6", "unix", "netlink",
		"fork", "shell", "signal", "trace"} {
		t.Run(what, func(t *testing.T) {
			item := write(t, "item", fmt.Appendf(nil, "%s %s %d %d", what, secret, port, os.Getpid()))
			d := open(t, item, func(o *decode.Options) { o.Binary, o.MaxMemory = probe, 8<<30 })
			_, err := d.Next(t.Context())
			var got *decode.Error
			if !errors.As(err, &got) {
				t.Fatal(err)
			}
			if what == "read-item" {
				if !strings.Contains(got.Detail, "it was allowed") {
					t.Errorf("the item itself cannot be read: %v", err)
				}
				return
			}
			if !strings.Contains(got.Detail, "denied: operation not permitted") && !strings.Contains(got.Detail, "denied: permission denied") {
				t.Errorf("in the child: %v", err)
			}
			if out := unconfined(t, probe, item); !strings.Contains(out, "it was allowed") && what != "shell" {
				t.Errorf("outside: %s", out)
			}
			os.Remove(secret + ".new")
		})
	}
	r := open(t, secret).Restrictions()
	t.Logf("applied: %q, missing: %q", r.Applied, r.Missing)
	for _, want := range []string{"landlock", "seccomp", "limits", "no_new_privs"} {
		missing := slices.ContainsFunc(r.Missing, func(s string) bool { return strings.HasPrefix(s, want+":") })
		if !slices.Contains(r.Applied, want) || missing {
			t.Errorf("%s was not applied: %q", want, r.Missing)
		}
	}
}

// unconfined runs the probe as it is.
func unconfined(t *testing.T, probe, item string) string {
	t.Helper()
	f, err := os.OpenFile(item, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(probe)
	cmd.ExtraFiles = []*os.File{f}
	out, _ := cmd.CombinedOutput() // it always exits with a code
	return string(out)
}

// childPID finds the one decoder child of a process.
func childPID(t testing.TB, parent int) int {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			if comm, _ := os.ReadFile("/proc/" + field + "/comm"); string(comm) == "ffmpeg\n" {
				pid, _ := strconv.Atoi(field)
				return pid
			}
		}
	}
	t.Fatalf("process %d has no decoder", parent)
	return 0
}

// running starts a decoder and returns it with its first frame taken and its child waiting for a buffer.
func running(t *testing.T, change ...func(*decode.Options)) *decode.Decoder {
	t.Helper()
	path := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=4", "-c:v", "libx264", "-preset", "ultrafast")
	d := open(t, path, change...)
	f, err := d.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Release()
	return d
}

func TestChildDies(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGSEGV, syscall.SIGKILL, syscall.SIGABRT} {
		d := running(t)
		if err := syscall.Kill(childPID(t, os.Getpid()), sig); err != nil {
			t.Fatal(err)
		}
		pts, err := drain(t, d)
		if !errors.Is(err, decode.ErrCrashed) || len(pts) >= 99 || !strings.Contains(err.Error(), sig.String()) {
			t.Errorf("%v: %d more frames, %v", sig, len(pts), err)
		}
		d.Close()
	}
}

func TestChildHangs(t *testing.T) {
	d := running(t, func(o *decode.Options) { o.FrameTimeout = 2 * time.Second })
	pid := childPID(t, os.Getpid())
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if _, err := drain(t, d); !errors.Is(err, decode.ErrHung) {
		t.Error(err)
	}
	d.Close()
	waitGone(t, pid)
}

func waitGone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		// A process that nobody waits for stays as a zombie of whoever inherited it.
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there: %s", pid, stat)
		}
	}
}

// parentEnv makes the test program a player that dies, see TestParentDies.
const parentEnv = "PORTHOLE_TEST_DECODE"

// TestParentDies: a player that is killed takes its decoders along, even those that do nothing.
func TestParentDies(t *testing.T) {
	clip := decodetest.Clip(t, "a.mp4", "-f", "lavfi", "-i", source, "-c:v", "libx264")
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), parentEnv+"="+decodetest.Binary(t)+"\n"+clip)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // if the test gave up earlier
		_ = cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := childPID(t, cmd.Process.Pid)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}
