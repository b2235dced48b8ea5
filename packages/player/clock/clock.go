// Package clock says what time it is on a device without a battery: the system's time where it can be right, else the
// server's, else the last one known, counted on.
package clock

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"porthole/packages/internal/uptime"
)

// Source is where the time comes from.
type Source string

// The sources, best first.
const (
	System    Source = "system"
	Server    Source = "server"
	LastKnown Source = "last known"
)

// State is what the clock can say, for player.sock.
type State struct {
	Now    time.Time `json:"now"`
	Source Source    `json:"source"`
}

const (
	// step is by how much a clock must differ from what was expected for having been set.
	step = 2 * time.Second
	// proof is how much later than the last known time a system's clock must be for it to have been set by somebody who
	// knows. gokrazy's ntp also sets what it wrote down when the device was switched off, which is later by seconds.
	proof = 5 * time.Minute
	// hold is how far the time may have been ahead to be held until it is reached again. Beyond that it goes back: a day that
	// waits for years would be worse.
	hold = time.Minute
	// insane is by how much a clock may be ahead of one that was right for its being believed nevertheless, no more.
	insane = 400 * 24 * time.Hour
	// lifetime is how long after the build a time is possible.
	lifetime = 30 * 365 * 24 * time.Hour
	// slow is a round trip after which a server's time says too little.
	slow = 30 * time.Second

	lookEvery = 5 * time.Second
	// saveEvery is less than proof: what is kept is never so old that the time at which the device was switched off would prove
	// anything. Each time is a write to the card.
	saveEvery = 4 * time.Minute
)

// Config says what the clock goes by.
type Config struct {
	Log *slog.Logger
	// Dir is the folder in which the last known time is kept, in one file (clock.json). It is made if need be.
	Dir string
	// System is the system's clock; nil means time.Now.
	System func() time.Time
	// Mono is how long the device has been running, whatever happens to its clock; nil means uptime.Now. It counts on while
	// processes come and go.
	Mono func() time.Duration
	// Built is when this software was built: no time before it is right. Where that is not known it is the year 2026.
	Built time.Time
	// Jumped, if set, is called by Run when the time is another one than was to be expected, by more than 2 s: whoever waits for
	// a time looks again.
	Jumped func()
}

// Clock is a clock. All methods may be called by any goroutine.
type Clock struct {
	cfg  Config
	wake chan struct{}

	mu sync.Mutex
	// floor is the last time that is known for sure to be over: that of the build, or of the last run. Guarded by mu.
	floor time.Time
	// system is the system's clock when it was looked at last; it is followed if it can be right; it is proven if somebody has
	// set it to what only somebody who knows can. Guarded by mu.
	system           reading
	followed, proven bool
	server           reading // zero until there is one, guarded by mu
	told             reading // what was said last, counted on where there is nothing better; guarded by mu
	said             bool    // that it was said to anybody, guarded by mu
	jumped           bool    // guarded by mu
	failed           bool    // the last save; Run's
}

// reading is a time at a moment of Mono.
type reading struct {
	at   time.Time
	mono time.Duration
}

func (r reading) now(mono time.Duration) time.Time { return r.at.Add(mono - r.mono) }

// New returns the clock. It needs no network, and no working disk.
func New(cfg Config) *Clock {
	if cfg.System == nil {
		cfg.System = time.Now
	}
	if cfg.Mono == nil {
		cfg.Mono = uptime.Now
	}
	if first := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); cfg.Built.Before(first) {
		cfg.Built = first
	}
	c := &Clock{cfg: cfg, wake: make(chan struct{}, 1)}
	sys, mono := cfg.System().Round(0), cfg.Mono()
	was, err := c.load()
	if err != nil {
		cfg.Log.Warn("the last known time cannot be read", "err", err)
	}
	c.floor = cfg.Built
	if c.possible(was.Now) {
		c.floor = was.Now
		if was.sameRun(sys, mono) {
			// Only this process was started again: what it knew still holds.
			c.floor = was.Now.Add(mono - was.Mono)
			c.proven = was.Proven
		}
	}
	c.system, c.told = reading{sys, mono}, reading{c.floor, mono}
	c.judge(sys, mono)
	return c
}

// possible reports whether a time can be right at all.
func (c *Clock) possible(t time.Time) bool {
	return !t.Before(c.cfg.Built) && t.Before(c.cfg.Built.Add(lifetime))
}

// judge decides what the system's clock is worth, after somebody has set it. It needs mu.
func (c *Clock) judge(sys time.Time, mono time.Duration) {
	better := c.proven || c.server != reading{}
	ahead := c.told.now(mono).Sub(sys)
	switch {
	case !c.possible(sys) || sys.Before(c.floor.Add(-step)):
		c.followed, c.proven = false, false
	case !sys.Before(c.floor.Add(proof)):
		c.followed, c.proven = true, true
	case better && ahead > hold && ahead < insane:
		// It was right before, and now it is what it was when the device was switched off.
		c.followed, c.proven = false, false
	default:
		c.followed = true
		c.proven = c.proven && ahead.Abs() <= hold
	}
}

// Now is the time. It does not go back while the clock is right within a minute.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, _ := c.now()
	return now
}

// State says what time it is and who says so.
func (c *Clock) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, source := c.now()
	return State{Now: now, Source: source}
}

// now needs mu.
func (c *Clock) now() (time.Time, Source) {
	sys, mono := c.cfg.System().Round(0), c.cfg.Mono()
	if sys.Sub(c.system.now(mono)).Abs() > step {
		c.judge(sys, mono)
	}
	c.system = reading{sys, mono}
	now, source := c.best(sys, mono)
	expected := c.told.now(mono)
	back := c.told.at.Sub(now)
	if c.said && back > 0 && back <= hold {
		now = c.told.at
	} else if c.said && now.Sub(expected).Abs() > step {
		c.jumped = true
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	c.told, c.said = reading{now, mono}, true
	return now, source
}

// best is the time of the best source. It needs mu.
func (c *Clock) best(sys time.Time, mono time.Duration) (time.Time, Source) {
	served := c.server != reading{}
	// A clock that nobody has set is behind by as long as the device was off, never ahead.
	if c.followed && (c.proven || !served || c.server.now(mono).Sub(sys) <= proof) {
		return sys, System
	}
	if served {
		return c.server.now(mono), Server
	}
	return c.told.now(mono), LastKnown
}

// FromServer takes the time that a server has sent, as it came, with how long it took from the question to the answer. Only
// from a server whose certificate was verified, and never this device's own.
func (c *Clock) FromServer(t time.Time, roundTrip time.Duration) {
	if !c.possible(t) || roundTrip < 0 || roundTrip > slow {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.cfg.Mono()
	t = t.Round(0).Add(roundTrip / 2)
	// A Date header has whole seconds: what is not clearly another time is the same.
	if served := c.server != (reading{}); !served || c.server.now(mono).Sub(t).Abs() > step+roundTrip/2 {
		c.server = reading{t, mono}
	}
	c.now()
}

// Run keeps the last known time on the disk, and looks for jumps, until ctx ends.
func (c *Clock) Run(ctx context.Context) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	c.save()
	for {
		select {
		case <-ctx.Done():
			c.save()
			return nil
		case <-save.C:
			c.save()
			continue
		case <-look.C:
		case <-c.wake:
		}
		if c.hasJumped() {
			c.save()
			if c.cfg.Jumped != nil {
				c.cfg.Jumped()
			}
		}
	}
}

// hasJumped reports whether the time jumped since it was asked last.
func (c *Clock) hasJumped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, source := c.now()
	if !c.jumped {
		return false
	}
	c.jumped = false
	c.cfg.Log.Info("the time has jumped", "now", now.UTC(), "source", string(source))
	return true
}
