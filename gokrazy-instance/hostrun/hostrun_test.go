//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// output is written by a process and read by the test.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// bed is a folder with programs, a process list, and a state folder for hostrun.
type bed struct {
	t                  *testing.T
	dir, config, state string
	ports              [3]int
}

// newBed prepares packages, each named by its import path; the last element says what the program does (TestMain).
func newBed(t *testing.T, packages ...string) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir()}
	b.config, b.state = filepath.Join(b.dir, "config.json"), filepath.Join(b.dir, "state")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range append(packages, "hostrun") {
		if err := os.Symlink(self, filepath.Join(b.dir, filepath.Base(pkg))); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Hostname": "porthole", "Packages": packages})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b.config, list, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range b.ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		b.ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return b
}

func (b *bed) command(args ...string) (*exec.Cmd, *output) {
	all := []string{"-config", b.config, "-bin", b.dir, "-state", b.state, "-bind", "127.0.0.1",
		"-https", strconv.Itoa(b.ports[0]), "-http", strconv.Itoa(b.ports[1]), "-wss", strconv.Itoa(b.ports[2])}
	cmd := exec.CommandContext(b.t.Context(), filepath.Join(b.dir, "hostrun"), append(all, args...)...)
	out := &output{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd, out
}

// start runs hostrun until the test ends.
func (b *bed) start(args ...string) (*exec.Cmd, *output) {
	b.t.Helper()
	cmd, out := b.command(args...)
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
		if b.t.Failed() {
			b.t.Logf("hostrun said:\n%s", out)
		}
	})
	return cmd, out
}

// refuses runs hostrun, which must end with an error that holds each of the texts.
func (b *bed) refuses(args []string, texts ...string) {
	b.t.Helper()
	cmd, out := b.command(args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		b.t.Errorf("hostrun ended with %v", err)
	}
	for _, text := range texts {
		if !strings.Contains(out.String(), text) {
			b.t.Errorf("hostrun does not say %q:\n%s", text, out)
		}
	}
}

// pids asks the control socket; through a short name, as the folder may be deep.
func (b *bed) pids() map[string]int {
	b.t.Helper()
	dir, err := os.Open(b.state)
	if err != nil {
		return nil
	}
	defer dir.Close()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), controlSocket))
	}}
	res, err := (&http.Client{Transport: tr}).Get("http://gokrazy/")
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	var status struct {
		Services []struct {
			Pid  int
			Path string
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&status); err != nil {
		b.t.Fatal(err)
	}
	pids := map[string]int{}
	for _, s := range status.Services {
		if s.Pid != 0 {
			pids[filepath.Base(s.Path)] = s.Pid
		}
	}
	return pids
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

func gone(pid int) bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

// TestDeepFolder: a state folder far deeper than a unix socket's path may be; what is killed comes back; the end leaves
// nobody behind.
func TestDeepFolder(t *testing.T) {
	b := newBed(t, "example.com/runs", "example.com/ends")
	b.state = filepath.Join(b.dir, strings.Repeat("deep/", 40), "state")
	cmd, out := b.start()
	until(t, "it runs", func() bool { return b.pids()["runs"] != 0 })
	first := b.pids()["runs"]
	if err := unix.Kill(first, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it runs again", func() bool { pid := b.pids()["runs"]; return pid != 0 && pid != first })
	until(t, "it speaks in the terminal", func() bool { return strings.Contains(out.String(), "runs    | in "+b.state+" <nil>\n") })
	log, err := os.ReadFile(filepath.Join(b.state, "log", "runs.log"))
	if err != nil || !strings.Contains(string(log), "in "+b.state) || !strings.Contains(string(log), "gokrazy: signal: killed") {
		t.Errorf("log: %s, %v", log, err)
	}
	st, err := os.Stat(filepath.Join(b.state, controlSocket))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v", st, err)
	}
	second := b.pids()["runs"]
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("hostrun ended with %v", err)
	}
	if !gone(second) {
		t.Error("a process was left behind")
	}
}

// TestHostrunKilled: even kill -9 leaves no process behind, and the next start is not in the way of anything.
func TestHostrunKilled(t *testing.T) {
	b := newBed(t, "example.com/runs")
	cmd, _ := b.start("-quiet")
	until(t, "it runs", func() bool { return b.pids()["runs"] != 0 })
	pid := b.pids()["runs"]
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	until(t, "its process has gone too", func() bool { return gone(pid) || zombie(pid) })
	b.start("-quiet")
	until(t, "it runs again", func() bool { p := b.pids()["runs"]; return p != 0 && p != pid })
}

// zombie: whoever should have reaped it is not ours.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(b), ") ")
	return err == nil && strings.HasPrefix(rest, "Z")
}

func TestOneAtATime(t *testing.T) {
	b := newBed(t, "example.com/runs")
	cmd, _ := b.start()
	until(t, "it runs", func() bool { return b.pids()["runs"] != 0 })
	other := newBed(t, "example.com/runs")
	other.state = b.state
	other.refuses(nil, "already running", b.state, fmt.Sprintf("process %d", cmd.Process.Pid), "make run STATE=")
	if b.pids()["runs"] == 0 {
		t.Error("the refused one disturbed the running one")
	}
}

func TestTakenPorts(t *testing.T) {
	b := newBed(t, "example.com/runs")
	me := fmt.Sprintf("(process %d)", os.Getpid())
	for i, v := range []struct{ flag, variable string }{{"-https", "HTTPS_PORT"}, {"-http", "HTTP_PORT"}, {"-wss", "WSS_PORT"}} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", b.ports[i]))
		if err != nil {
			t.Fatal(err)
		}
		b.refuses(nil, fmt.Sprintf("TCP port %d is taken by ", b.ports[i]), me, "make run "+v.variable+"=", "hostrun "+v.flag+" ")
		l.Close()
	}
	u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", b.ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	b.refuses(nil, fmt.Sprintf("UDP port %d is taken by ", b.ports[0]), me, "make run HTTPS_PORT=", "hostrun -ice-udp ")
}

func TestWrongArguments(t *testing.T) {
	b := newBed(t, "example.com/runs")
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"unknown flag":     {[]string{"-nonsense"}, []string{"-nonsense"}},
		"argument":         {[]string{"nonsense"}, []string{`unexpected argument "nonsense"`}},
		"same port twice":  {[]string{"-https", "8443", "-wss", "8443"}, []string{"-https and -wss both say 8443"}},
		"no such port":     {[]string{"-http", "70000"}, []string{"-http 70000", "65535"}},
		"no https":         {[]string{"-https", "0"}, []string{"-https 0"}},
		"not our address":  {[]string{"-bind", "192.0.2.1"}, []string{"-bind 192.0.2.1 is no address of this machine"}},
		"no such programs": {[]string{"-bin", b.state}, []string{"runs is not in " + b.state, "make build"}},
		"no process list":  {[]string{"-config", filepath.Join(b.dir, "none")}, []string{"read process list"}},
		"no provisioning":  {[]string{"-provision", filepath.Join(b.dir, "none.toml")}, []string{"no provisioning file", "overlays/boot/porthole.toml"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := *b
			b.t = t
			b.refuses(c.args, c.says...)
		})
	}
}

// TestKeepsDying: said once, with the process's own words.
func TestKeepsDying(t *testing.T) {
	b := newBed(t, "example.com/fails")
	_, out := b.start("-quiet")
	until(t, "it is said", func() bool { return strings.Contains(out.String(), "keeps dying") })
	until(t, "with its last words", func() bool { return strings.Contains(out.String(), "I have no luck today") })
	log := filepath.Join(b.state, "log", "fails.log")
	until(t, "it is started twice more", func() bool {
		l, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(l), "attempt 7")
	})
	if n := strings.Count(out.String(), "keeps dying"); n != 1 {
		t.Errorf("said %d times", n)
	}
}

// TestProvisionIsCopied to where system looks for it, for this user only.
func TestProvisionIsCopied(t *testing.T) {
	b := newBed(t, "example.com/runs")
	file := filepath.Join(b.dir, "mine.toml")
	if err := os.WriteFile(file, []byte("hostname = \"x\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.start("-provision", file)
	until(t, "it runs", func() bool { return b.pids()["runs"] != 0 })
	at := filepath.Join(b.state, "boot", "porthole.toml")
	got, err := os.ReadFile(at)
	st, statErr := os.Stat(at)
	if err != nil || statErr != nil || string(got) != "hostname = \"x\"\n" || st.Mode().Perm() != 0o600 {
		t.Errorf("%q, %v, %v, %v", got, st, err, statErr)
	}
}
