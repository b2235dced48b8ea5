package update

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"porthole/packages/internal/durable"
	"porthole/packages/internal/retry"
	"porthole/packages/internal/update"
	"porthole/packages/system/update/trial"
)

const (
	// lookEvery is how often a version on trial is looked at, saveEvery how often a record that the disk did not take is
	// offered to it again.
	lookEvery = time.Second
	saveEvery = 10 * time.Second
)

// trialFile in RunDir says when the trial of this start of the device began.
const trialFile = "update-trial.json"

// trialState is how a trial goes.
type trialState struct {
	began time.Time
	// healthy is since when all checks have been passed; zero while one is not.
	healthy time.Time
	checks  []update.Check
	told    string // the failing checks that were told last
	first   bool   // something was told
	// trouble is why a healthy version could not be kept.
	trouble string
}

func (t *trialState) describe(s *update.Status, cfg Config) {
	now := time.Now()
	s.Checks = append([]update.Check{}, t.checks...)
	s.HealthyNeeded = cfg.Healthy.Seconds()
	s.Left = max(0, cfg.Deadline-now.Sub(t.began)).Seconds()
	if !t.healthy.IsZero() {
		s.HealthyFor = now.Sub(t.healthy).Seconds()
	}
}

// beginTrial puts what runs on trial. The deadline does not begin anew when this process does.
func (e *Engine) beginTrial() {
	e.settle(func(r *record) { r.Phase = update.Trying })
	r := e.record()
	began := time.Now()
	type mark struct {
		ID     string
		Try    int
		Uptime time.Duration
	}
	if e.cfg.RunDir != "" {
		var m mark
		up := e.cfg.Uptime()
		if err := describe(e.statePath(trialFile), &m); err == nil && m.ID == r.ID && m.Try == r.Try && m.Uptime <= up {
			began = began.Add(m.Uptime - up)
		} else if b, err := json.Marshal(mark{r.ID, r.Try, up}); err == nil {
			if err := durable.WriteFile(e.statePath(trialFile), b, 0o600); err != nil {
				e.cfg.Log.Warn("updates: when the trial began is not noted", "err", err)
			}
		}
	}
	e.mu.Lock()
	e.trial = trialState{began: began}
	e.mu.Unlock()
	e.tell("version %s runs from %s and is watched", e.build.Version, e.boot.Slot)
	e.cfg.Log.Warn("updates: this version is on trial", "version", e.build.Version, "try", r.Try, "left", (e.cfg.Deadline - time.Since(began)).Round(time.Second))
}

// tell writes to the trial's journal.
func (e *Engine) tell(format string, args ...any) {
	if err := e.journal().add(format, args...); err != nil {
		e.cfg.Log.Warn("updates: the trial's journal does not take a line", "err", err)
	}
}

// Run does what takes time: it copies parts, watches a trial and restarts the device, until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	supported, trying := e.why == "", e.rec.Phase == update.Trying && !e.rec.Undo
	e.mu.Unlock()
	if !supported {
		<-ctx.Done()
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { e.copyParts(ctx); return nil })
	g.Go(func() error { e.restartWhenWanted(ctx); return nil })
	g.Go(func() error {
		every(ctx, saveEvery, func() bool { e.saveAgain(); return true })
		return nil
	})
	if trying {
		g.Go(func() error {
			every(ctx, lookEvery, func() bool { return !e.look(ctx) })
			return nil
		})
	}
	err := g.Wait()
	e.closeSession()
	return err
}

// every calls f at once and then in that interval, until it says false or ctx ends.
func every(ctx context.Context, interval time.Duration, f func() bool) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for f() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// restartWhenWanted restarts the device, and does not give up.
func (e *Engine) restartWhenWanted(ctx context.Context) {
	var w wish
	select {
	case <-ctx.Done():
		return
	case w = <-e.restart:
	}
	for pause := w.after; ; pause = restartAgain {
		if !retry.Pause(ctx, pause) {
			return
		}
		err := e.cfg.Restart(ctx, w.other)
		if ctx.Err() != nil {
			return // we are one of those that end now
		}
		e.cfg.Log.Error("updates: the device did not restart", "err", err)
	}
}

// environment are checks of what is around the device. They are not asked for if they were not passed before the update either, or
// if that is not known: nobody is to lose an update because the television is unplugged.
var environment = []string{trial.Gateway, trial.Screen, trial.Playback}

// waive marks the checks that are not asked for, and returns the failing ones among the others in a sentence.
func waive(checks []update.Check, before map[string]bool) (failing string) {
	var texts []string
	for i := range checks {
		c := &checks[i]
		switch {
		case c.OK:
		case slices.Contains(environment, c.Name) && !before[c.Name]:
			c.Waived = true
		default:
			texts = append(texts, c.Text)
		}
	}
	if len(checks) == 0 {
		return "Nothing could be checked."
	}
	return strings.Join(texts, " ")
}

// look looks once at all checks, and decides if it is time. It reports whether the trial is over.
func (e *Engine) look(ctx context.Context) bool {
	bounded, cancel := context.WithTimeout(ctx, lookWithin)
	checks := append([]update.Check{}, e.cfg.Checks.Look(bounded)...)
	cancel()
	if ctx.Err() != nil {
		return false
	}
	failing := waive(checks, e.record().Before)
	now := time.Now()
	e.mu.Lock()
	t := &e.trial
	t.checks = checks
	switch {
	case failing != "":
		t.healthy = time.Time{}
	case t.healthy.IsZero():
		t.healthy = now
	}
	news := failing != t.told || !t.first
	t.told, t.first = failing, true
	healthy := !t.healthy.IsZero() && now.Sub(t.healthy) >= e.cfg.Healthy
	over := now.Sub(t.began) >= e.cfg.Deadline
	trouble := t.trouble
	e.mu.Unlock()
	if news && failing != "" {
		e.tell("not healthy: %s", failing)
	} else if news {
		e.tell("healthy")
	}
	if healthy && e.keep() {
		return true
	}
	if !over {
		return false
	}
	if healthy && trouble != "" {
		failing = "It is healthy, but the card does not take that it is kept: " + trouble + "."
	}
	e.undo(failing)
	return true
}

// keep makes the version on trial the one that starts.
func (e *Engine) keep() bool {
	p, err := e.openBoot()
	if err == nil {
		defer p.Close()
		err = p.Keep(e.boot.Slot)
	}
	if err == nil {
		e.kept()
		return true
	}
	e.mu.Lock()
	news := e.trial.trouble != err.Error()
	e.trial.trouble = err.Error()
	e.mu.Unlock()
	if news {
		e.cfg.Log.Error("updates: a healthy version cannot be kept", "err", err)
		e.tell("healthy, but the loader does not take it: %v", err)
	}
	return false
}

// undo gives a version on trial up: why is on the disk before the device restarts into the former one.
func (e *Engine) undo(failing string) {
	reason := fmt.Sprintf("It was not healthy for %s within %s.", inWords(e.cfg.Healthy), inWords(e.cfg.Deadline))
	if failing != "" {
		reason += " " + failing
	} else {
		reason += " Now and then a check failed; the trial's journal says which."
	}
	e.tell("%s%s", strings.TrimPrefix(givenUpMark, "system: "), reason)
	e.cfg.Log.Error("updates: this version is given up, the device restarts into the former one", "why", reason)
	e.settle(func(r *record) { r.Undo, r.Reason = true, reason })
	if p, err := e.openBoot(); err == nil {
		defer p.Close()
		// It was started once and does not start again anyhow.
		if err := p.Off(e.boot.Slot); err != nil {
			e.cfg.Log.Warn("updates: the slot stays with the loader", "slot", e.boot.Slot, "err", err)
		}
	}
	e.wantRestart(false, 0)
}

// inWords writes a duration for people.
func inWords(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0 && d > time.Minute:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	case d == time.Minute:
		return "a minute"
	default:
		return fmt.Sprintf("%d seconds", d/time.Second)
	}
}
