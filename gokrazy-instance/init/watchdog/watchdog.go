// Package watchdog feeds the hardware watchdog only while the appliance lives: a Porthole whose processes have stopped
// working restarts by itself, even if the kernel and init still run.
//
// The sign of life is a small file that system rewrites with other content every few seconds. Its content is compared,
// not its time, because the clock of a device without battery jumps when the network tells the time.
package watchdog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

const (
	// Timeout is asked of the hardware; 15 s is the most a Raspberry Pi's can do (bcm2835_wdt).
	Timeout = 15 * time.Second
	// Interval is how often the feeder looks and feeds.
	Interval = 2 * time.Second
	// PrepareGrace bounds what comes before the processes: checking a large card takes minutes, not hours.
	PrepareGrace = 30 * time.Minute
	// BootGrace is how long the processes have from their start to the first heartbeat.
	BootGrace = 2 * time.Minute
	// Stale is how old the last heartbeat may be. system beats every 10 s at most.
	Stale = 45 * time.Second
	// TrialGrace is how long a version on trial has, from the processes' start, until it is decided: system does so much
	// sooner (packages/system/update), if it can.
	TrialGrace = 30 * time.Minute
	// Bite is after how long without food init restarts the machine itself: the hardware, if there is any, did not.
	Bite = 2 * Timeout
)

// ErrNoDevice means that the machine has no watchdog, or that its driver is not there.
var ErrNoDevice = errors.New("no watchdog")

// Device is an open hardware watchdog. It restarts the machine unless it is fed.
type Device struct{ f *os.File }

// Open opens the watchdog, which starts it. The device can be opened once: gokrazy, which comes later and would feed
// it whatever happens, then leaves it alone.
func Open(path string) (*Device, error) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("open %s: %w", path, ErrNoDevice)
	}
	if err != nil {
		return nil, fmt.Errorf("open watchdog: %w", err)
	}
	// A driver that cannot change its time keeps its own, which is fine as long as it is longer than Interval.
	_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.WDIOC_SETTIMEOUT, int(Timeout.Seconds()))
	return &Device{f: f}, nil
}

// File is the open device, for questions to its driver.
func (d *Device) File() *os.File { return d.f }

// Feed puts off the restart.
func (d *Device) Feed() error {
	if err := unix.IoctlWatchdogKeepalive(int(d.f.Fd())); err != nil {
		return fmt.Errorf("feed watchdog: %w", err)
	}
	return nil
}

// Feeder decides whether the watchdog is fed.
type Feeder struct {
	// Feed feeds the hardware.
	Feed func() error
	// Restart restarts the machine when the hardware does not.
	Restart func() error
	// Heartbeat is the file that system rewrites; Withheld is where it says why it does not, if it can.
	Heartbeat, Withheld string
	// Say gets one line whenever something changes; it must reach a log that survives the restart.
	Say func(string)

	mu sync.Mutex
	// running is when the processes were started; zero before.
	running time.Time
	// trial is the journal of a version on trial; nil before it is known where it lies.
	trial Journal
}

// Journal tells how far a version on trial has come (trialjournal.Journal).
type Journal interface {
	OnTrial() bool
	Add(text string) error
}

// Trial has the feeder write in the journal why it does not feed, and not feed a version whose trial does not end.
func (f *Feeder) Trial(j Journal) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trial = j
}

// note writes a line in the journal, if there is one. That it cannot must not keep the feeder from anything.
func (f *Feeder) note(text string) {
	f.mu.Lock()
	j := f.trial
	f.mu.Unlock()
	if j != nil {
		_ = j.Add(text)
	}
}

// undecided reports whether a trial should have been over.
func (f *Feeder) undecided(now time.Time) bool {
	f.mu.Lock()
	j, running := f.trial, f.running
	f.mu.Unlock()
	return j != nil && !running.IsZero() && now.Sub(running) > TrialGrace && j.OnTrial()
}

// Running says that the processes have been started: from now on they have BootGrace for their first heartbeat.
func (f *Feeder) Running() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.running = time.Now()
}

func (f *Feeder) started() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.running
}

// Run feeds until ctx ends.
func (f *Feeder) Run(ctx context.Context) {
	begin := time.Now()
	var last string
	var lastChange time.Time
	var hungry time.Time // since when it is not fed; zero if it is
	failing := false
	t := time.NewTicker(Interval)
	defer t.Stop()
	for {
		if beat, err := readHeartbeat(f.Heartbeat); err == nil && beat != last {
			last, lastChange = beat, time.Now()
		}
		now := time.Now()
		why := starve(now, begin, f.started(), lastChange)
		if why == "" && f.undecided(now) {
			why = fmt.Sprintf("the version on trial was neither kept nor given up within %s", TrialGrace)
		}
		switch {
		case why != "" && hungry.IsZero():
			hungry = now
			why += f.reason()
			f.Say("watchdog: not fed any more, the device will restart: " + why)
			f.note("watchdog not fed: " + why)
		case why == "" && !hungry.IsZero():
			hungry = time.Time{}
			f.Say("watchdog: fed again")
			f.note("watchdog fed again")
		}
		if hungry.IsZero() {
			err := f.Feed()
			if err != nil && !failing {
				f.Say("watchdog: " + err.Error())
			}
			failing = err != nil
		} else if now.Sub(hungry) > Bite {
			if err := f.Restart(); err != nil {
				f.Say("watchdog: the device did not restart: " + err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// reason is what system says, on one line; empty if it says nothing.
func (f *Feeder) reason() string {
	text, err := readOwn(f.Withheld, maxReason)
	if err != nil {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return "; system says: " + text
}

// starve says why the watchdog must not be fed; empty if it must.
func starve(now, begin, running, beat time.Time) string {
	switch {
	case running.IsZero() && now.Sub(begin) > PrepareGrace:
		return fmt.Sprintf("preparing the storage has taken more than %s", PrepareGrace)
	case running.IsZero():
		return ""
	case beat.Before(running) && now.Sub(running) > BootGrace:
		return fmt.Sprintf("no heartbeat within %s of the start", BootGrace)
	case !beat.Before(running) && now.Sub(beat) > Stale:
		return fmt.Sprintf("no heartbeat for %s", Stale)
	}
	return ""
}

// maxHeartbeat and maxReason bound what is read of system's files; a line of the kernel's log has about 1000 bytes.
const (
	maxHeartbeat = 256
	maxReason    = 700
)

// readHeartbeat returns the heartbeat's content.
func readHeartbeat(path string) (string, error) { return readOwn(path, maxHeartbeat) }

// readOwn returns the start of a file. Only root's counts: any other process could write one.
func readOwn(path string, limit int) (string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", fmt.Errorf("read sign of life: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return "", fmt.Errorf("look at sign of life: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("%s is not a file of user %d", path, os.Geteuid())
	}
	buf := make([]byte, limit)
	n, err := f.Read(buf)
	if err != nil {
		return "", fmt.Errorf("read sign of life: %w", err)
	}
	return string(buf[:n]), nil
}
