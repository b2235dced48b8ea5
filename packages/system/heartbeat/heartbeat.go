// Package heartbeat decides whether the appliance lives. As long as it does, a file is rewritten every few seconds; init
// feeds the hardware watchdog only then (gokrazy-instance/init/watchdog), so a device whose processes have stopped
// working restarts. A restart that does not help is not repeated for ever: after a few the device stays up and says so.
package heartbeat

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"porthole/packages/system/supervisor"
)

const (
	// Interval is how often everything is looked at; init waits for at least 45 s.
	Interval = 5 * time.Second
	// Patience is how long something may be down.
	Patience = time.Minute
	// Settled is how long a process must have run to count as up: one that crashes at once, over and over, is down.
	Settled = 10 * time.Second
	// answerWithin bounds each question.
	answerWithin = 3 * time.Second
	// MaxRestarts is how many restarts of the device in a row are tried.
	MaxRestarts = 3
	// Calm is how long all must be well after a restart for it to have helped.
	Calm = 10 * time.Minute
)

// supervisorName is what a reason calls the supervisor.
const supervisorName = "the supervisor"

// Config says what to look at and where to write.
type Config struct {
	Log *slog.Logger
	// Dir gets the files "heartbeat" and "withheld"; it is empty after a restart of the device.
	Dir string
	// CountFile keeps the number of restarts in a row over a restart of the device.
	CountFile string
	// Processes asks the supervisor; Watched says which of them must run.
	Processes func(context.Context) ([]supervisor.Process, error)
	Watched   func(name string) bool
	// Health asks a process whether it does its work; by name. It is asked while the supervisor says that it runs.
	Health map[string]func(context.Context) error
	// OnTrial says whether this version is on trial: then the device always restarts, into the version before. Nil: never.
	OnTrial func() bool
}

// Heart beats.
type Heart struct {
	cfg   Config
	beats int
	// parts are the things looked at, by what a reason calls them.
	parts map[string]*part
	// well is since when nothing was wrong; zero while something is.
	well time.Time
	last string // the reasons told last

	mu      sync.Mutex
	problem string // guarded by mu
}

// part is one thing looked at.
type part struct {
	pid int
	// since is when this pid was first seen, well when all was last well with it.
	since, well time.Time
	why         string
}

// New returns a heart that has not beaten yet.
func New(cfg Config) *Heart { return &Heart{cfg: cfg, parts: map[string]*part{}} }

// Problem is a sentence for the owner if something has been down for too long; empty otherwise.
func (h *Heart) Problem() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.problem
}

// Run looks and beats until ctx ends.
func (h *Heart) Run(ctx context.Context) error {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		h.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		h.decide(h.reasons(time.Now()))
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look asks everybody, at once.
func (h *Heart) look(ctx context.Context) {
	ask, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	list, err := h.cfg.Processes(ask)
	now := time.Now()
	h.note(supervisorName, now, err)
	if err != nil {
		// Nothing is known of the others: their time does not run.
		for name, p := range h.parts {
			if name != supervisorName {
				p.well = now
			}
		}
		return
	}
	here := map[string]bool{supervisorName: true}
	for _, p := range list {
		// One that is stopped was asked to be.
		if !h.cfg.Watched(p.Name) || p.State == "stopped" {
			continue
		}
		here[p.Name] = true
		h.noteProcess(p, now)
	}
	var mu sync.Mutex
	health := map[string]error{}
	var wg sync.WaitGroup
	for name, healthy := range h.cfg.Health {
		if !here[name] {
			continue
		}
		here[name+"’s health"] = true
		wg.Go(func() {
			err := healthy(ask)
			mu.Lock()
			defer mu.Unlock()
			health[name] = err
		})
	}
	wg.Wait()
	for name, err := range health {
		h.note(name+"’s health", now, err)
	}
	for name := range h.parts {
		if !here[name] {
			delete(h.parts, name)
		}
	}
}

func (h *Heart) part(name string, now time.Time) *part {
	p := h.parts[name]
	if p == nil {
		p = &part{well: now}
		h.parts[name] = p
	}
	return p
}

func (h *Heart) note(name string, now time.Time, err error) {
	p := h.part(name, now)
	if err == nil {
		p.well, p.why = now, ""
		return
	}
	p.why = "does not answer: " + err.Error()
}

func (h *Heart) noteProcess(is supervisor.Process, now time.Time) {
	p := h.part(is.Name, now)
	if is.State != "running" {
		p.pid, p.why = 0, "does not run"
		if is.Exit != "" {
			p.why += ", it ended with " + is.Exit
		}
		return
	}
	if p.pid != is.PID {
		p.pid, p.since = is.PID, now
		if p.why == "" {
			p.why = "does not stay up"
		}
	}
	if now.Sub(p.since) >= Settled {
		p.well, p.why = now, ""
	}
}

// reasons says what has been down for too long.
func (h *Heart) reasons(now time.Time) []string {
	var list []string
	for name, p := range h.parts {
		if down := now.Sub(p.well); down > Patience {
			list = append(list, fmt.Sprintf("%s %s", name, p.why))
		}
	}
	slices.Sort(list)
	return list
}

// decide beats, or withholds the heartbeat.
func (h *Heart) decide(reasons []string) {
	why := strings.Join(reasons, "; ")
	changed := why != h.last
	h.last = why
	if why == "" {
		if h.well.IsZero() {
			h.well = time.Now()
		}
		if changed {
			h.cfg.Log.Info("all is well again")
		}
		h.setProblem("")
		if time.Since(h.well) >= Calm {
			h.forget()
		}
		h.beat()
		return
	}
	h.well = time.Time{}
	if h.cfg.OnTrial != nil && h.cfg.OnTrial() {
		h.giveUp(why, changed)
		return
	}
	restarts, err := h.count(why)
	switch {
	case err != nil:
		// Without a count it would restart for ever.
		h.setProblem("Something has stopped working: " + why + ". Restart the device.")
	case restarts > MaxRestarts:
		h.setProblem(fmt.Sprintf("Something has stopped working: %s. Restarting the device did not help %d times, so it stays on.", why, MaxRestarts))
	default:
		h.setProblem("Something has stopped working: " + why + ". The device restarts soon if that lasts.")
		if changed {
			h.cfg.Log.Error("heartbeat withheld: the watchdog will restart the device", "because", why, "restart", restarts, "of", MaxRestarts)
		}
		return
	}
	if changed {
		h.cfg.Log.Error("something has stopped working; not restarting the device for it", "because", why, "restarts", restarts, "err", err)
	}
	h.beat()
}

// giveUp withholds the heartbeat of a version on trial. Its restarts do not count: the next one is the former version's.
func (h *Heart) giveUp(why string, changed bool) {
	h.setProblem("Something has stopped working: " + why + ". This version is on trial, so the device restarts into the one before it soon if that lasts.")
	if changed {
		h.cfg.Log.Error("heartbeat withheld: this version is on trial, and the watchdog will restart the device into the one before", "because", why)
	}
	// That it cannot be noted must not keep a broken version up.
	if err := h.noteWithheld(why); err != nil && changed {
		h.cfg.Log.Error("why the heartbeat is withheld cannot be noted", "err", err)
	}
}

func (h *Heart) setProblem(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.problem = text
}

// beat rewrites the heartbeat; its content is another one each time, also after a restart of this process.
func (h *Heart) beat() {
	h.beats++
	text := fmt.Sprintf("%d.%d\n", os.Getpid(), h.beats)
	if err := renameio.WriteFile(filepath.Join(h.cfg.Dir, "heartbeat"), []byte(text), 0o644); err != nil {
		h.cfg.Log.Error("cannot beat", "err", err)
	}
}

func (h *Heart) withheld() string { return filepath.Join(h.cfg.Dir, "withheld") }

// count notes why the heartbeat is withheld, for whoever looks when the device restarts, and returns which restart in a
// row this will be. It counts once until the device restarts or all is well for long.
func (h *Heart) count(why string) (int, error) {
	n := 0
	b, err := os.ReadFile(h.cfg.CountFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("read how often the device restarted: %w", err)
	}
	if err == nil {
		if n, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil || n < 0 {
			n = 0 // damaged: as good as none
		}
	}
	if _, err := os.Stat(h.withheld()); errors.Is(err, fs.ErrNotExist) {
		n++
		if err := renameio.WriteFile(h.cfg.CountFile, []byte(strconv.Itoa(n)+"\n"), 0o600); err != nil {
			return 0, fmt.Errorf("note that the device will restart: %w", err)
		}
	}
	return n, h.noteWithheld(why)
}

// noteWithheld leaves word of why there is no heartbeat, unless it stands there already.
func (h *Heart) noteWithheld(why string) error {
	if b, err := os.ReadFile(h.withheld()); err == nil && string(b) == why+"\n" {
		return nil
	}
	if err := renameio.WriteFile(h.withheld(), []byte(why+"\n"), 0o644); err != nil {
		return fmt.Errorf("note why the device will restart: %w", err)
	}
	return nil
}

// forget starts counting anew.
func (h *Heart) forget() {
	for _, file := range []string{h.cfg.CountFile, h.withheld()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.cfg.Log.Warn("cannot forget former restarts", "err", err)
		}
	}
}
