package watchdog_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/gokrazy-instance/init/watchdog"
)

// device counts feedings; it would have bitten after Timeout without one.
type device struct {
	mu     sync.Mutex
	fed    int
	last   time.Time
	bitten bool
	err    error
	said   []string
	// restarts counts how often init restarted the machine itself; noted is the trial's journal, onTrial whether there is one.
	restarts int
	noted    []string
	onTrial  bool
}

// OnTrial implements watchdog.Journal.
func (d *device) OnTrial() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.onTrial
}

// Add implements watchdog.Journal.
func (d *device) Add(text string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.onTrial {
		return errors.New("not on trial")
	}
	d.noted = append(d.noted, text)
	return nil
}

func (d *device) restart() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restarts++
	return errors.New("no such luck")
}

func (d *device) feed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err != nil {
		return d.err
	}
	d.bitten = d.bitten || !d.last.IsZero() && time.Since(d.last) > watchdog.Timeout
	d.fed++
	d.last = time.Now()
	return nil
}

func (d *device) hungry() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bitten || time.Since(d.last) > watchdog.Timeout
}

func (d *device) say(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.said = append(d.said, line)
}

func (d *device) restarted() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.restarts
}

func (d *device) lines() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.said, "\n")
}

// beat writes a heartbeat.
func beat(t *testing.T, path string, n int) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strconv.Itoa(n)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// watch runs a feeder in a bubble with its own clock.
func watch(t *testing.T, f func(t *testing.T, feeder *watchdog.Feeder, d *device)) {
	path := filepath.Join(t.TempDir(), "heartbeat")
	synctest.Test(t, func(t *testing.T) {
		d := &device{}
		feeder := &watchdog.Feeder{Feed: d.feed, Heartbeat: path, Withheld: path + "-withheld", Say: d.say, Restart: d.restart}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { feeder.Run(ctx) })
		f(t, feeder, d)
		cancel()
		wg.Wait()
	})
}

// pass lets time pass in the bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestFedWhilePreparing(t *testing.T) {
	watch(t, func(t *testing.T, _ *watchdog.Feeder, d *device) {
		pass(watchdog.PrepareGrace - time.Minute)
		if d.hungry() {
			t.Error("the watchdog bites while the storage is checked")
		}
		pass(2 * time.Minute)
		if !d.hungry() || !strings.Contains(d.lines(), "storage") {
			t.Errorf("preparing may take for ever; said %q", d.lines())
		}
	})
}

func TestFedWhileHeartbeatIsFresh(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		pass(time.Minute)
		f.Running()
		for n := range 100 {
			beat(t, f.Heartbeat, n)
			pass(10 * time.Second)
		}
		if d.hungry() || d.lines() != "" {
			t.Errorf("not fed with a fresh heartbeat; said %q", d.lines())
		}
		pass(watchdog.Stale - 15*time.Second)
		if d.hungry() {
			t.Error("one late heartbeat restarts the device")
		}
		pass(15*time.Second + 2*watchdog.Timeout)
		if !d.hungry() || strings.Count(d.lines(), "no heartbeat for") != 1 {
			t.Errorf("a dead appliance is kept alive; said %q", d.lines())
		}
	})
}

// TestSaysWhatSystemSays: the last words name what has stopped working, on one line of bounded length, and only if they
// are in root's own file.
func TestSaysWhatSystemSays(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"reason":        {"console’s health does not answer\n", "; system says: console’s health does not answer"},
		"several lines": {"one\n<0>two\x1b[2J\n", "; system says: one <0>two [2J"},
		"long":          {strings.Repeat("x", 5000), "; system says: " + strings.Repeat("x", 700)},
		"empty":         {"\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
				f.Running()
				beat(t, f.Heartbeat, 1)
				if err := os.WriteFile(f.Withheld, []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
				pass(watchdog.Stale + 3*watchdog.Interval)
				if want := "watchdog: not fed any more, the device will restart: no heartbeat for 45s" + c.want; d.lines() != want {
					t.Errorf("said %q, want %q", d.lines(), want)
				}
			})
		})
	}
	t.Run("a link", func(t *testing.T) {
		watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
			f.Running()
			beat(t, f.Heartbeat, 1)
			if err := os.Symlink(f.Heartbeat, f.Withheld); err != nil {
				t.Fatal(err)
			}
			pass(watchdog.Stale + 3*watchdog.Interval)
			if strings.Contains(d.lines(), "system says") {
				t.Errorf("followed a link: %q", d.lines())
			}
		})
	})
}

// TestOldHeartbeat: a file that does not change is no sign of life, however new its time.
func TestOldHeartbeat(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		f.Running()
		for range 60 {
			beat(t, f.Heartbeat, 1)
			pass(10 * time.Second)
		}
		if !d.hungry() {
			t.Error("the same heartbeat again and again counts as life")
		}
	})
}

func TestNoHeartbeat(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		f.Running()
		pass(watchdog.BootGrace - time.Second)
		if d.hungry() {
			t.Error("the processes get no time to start")
		}
		pass(time.Minute)
		if !d.hungry() || !strings.Contains(d.lines(), "of the start") {
			t.Errorf("a device that never came up is kept; said %q", d.lines())
		}
	})
}

// TestRecovers: a heartbeat that comes back before the hardware acts saves the device.
func TestRecovers(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		f.Running()
		beat(t, f.Heartbeat, 1)
		pass(watchdog.Stale + 2*watchdog.Interval)
		beat(t, f.Heartbeat, 2)
		pass(2 * watchdog.Interval)
		if d.hungry() || !strings.Contains(d.lines(), "fed again") {
			t.Errorf("not fed again; said %q", d.lines())
		}
	})
}

// TestForeignHeartbeat: a link, as another process could plant it, does not count.
func TestForeignHeartbeat(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		real := f.Heartbeat + ".real"
		if err := os.Symlink(real, f.Heartbeat); err != nil {
			t.Fatal(err)
		}
		f.Running()
		for n := range 20 {
			beat(t, real, n)
			pass(10 * time.Second)
		}
		if !d.hungry() {
			t.Error("a heartbeat behind a symbolic link counts")
		}
	})
}

// TestJournal: a version on trial leaves word why it was not fed.
func TestJournal(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		d.onTrial = true
		f.Trial(d)
		f.Running()
		beat(t, f.Heartbeat, 1)
		if err := os.WriteFile(f.Withheld, []byte("console does not run"), 0o600); err != nil {
			t.Fatal(err)
		}
		pass(watchdog.Stale + 2*watchdog.Interval)
		beat(t, f.Heartbeat, 2)
		pass(2 * watchdog.Interval)
		d.mu.Lock()
		defer d.mu.Unlock()
		if got, want := strings.Join(d.noted, "\n"), "watchdog not fed: no heartbeat for 45s; system says: console does not run\nwatchdog fed again"; got != want {
			t.Errorf("the journal has %q, want %q", got, want)
		}
	})
}

// TestTrialEnds: a version whose trial nobody decides is not fed for ever, however well it looks.
func TestTrialEnds(t *testing.T) {
	for _, decided := range []bool{false, true} {
		watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
			d.onTrial = true
			f.Trial(d)
			pass(20 * time.Minute) // a large card was checked
			f.Running()
			for n := range int(watchdog.TrialGrace/time.Minute) * 6 {
				beat(t, f.Heartbeat, n)
				pass(10 * time.Second)
			}
			if d.hungry() || d.lines() != "" {
				t.Fatalf("starved before its time is over; said %q", d.lines())
			}
			d.mu.Lock()
			d.onTrial = !decided
			d.mu.Unlock()
			for n := range 12 {
				beat(t, f.Heartbeat, -n-1)
				pass(10 * time.Second)
			}
			if d.hungry() == decided {
				t.Errorf("decided %v: hungry %v; said %q", decided, d.hungry(), d.lines())
			}
			if text := strings.Join(d.noted, "\n"); strings.Contains(text, "neither kept nor given up within 30m") == decided {
				t.Errorf("decided %v: the journal has %q", decided, text)
			}
		})
	}
}

// TestRestartsByItself: where the hardware does not restart the machine, init does, and goes on trying.
func TestRestartsByItself(t *testing.T) {
	watch(t, func(t *testing.T, f *watchdog.Feeder, d *device) {
		f.Running()
		pass(watchdog.BootGrace + watchdog.Bite - time.Second)
		if d.restarted() != 0 {
			t.Error("the hardware had no time to restart the machine")
		}
		pass(10 * watchdog.Interval)
		if n := d.restarted(); n < 3 || !strings.Contains(d.lines(), "did not restart: no such luck") {
			t.Errorf("tried %d times, said %q", n, d.lines())
		}
	})
}

func TestFailingDeviceIsSaidOnce(t *testing.T) {
	watch(t, func(t *testing.T, _ *watchdog.Feeder, d *device) {
		d.mu.Lock()
		d.err = errors.New("no such luck")
		d.mu.Unlock()
		pass(time.Minute)
		if n := strings.Count(d.lines(), "no such luck"); n != 1 {
			t.Errorf("a failing device was reported %d times", n)
		}
	})
}

func TestOpenWithoutDevice(t *testing.T) {
	if _, err := watchdog.Open(filepath.Join(t.TempDir(), "watchdog")); !errors.Is(err, watchdog.ErrNoDevice) {
		t.Errorf("no watchdog gives %v", err)
	}
}
