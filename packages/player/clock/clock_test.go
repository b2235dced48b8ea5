package clock_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porthole/packages/internal/testkit"
	"porthole/packages/player/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// machine is a device: its clock, and how long it has been running.
type machine struct {
	t    *testing.T
	dir  string
	log  testkit.Log
	mu   sync.Mutex
	sys  time.Time
	mono time.Duration

	jumps atomic.Int32
}

var built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// day is a time on a day after the build.
func day(n int, hhmm string) time.Time {
	t, err := time.Parse("15:04", hhmm)
	if err != nil {
		panic(err)
	}
	return built.AddDate(0, 0, n).Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute)
}

// boot switches the device on, with its clock somewhere.
func (m *machine) boot(sys time.Time) *clock.Clock {
	m.set(sys)
	m.mu.Lock()
	m.mono = 10 * time.Second
	m.mu.Unlock()
	return m.start()
}

// start starts the process.
func (m *machine) start() *clock.Clock {
	return clock.New(clock.Config{
		Log: slog.New(slog.NewTextHandler(&m.log, nil)), Dir: m.dir, Built: built,
		System: func() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.sys },
		Mono:   func() time.Duration { m.mu.Lock(); defer m.mu.Unlock(); return m.mono },
		Jumped: func() { m.jumps.Add(1) },
	})
}

func (m *machine) set(sys time.Time) { m.mu.Lock(); defer m.mu.Unlock(); m.sys = sys }

func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sys, m.mono = m.sys.Add(d), m.mono+d
}

// keep lets a clock write down what it knows, as at the end of its process.
func (m *machine) keep(c *clock.Clock) {
	m.t.Helper()
	ctx, cancel := context.WithCancel(m.t.Context())
	cancel()
	if err := c.Run(ctx); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) want(c *clock.Clock, now time.Time, source clock.Source) {
	m.t.Helper()
	s := c.State()
	if s.Now.Sub(now).Abs() > time.Second || s.Source != source || s.Now.Sub(c.Now()).Abs() > time.Second {
		m.t.Errorf("%s from %s, want %s from %s", s.Now, s.Source, now, source)
	}
}

func newMachine(t *testing.T) *machine {
	return &machine{t: t, dir: filepath.Join(t.TempDir(), "player")}
}

func TestSources(t *testing.T) {
	year1970 := time.Unix(5, 0).UTC()
	for name, f := range map[string]func(m *machine){
		"never knew anything": func(m *machine) {
			c := m.boot(year1970)
			m.want(c, built, clock.LastKnown)
			m.pass(time.Hour)
			m.want(c, built.Add(time.Hour), clock.LastKnown)
		},
		"the system is right": func(m *machine) {
			c := m.boot(day(5, "10:00"))
			m.want(c, day(5, "10:00"), clock.System)
			c.FromServer(day(7, "10:00"), time.Second) // somebody's computer
			m.want(c, day(5, "10:00"), clock.System)
		},
		"NTP comes": func(m *machine) {
			c := m.boot(year1970)
			m.pass(time.Minute)
			m.set(day(9, "08:00"))
			m.want(c, day(9, "08:00"), clock.System)
		},
		"1970 after a power cut": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(year1970)
			m.want(c, day(5, "10:00"), clock.LastKnown)
			m.pass(time.Hour)
			m.want(c, day(5, "11:00"), clock.LastKnown)
			c.FromServer(day(6, "09:00"), 2*time.Second)
			m.want(c, day(6, "09:00").Add(time.Second), clock.Server)
			m.pass(time.Hour)
			m.want(c, day(6, "10:00"), clock.Server)
			m.set(day(6, "10:02"))
			m.want(c, day(6, "10:02"), clock.System)
		},
		"the same twice": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(year1970)
			m.pass(time.Hour)
			m.keep(c)
			m.want(m.boot(year1970), day(5, "11:00"), clock.LastKnown)
		},
		"only the process was restarted": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(year1970)
			c.FromServer(day(6, "09:00"), 0)
			m.keep(c)
			m.pass(time.Hour)
			m.want(m.start(), day(6, "10:00"), clock.LastKnown)
		},
		"the time of the last shutdown, and a server that knows better": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(year1970)
			m.set(day(5, "10:00").Add(3 * time.Second)) // by gokrazy's ntp
			m.want(c, day(5, "10:00").Add(3*time.Second), clock.System)
			c.FromServer(day(6, "09:00"), 0)
			m.want(c, day(6, "09:00"), clock.Server)
			m.set(day(6, "09:01")) // NTP
			m.want(c, day(6, "09:01"), clock.System)
			c.FromServer(day(6, "10:00"), 0) // that one goes wrong
			m.want(c, day(6, "09:01"), clock.System)
		},
		"NTP was there, and then the process was restarted": func(m *machine) {
			c := m.boot(year1970)
			m.set(day(5, "10:00"))
			m.keep(c)
			m.pass(time.Minute)
			c = m.start()
			c.FromServer(day(8, "10:00"), 0)
			m.want(c, day(5, "10:01"), clock.System)
		},
		"an RTC that was right, set back to the last shutdown": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(day(6, "12:00"))
			m.want(c, day(6, "12:00"), clock.System)
			m.set(day(5, "10:00").Add(3 * time.Second))
			m.want(c, day(6, "12:00"), clock.LastKnown)
			m.pass(time.Minute)
			m.set(day(6, "12:03"))
			m.want(c, day(6, "12:03"), clock.System)
		},
		"a time of another century, then NTP": func(m *machine) {
			m.keep(m.boot(day(5, "10:00")))
			c := m.boot(day(9000, "10:00"))
			m.want(c, day(9000, "10:00"), clock.System)
			m.set(day(5, "10:02"))
			m.want(c, day(5, "10:02"), clock.System)
			m.keep(c)
			m.want(m.boot(year1970), day(5, "10:02"), clock.LastKnown)
		},
		"impossible": func(m *machine) {
			c := m.boot(day(50*365, "10:00"))
			m.want(c, built, clock.LastKnown)
			c.FromServer(year1970, 0)
			c.FromServer(day(50*365, "10:00"), 0)
			c.FromServer(day(1, "10:00"), time.Hour)
			c.FromServer(day(1, "10:00"), -time.Hour)
			m.want(c, built, clock.LastKnown)
		},
	} {
		t.Run(name, func(t *testing.T) { f(newMachine(t)) })
	}
}

// TestDefaults: without a date of the build, and with the machine's own clocks, it is the system's time.
func TestDefaults(t *testing.T) {
	c := clock.New(clock.Config{Log: slog.New(slog.DiscardHandler), Dir: t.TempDir()})
	if s := c.State(); s.Source != clock.System || time.Since(s.Now).Abs() > time.Minute {
		t.Errorf("%+v", s)
	}
}

// TestNeverBack: small corrections hold the time, they never turn it back.
func TestNeverBack(t *testing.T) {
	m := newMachine(t)
	c := m.boot(day(5, "10:00"))
	before := c.Now()
	m.pass(time.Minute)
	m.set(day(5, "10:00").Add(30 * time.Second))
	at := c.Now()
	m.set(day(5, "10:00"))
	for range 130 {
		now := c.Now()
		if now.Before(at) || now.Before(before) {
			t.Fatalf("%s after %s", now, at)
		}
		at = now
		m.pass(time.Second)
	}
	m.want(c, day(5, "10:00").Add(130*time.Second), clock.System)
	// By more than a minute it does: 2040 until then would be worse.
	m.set(day(5, "09:00"))
	m.want(c, day(5, "09:00"), clock.System)
}

// TestServerJitter: whole seconds and slow networks do not make the time tremble.
func TestServerJitter(t *testing.T) {
	m := newMachine(t)
	c := m.boot(time.Unix(0, 0))
	c.FromServer(day(5, "10:00"), time.Second)
	want := c.Now()
	for range 20 {
		m.pass(time.Second)
		want = want.Add(time.Second)
		c.FromServer(want.Truncate(time.Second), 800*time.Millisecond)
		if now := c.Now(); !now.Equal(want) {
			t.Fatalf("%s, want %s", now, want)
		}
	}
	c.FromServer(want.Add(time.Minute), 0)
	m.want(c, want.Add(time.Minute), clock.Server)
}

// TestRun: the time is kept each minute, and a jump is told.
func TestRun(t *testing.T) {
	m := newMachine(t)
	synctest.Test(t, func(t *testing.T) {
		c := m.boot(time.Unix(0, 0))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		m.pass(time.Minute)
		if n := m.jumps.Load(); n != 0 {
			t.Errorf("%d jumps", n)
		}
		m.set(day(3, "10:00"))
		<-time.After(6 * time.Second)
		synctest.Wait()
		if n := m.jumps.Load(); n != 1 {
			t.Errorf("%d jumps", n)
		}
		m.pass(10 * time.Minute)
		<-time.After(4*time.Minute + time.Second)
		synctest.Wait()
		// As if the power were cut now.
		m2 := &machine{t: t, dir: m.dir}
		if now := m2.boot(time.Unix(0, 0)).Now(); now.Sub(day(3, "10:10")).Abs() > time.Second {
			t.Errorf("kept %s", now)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestNoDisk: a folder that cannot be made stops no clock.
func TestNoDisk(t *testing.T) {
	m := newMachine(t)
	if err := os.WriteFile(m.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := m.boot(day(5, "10:00"))
	m.keep(c)
	m.want(c, day(5, "10:00"), clock.System)
	if s := m.log.String(); s == "" {
		t.Error("nothing was said")
	}
}
