//go:build linux

package supervise_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porthole/gokrazy-instance/hostrun/supervise"
)

// rig is a running supervisor and its API.
type rig struct {
	t    *testing.T
	sup  *supervise.Supervisor
	url  string
	dir  string
	stop func()

	mu    sync.Mutex
	exits []string // guarded by mu
}

// start supervises the named programs (see TestMain) until the test ends.
func start(t *testing.T, change func(*supervise.Config), names ...string) *rig {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: t.TempDir()}
	cfg := supervise.Config{
		Hostname: "porthole", PermDir: r.dir,
		RestartDelay: 20 * time.Millisecond,
		OnLine:       func(string, string, string) {},
		OnExit: func(process, status string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.exits = append(r.exits, process+": "+status)
		},
	}
	for _, name := range names {
		path := filepath.Join(r.dir, name)
		if name != "absent" {
			if err := os.Symlink(self, path); err != nil {
				t.Fatal(err)
			}
		}
		cfg.Commands = append(cfg.Commands, supervise.Command{
			Name: name, Path: path, Args: []string{"-camera", "demo=rtsp://joe:hunter2@h/s"}, Env: []string{"GREETING=hello"},
			Dir: r.dir, Home: filepath.Join(r.dir, "home", name),
		})
	}
	if change != nil {
		change(&cfg)
	}
	r.sup = supervise.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	srv := httptest.NewServer(r.sup.Handler())
	r.url = srv.URL
	done := make(chan error, 1)
	go func() { done <- r.sup.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		srv.CloseClientConnections()
		srv.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	t.Cleanup(r.stop)
	return r
}

// service is gokrazy's JSON.
type service struct {
	Stopped   bool
	StartTime time.Time
	Pid       int
	Path      string
	Args      []string
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) service(name string) service {
	r.t.Helper()
	res, err := http.Get(r.url + "/status?path=" + r.path(name))
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	var s service
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) said(name, text string) bool {
	return slices.ContainsFunc(r.sup.Tail(name, 100), func(line string) bool { return strings.Contains(line, text) })
}

// until polls, with a deadline far beyond what is usual.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		<-tick.C
	}
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// TestExits: 0 and 125 stay down, everything else comes back for ever, also what cannot be started at all.
func TestExits(t *testing.T) {
	r := start(t, nil, "exit0", "exit125", "exit1", "absent")
	until(t, "exit1 is started a fourth time", func() bool { return r.said("exit1", "gokrazy: attempt 3, starting") })
	until(t, "absent is tried a fourth time", func() bool { return r.said("absent", "gokrazy: attempt 3, starting") })
	until(t, "exit0 is down", func() bool { return r.service("exit0").Stopped })
	until(t, "exit125 is down", func() bool { return r.service("exit125").Stopped })
	if r.service("exit1").Stopped || r.service("absent").Stopped || r.service("absent").Pid != 0 {
		t.Error("what fails is stopped")
	}
	for name, want := range map[string]string{
		"exit0": "gokrazy: exited successfully, stopping", "exit125": "gokrazy: process should not be supervised, stopping",
		"exit1": "gokrazy: exit status 1", "absent": "no such file or directory",
	} {
		if !r.said(name, want) {
			t.Errorf("%s: log has no %q: %q", name, want, r.sup.Tail(name, 100))
		}
	}
	r.stop()
	for _, name := range []string{"exit0", "exit125"} {
		if r.said(name, "attempt 1") {
			t.Errorf("%s was started again", name)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.exits, "exit1: exit status 1") || !slices.Contains(r.exits, "exit125: exit status 125") {
		t.Errorf("exits were %q", r.exits)
	}
}

// TestKilledComesBack with gokrazy's own pause of a second.
func TestKilledComesBack(t *testing.T) {
	r := start(t, func(c *supervise.Config) { c.RestartDelay = 0 }, "forever", "talker")
	until(t, "both run", func() bool { return r.service("forever").Pid != 0 && r.service("talker").Pid != 0 })
	first, other := r.service("forever"), r.service("talker")
	if err := unix.Kill(first.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "a new process runs", func() bool {
		s := r.service("forever")
		return s.Pid != first.Pid && s.Pid != 0 && s.StartTime.After(first.StartTime) && alive(s.Pid)
	})
	if second := r.service("forever"); second.StartTime.Sub(first.StartTime) < time.Second {
		t.Errorf("started %v and again %v: there was no pause", first.StartTime, second.StartTime)
	}
	if r.service("talker").Pid != other.Pid {
		t.Error("the other process was disturbed")
	}
	if !r.said("forever", "gokrazy: signal: killed") {
		t.Errorf("log: %q", r.sup.Tail("forever", 10))
	}
}

func TestSurroundings(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	r := start(t, func(c *supervise.Config) {
		c.OnLine = func(process, stream, line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, process+" "+stream+" "+line)
		}
	}, "forever")
	heard := func(want string) bool {
		mu.Lock()
		defer mu.Unlock()
		return slices.Contains(lines, want)
	}
	home := filepath.Join(r.dir, "home", "forever")
	until(t, "the first start is known as such", func() bool { return heard("forever stdout here " + home + " 1 hello 3") })
	if st, err := os.Stat(home); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("home: %v, %v", st, err)
	}
	pid := r.service("forever").Pid
	if pgid, err := unix.Getpgid(pid); err != nil || pgid != pid {
		t.Errorf("process group %d, %v", pgid, err)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the second is not the first", func() bool { return heard("forever stdout here " + home + "  hello 3") })
	if args := strings.Join(r.service("forever").Args, " "); args != r.path("forever")+" -camera demo=rtsp://joe:***@h/s" {
		t.Errorf("args: %s", args)
	}
	if r.said("forever", "hunter2") {
		t.Error("a password is in the log")
	}
}

// TestNoOrphans: who ignores SIGTERM is killed, and so are children in the same group, whose own leader had gone.
func TestNoOrphans(t *testing.T) {
	r := start(t, func(c *supervise.Config) { c.StopDelay = 200 * time.Millisecond }, "stubborn", "family", "exit0")
	child := 0
	until(t, "everybody is there", func() bool {
		for _, line := range lines(r, "family", "stdout") {
			fmt.Sscanf(line, "child %d", &child)
		}
		return child != 0 && slices.Contains(lines(r, "stubborn", "stdout"), "ready") && slices.Contains(lines(r, "family", "stdout"), "ready")
	})
	pids := []int{r.service("stubborn").Pid, r.service("family").Pid, child}
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("process %d is not alive", pid)
		}
	}
	r.stop()
	for _, pid := range pids {
		until(t, fmt.Sprintf("process %d has gone", pid), func() bool { return !alive(pid) })
	}
}
