package report_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"porthole/gokrazy-instance/init/report"
)

type service struct {
	Stopped bool
	Pid     int
	Path    string
}

// supervisor answers as gokrazy does, with a list that the test changes.
type supervisor struct {
	mu   sync.Mutex
	list []service // guarded by mu
}

func (s *supervisor) set(list ...service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = list
}

func (s *supervisor) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(w).Encode(map[string]any{"Services": s.list})
}

func TestReporter(t *testing.T) {
	dir := t.TempDir()
	alive := func(pid int, yes bool) {
		t.Helper()
		path := filepath.Join(dir, "proc", strconv.Itoa(pid))
		err := os.RemoveAll(path)
		if yes {
			err = os.MkdirAll(path, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &supervisor{}
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	r, w := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		defer w.Close()
		(&report.Reporter{Socket: socket, Proc: filepath.Join(dir, "proc"), Interval: 5 * time.Millisecond, Settle: 50 * time.Millisecond, Out: w}).Run(ctx)
	})
	t.Cleanup(func() { cancel(); r.Close(); srv.Close(); wg.Wait() })
	said := bufio.NewScanner(r)
	expect := func(want string) {
		t.Helper()
		if !said.Scan() || said.Text() != want {
			t.Fatalf("said %q, want %q", said.Text(), want)
		}
	}

	alive(10, true)
	alive(11, true)
	s.set(service{Pid: 10, Path: "/user/system"}, service{Pid: 11, Path: "/user/console"}, service{Stopped: true, Path: "/user/off"})
	expect("processes: running: console system")
	// console has died and waits for its restart.
	alive(11, false)
	expect("processes: running: system; not running: console")
	// It comes back, and crashes again and again: that is not running.
	for pid := 12; pid < 15; pid++ {
		alive(pid, true)
		s.set(service{Pid: 10, Path: "/user/system"}, service{Pid: pid, Path: "/user/console"})
		alive(pid, false)
	}
	alive(15, true)
	s.set(service{Pid: 10, Path: "/user/system"}, service{Pid: 15, Path: "/user/console"})
	expect("processes: running: console system")
	// One that cannot even be started.
	s.set(service{Pid: 10, Path: "/user/system"}, service{Pid: 0, Path: "/user/player"})
	expect("processes: running: system; not running: player")
}
