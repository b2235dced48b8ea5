package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"porthole/gokrazy-instance/hostrun/supervise"
	"porthole/packages/internal/unixsock"
	"porthole/packages/system/supervisor"
)

// start supervises shell scripts by name with the real supervisor and returns a client of its API.
func start(t *testing.T, scripts map[string]string) *supervisor.Client {
	t.Helper()
	dir := t.TempDir()
	var cmds []supervise.Command
	for name, body := range scripts {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, supervise.Command{Name: name, Path: path, Dir: dir, Home: filepath.Join(dir, "home")})
	}
	s := supervise.New(supervise.Config{
		Commands: cmds, Hostname: "porthole", PermDir: dir,
		OnLine: func(string, string, string) {}, OnExit: func(string, string) {},
		RestartDelay: 50 * time.Millisecond,
	})
	sock := filepath.Join(dir, "gokrazy.sock")
	l, err := unixsock.Listen(sock, unixsock.Allow(true))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(s.Handler())
	server.Listener.Close()
	server.Listener = l
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := unixsock.Transport(sock)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return supervisor.New(transport)
}

func until(t *testing.T, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		<-tick.C
	}
}

func find(t *testing.T, c *supervisor.Client, name string) supervisor.Process {
	t.Helper()
	list, err := c.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(p supervisor.Process) bool { return p.Name == name })
	if i < 0 {
		t.Fatalf("no %s in %+v", name, list)
	}
	return list[i]
}

func state(t *testing.T, c *supervisor.Client, name, want string) supervisor.Process {
	t.Helper()
	var p supervisor.Process
	until(t, name+" is "+want, func() error {
		if p = find(t, c, name); p.State != want {
			return fmt.Errorf("it is %q", p.State)
		}
		return nil
	})
	return p
}

func TestProcesses(t *testing.T) {
	c := start(t, map[string]string{"runs": "exec sleep 1000\n", "done": "exit 0\n", "unwanted": "exit 125\n"})
	p := state(t, c, "runs", "running")
	if p.PID == 0 || p.Started.IsZero() || p.Restarts != 0 {
		t.Errorf("got %+v", p)
	}
	// Between fork and exec it has no memory of its own.
	until(t, "it has memory", func() error {
		if now := find(t, c, "runs"); now.RSSBytes == 0 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	state(t, c, "done", "stopped")
	state(t, c, "unwanted", "stopped")

	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it is back", func() error {
		if now := find(t, c, "runs"); now.State != "running" || now.PID == p.PID || now.Restarts != 1 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
}

// TestExits: how a process ended is known a moment later, though gokrazy tells it only in the log.
func TestExits(t *testing.T) {
	c := start(t, map[string]string{"runs": "exec sleep 1000\n", "done": "exit 0\n", "unwanted": "exit 125\n", "fails": "exit 7\n"})
	ctx, cancel := context.WithCancel(t.Context())
	watched := make(chan error, 1)
	go func() { watched <- c.Watch(ctx) }()
	defer func() {
		cancel()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	}()
	for name, want := range map[string]string{"done": "exit status 0", "unwanted": "exit status 125", "fails": "exit status 7"} {
		until(t, name+" is known to have ended", func() error {
			if p := find(t, c, name); p.Exit != want {
				return fmt.Errorf("%+v", p)
			}
			return nil
		})
	}
	if p := find(t, c, "runs"); p.Exit != "" {
		t.Errorf("what runs has ended with %q", p.Exit)
	}
	until(t, "restarts are counted", func() error {
		if p := find(t, c, "fails"); p.Restarts < 3 {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
}

func TestRestart(t *testing.T) {
	c := start(t, map[string]string{"runs": "exec sleep 1000\n", "once": "[ -e ran ] && exec sleep 1000\ntouch ran\nexit 0\n"})
	before := state(t, c, "runs", "running")
	if err := c.Restart(t.Context(), "runs"); err != nil {
		t.Fatal(err)
	}
	until(t, "a new process", func() error {
		if now := find(t, c, "runs"); now.PID == before.PID || now.State != "running" {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	// One that stays down is started.
	state(t, c, "once", "stopped")
	if err := c.Restart(t.Context(), "once"); err != nil {
		t.Fatal(err)
	}
	state(t, c, "once", "running")
	if err := c.Restart(t.Context(), "nobody"); !errors.Is(err, supervisor.ErrUnknown) {
		t.Errorf("an unknown process: %v", err)
	}
}

func TestLog(t *testing.T) {
	c := start(t, map[string]string{"talks": "for i in $(seq 150); do echo out $i; done; echo problem >&2; exec sleep 1000\n"})
	until(t, "all is said", func() error {
		lines, err := c.Log(t.Context(), "talks")
		if err != nil {
			return err
		}
		var out []string
		problem := false
		for _, l := range lines {
			if l.Stream == "stdout" {
				out = append(out, l.Text)
			}
			problem = problem || l.Stream == "stderr" && l.Text == "problem"
		}
		if len(out) != 100 || out[0] != "out 51" || out[99] != "out 150" || !problem {
			return fmt.Errorf("%d lines of output, problem %v: %.200s", len(out), problem, strings.Join(out, "|"))
		}
		return nil
	})
	if _, err := c.Log(t.Context(), "nobody"); !errors.Is(err, supervisor.ErrUnknown) {
		t.Errorf("an unknown process: %v", err)
	}
}

func TestSupervisorAway(t *testing.T) {
	c := supervisor.New(unixsock.Transport(filepath.Join(t.TempDir(), "none.sock")))
	if _, err := c.Processes(t.Context()); err == nil {
		t.Error("no error without a supervisor")
	}
}
