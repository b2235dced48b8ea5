package heartbeat_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/system/heartbeat"
	"porthole/packages/system/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stale is init's patience with the heartbeat (gokrazy-instance/init/watchdog).
const stale = 45 * time.Second

// appliance is what a heart looks at. Its run folder is empty after boot.
type appliance struct {
	t     *testing.T
	dir   string
	log   bytes.Buffer
	heart *heartbeat.Heart

	mu        sync.Mutex // guards what follows
	processes map[string]*supervisor.Process
	lost      error // the supervisor does not answer
	ill       error // console's health
	hangs     bool  // console's health takes for ever
	trial     bool  // this version is on trial
}

// harm changes something while a heart beats.
func (a *appliance) harm(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func newAppliance(t *testing.T) *appliance {
	a := &appliance{t: t, dir: t.TempDir(), processes: map[string]*supervisor.Process{}}
	for i, name := range []string{"system", "proxy", "console", "dhcp"} {
		a.processes[name] = &supervisor.Process{Name: name, State: "running", PID: 100 + i}
	}
	return a
}

func (a *appliance) count() string { return filepath.Join(a.dir, "count") }

func (a *appliance) file(name string) string {
	b, _ := os.ReadFile(filepath.Join(a.dir, "run", name))
	return string(b)
}

// boot runs f on a device that has just started, with a heart that looks after it.
func (a *appliance) boot(f func()) {
	a.t.Helper()
	if err := errors.Join(os.RemoveAll(filepath.Join(a.dir, "run")), os.Mkdir(filepath.Join(a.dir, "run"), 0o700)); err != nil {
		a.t.Fatal(err)
	}
	synctest.Test(a.t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		a.heart = heartbeat.New(heartbeat.Config{
			Log: slog.New(slog.NewTextHandler(&a.log, nil)), Dir: filepath.Join(a.dir, "run"), CountFile: a.count(),
			Watched: func(name string) bool { return name != "dhcp" },
			OnTrial: func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.trial },
			Processes: func(context.Context) ([]supervisor.Process, error) {
				a.mu.Lock()
				defer a.mu.Unlock()
				if a.lost != nil {
					return nil, a.lost
				}
				var list []supervisor.Process
				for _, p := range a.processes {
					list = append(list, *p)
				}
				return list, nil
			},
			Health: map[string]func(context.Context) error{"console": func(ctx context.Context) error {
				a.mu.Lock()
				hangs, ill := a.hangs, a.ill
				a.mu.Unlock()
				if hangs {
					<-ctx.Done()
					return ctx.Err()
				}
				return ill
			}},
		})
		done := make(chan error, 1)
		go func() { done <- a.heart.Run(ctx) }()
		f()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// lives reports whether init would have kept the device up for so long: the heartbeat changed often enough all the time.
func (a *appliance) lives(d time.Duration) bool {
	last, at := a.file("heartbeat"), time.Now()
	for end := at.Add(d); time.Now().Before(end); {
		<-time.After(time.Second)
		synctest.Wait()
		if now := a.file("heartbeat"); now != last {
			last, at = now, time.Now()
		}
		if time.Since(at) > stale {
			return false
		}
	}
	return true
}

func TestBeatsWhileAllIsWell(t *testing.T) {
	a := newAppliance(t)
	a.boot(func() {
		if !a.lives(20 * time.Minute) {
			t.Error("restarted for nothing")
		}
	})
	if b := a.file("heartbeat"); b == "" || len(b) > 256 {
		t.Errorf("heartbeat %q; init reads 256 bytes", b)
	}
	if a.log.Len() != 0 {
		t.Errorf("said: %s", a.log.String())
	}
}

// TestWithheld: whatever has been down for more than a minute makes the heartbeat stop, and says why.
func TestWithheld(t *testing.T) {
	for name, c := range map[string]struct {
		harm func(a *appliance)
		why  string
	}{
		"a process is down": {func(a *appliance) {
			a.processes["proxy"].State, a.processes["proxy"].Exit = "restarting", "exit status 1"
		}, "proxy does not run, it ended with exit status 1"},
		"the supervisor is silent": {func(a *appliance) { a.lost = errors.New("connection refused") }, "the supervisor does not answer: connection refused"},
		"console is ill":           {func(a *appliance) { a.ill = errors.New("answered 500") }, "console’s health does not answer: answered 500"},
		"console hangs":            {func(a *appliance) { a.hangs = true }, "console’s health does not answer: context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAppliance(t)
			a.boot(func() {
				if !a.lives(3 * time.Minute) {
					t.Fatal("restarted too early")
				}
				a.harm(func() { c.harm(a) })
				if !a.lives(heartbeat.Patience) {
					t.Fatal("no patience")
				}
				if a.lives(2*stale) || !strings.Contains(a.heart.Problem(), c.why) {
					t.Errorf("problem %q", a.heart.Problem())
				}
				if got := strings.TrimSpace(a.file("withheld")); got != c.why {
					t.Errorf("left for init: %q, want %q", got, c.why)
				}
				if said := strings.Count(a.log.String(), "heartbeat withheld"); said != 1 {
					t.Errorf("logged %d times: %s", said, a.log.String())
				}
			})
		})
	}
}

// TestForgiven: what is down for less, was asked to stop or is not ours restarts nothing.
func TestForgiven(t *testing.T) {
	a := newAppliance(t)
	a.boot(func() {
		a.harm(func() {
			a.processes["dhcp"].State = "restarting" // no network
			a.processes["proxy"].State = "stopped"
			delete(a.processes, "system")
		})
		if !a.lives(5 * time.Minute) {
			t.Error("restarted for what need not run")
		}
		for i := range 20 { // a restart by hand now and then
			p := a.processes["console"]
			a.harm(func() { p.State, a.ill = "restarting", errors.New("no such file") })
			a.lives(40 * time.Second)
			a.harm(func() { p.State, p.PID, a.ill = "running", 1000+i, nil })
			if !a.lives(time.Minute) {
				t.Fatal("restarted though console was away for a moment only")
			}
		}
	})
	if a.log.Len() != 0 {
		t.Errorf("said: %s", a.log.String())
	}
}

// TestCrashLoop: a process that is up at every look, but never the same, is down.
func TestCrashLoop(t *testing.T) {
	a := newAppliance(t)
	a.boot(func() {
		a.lives(time.Minute)
		stop, done := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(done)
			for {
				a.harm(func() { a.processes["proxy"].PID++ })
				select {
				case <-stop:
					return
				case <-time.After(4 * time.Second):
				}
			}
		}()
		if a.lives(heartbeat.Patience + heartbeat.Settled + 2*stale) {
			t.Error("still alive")
		}
		if !strings.Contains(a.file("withheld"), "proxy does not stay up") {
			t.Errorf("because %q", a.file("withheld"))
		}
		close(stop)
		<-done
	})
}

// TestRestartsEnd: the device restarts a few times for the same trouble, then stays up and says so; once all is well, it
// counts anew.
func TestRestartsEnd(t *testing.T) {
	a := newAppliance(t)
	a.processes["proxy"].State = "restarting"
	restarts := 0
	for range heartbeat.MaxRestarts + 2 {
		a.boot(func() {
			if !a.lives(5 * time.Minute) {
				restarts++
				return
			}
			if p := a.heart.Problem(); !strings.Contains(p, "did not help") {
				t.Errorf("stays up and says %q", p)
			}
		})
	}
	if restarts != heartbeat.MaxRestarts {
		t.Fatalf("%d restarts", restarts)
	}
	a.boot(func() {
		a.harm(func() { a.processes["proxy"].State = "running" })
		a.lives(heartbeat.Calm + time.Minute)
		if p := a.heart.Problem(); p != "" {
			t.Errorf("still: %s", p)
		}
		a.harm(func() { a.processes["proxy"].State = "restarting" })
		if a.lives(5 * time.Minute) {
			t.Error("does not restart for new trouble")
		}
	})
}

// TestNothingToCountWith: without storage the device stays up, since nothing would keep it from restarting for ever.
func TestNothingToCountWith(t *testing.T) {
	a := newAppliance(t)
	if err := os.Mkdir(a.count(), 0o700); err != nil {
		t.Fatal(err)
	}
	a.processes["console"].State = "restarting"
	a.boot(func() {
		if !a.lives(10*time.Minute) || !strings.Contains(a.heart.Problem(), "console does not run") {
			t.Errorf("problem %q", a.heart.Problem())
		}
	})
	// What a power cut left of the count is no count.
	if err := errors.Join(os.Remove(a.count()), os.WriteFile(a.count(), []byte("\x00\x00"), 0o600)); err != nil {
		t.Fatal(err)
	}
	a.boot(func() {
		if a.lives(5 * time.Minute) {
			t.Error("a damaged count keeps it up")
		}
	})
	if b, err := os.ReadFile(a.count()); err != nil || fmt.Sprintf("%q", b) != `"1\n"` {
		t.Errorf("count %q, %v", b, err)
	}
}

// TestTrial: a version on trial that stops working is never kept up, also after more restarts than a kept one gets, and also
// where nothing can be noted; its restarts do not count for the version before.
func TestTrial(t *testing.T) {
	a := newAppliance(t)
	a.trial = true
	a.processes["proxy"].State = "restarting"
	for range heartbeat.MaxRestarts + 2 {
		a.boot(func() {
			if a.lives(5 * time.Minute) {
				t.Error("a broken version on trial is kept up")
			}
			if p := a.heart.Problem(); !strings.Contains(p, "on trial") || !strings.Contains(p, "proxy does not run") {
				t.Errorf("problem %q", p)
			}
			if got := strings.TrimSpace(a.file("withheld")); got != "proxy does not run" {
				t.Errorf("left for init: %q", got)
			}
		})
	}
	if _, err := os.Stat(a.count()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the trial's restarts were counted: %v", err)
	}
	if err := os.Mkdir(a.count(), 0o700); err != nil { // no storage
		t.Fatal(err)
	}
	a.boot(func() {
		if err := os.Mkdir(filepath.Join(a.dir, "run", "withheld"), 0o700); err != nil {
			t.Fatal(err)
		}
		if a.lives(5 * time.Minute) {
			t.Error("kept up where nothing can be noted")
		}
	})
	a.boot(func() {
		a.lives(90 * time.Second)
		a.harm(func() { a.trial = false }) // kept at the last moment
		if !a.lives(5 * time.Minute) {
			t.Error("a version that was kept restarts although nothing can be counted")
		}
	})
}
