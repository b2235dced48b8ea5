// Package health watches the processor: how hot it is, whether its supply suffices, how fast it runs, and what chooses
// that.
package health

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"porthole/hw/cpufreq"
	"porthole/hw/thermal"
)

const (
	// Interval is how often it is looked at: the kernel's own voltage monitor forgets after two seconds.
	Interval = 2 * time.Second
	// Lasting is how long a problem is told after it was last seen: a weak supply fails for moments, over and over.
	Lasting = 2 * time.Minute
	// lateDriver is how long after the start the driver that sets the processor's speed may come.
	lateDriver = 20 * time.Second
)

var (
	// ErrFixed means that the processor's speed cannot be changed here.
	ErrFixed = errors.New("the processor's speed cannot be changed on this machine")
	// ErrUnknown means that the kernel has no governor of that name.
	ErrUnknown = errors.New("the kernel has no governor of that name")
)

// Config says what to watch.
type Config struct {
	Log *slog.Logger
	// CPUs, Sensors and Firmware are the machine's.
	CPUs     cpufreq.FS
	Sensors  thermal.FS
	Firmware interface {
		Limits() (thermal.Limits, error)
	}
	// StateFile keeps what was seen since the machine was started; its folder is empty after that. Empty: it is not kept.
	StateFile string
	// GovernorFile keeps a governor that somebody chose. Empty: none is ever set, as on a developer's machine.
	GovernorFile string
	// Governor is the one to set where nobody chose any; empty leaves it alone.
	Governor string
}

// Report is the answer to GET /hardware.
type Report struct {
	// MilliCelsius is the processor's temperature, Hottest the highest since the start; nil where there is no sensor.
	MilliCelsius *thermal.MilliCelsius `json:"temperature_millicelsius,omitempty"`
	Hottest      *thermal.MilliCelsius `json:"hottest_millicelsius,omitempty"`
	// KHz is how fast the processor runs, MaxKHz how fast it may; 0 where it is not known.
	KHz    int64 `json:"khz,omitempty"`
	MaxKHz int64 `json:"max_khz,omitempty"`
	// Governor is in force, Chosen was chosen by somebody and is empty else; Governors may be chosen, none where the speed
	// cannot be changed.
	Governor  string   `json:"governor,omitempty"`
	Chosen    string   `json:"chosen,omitempty"`
	Governors []string `json:"governors,omitempty"`
	// Usual is the one that is set where nobody chose any.
	Usual string `json:"usual,omitempty"`
	// Now and SinceStart are what slows the processor down; nil where nothing tells.
	Now        *thermal.Limits `json:"now,omitempty"`
	SinceStart *thermal.Limits `json:"since_start,omitempty"`
}

// Watch watches.
type Watch struct {
	cfg Config

	setting sync.Mutex // held while a governor is set and kept
	looking sync.Mutex // held by look

	mu     sync.Mutex // guards what follows
	report Report
	// lowVoltage and slowed are when that was last seen.
	lowVoltage, slowed time.Time
}

// New returns a watch that has seen nothing yet but what the state file holds.
func New(cfg Config) *Watch {
	w := &Watch{cfg: cfg}
	if cfg.StateFile == "" {
		return w
	}
	b, err := os.ReadFile(cfg.StateFile)
	var kept Report
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		cfg.Log.Warn("cannot read what was seen of the processor", "err", err)
	case json.Unmarshal(b, &kept) != nil:
		cfg.Log.Warn("what was seen of the processor is damaged; it begins anew", "file", cfg.StateFile)
	default:
		w.report.Hottest, w.report.SinceStart = kept.Hottest, kept.SinceStart
	}
	return w
}

// Run sets the governor and watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	late := time.NewTimer(lateDriver)
	defer late.Stop()
	if w.setAtStart(false) {
		late.Stop()
	}
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		w.look(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-late.C:
			w.setAtStart(true)
		case <-tick.C:
		}
	}
}

// Report returns what was seen last.
func (w *Watch) Report() Report {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.report
}

// look reads everything once.
func (w *Watch) look(now time.Time) {
	w.looking.Lock()
	defer w.looking.Unlock()
	before := w.Report()
	r := Report{Hottest: before.Hottest, SinceStart: before.SinceStart}
	w.readSpeed(&r)
	if t, err := w.cfg.Sensors.Temperature(); err == nil {
		r.MilliCelsius = &t
		if r.Hottest == nil || t > *r.Hottest {
			r.Hottest = &t
		}
	}
	if l, ok := w.limits(); ok {
		ever := l
		if r.SinceStart != nil {
			ever = l.Or(*r.SinceStart)
		}
		r.Now, r.SinceStart = &l, &ever
	}
	w.mu.Lock()
	w.report = r
	if r.Now != nil && r.Now.UnderVoltage {
		w.lowVoltage = now
	}
	if r.Now != nil && (r.Now.Throttled || r.Now.Capped) && !r.Now.UnderVoltage {
		w.slowed = now
	}
	w.mu.Unlock()
	w.tell(before, r)
}

// limits asks firmware and kernel, whose alarm also has what was over before somebody looked.
func (w *Watch) limits() (thermal.Limits, bool) {
	l, err := w.cfg.Firmware.Limits()
	low, errLow := w.cfg.Sensors.UnderVoltage()
	l.UnderVoltage = l.UnderVoltage || low
	return l, err == nil || errLow == nil
}

// tell writes down what is new, and keeps it.
func (w *Watch) tell(before, r Report) {
	var was thermal.Limits
	if before.Now != nil {
		was = *before.Now
	}
	if r.Now != nil && *r.Now != was {
		w.cfg.Log.Info("the processor's limits changed", "under_voltage", r.Now.UnderVoltage, "throttled", r.Now.Throttled, "capped", r.Now.Capped, "hot", r.Now.Hot)
	}
	if w.cfg.StateFile == "" || same(before.SinceStart, r.SinceStart) && !hotter(before.Hottest, r.Hottest) {
		return
	}
	b, err := json.Marshal(Report{Hottest: r.Hottest, SinceStart: r.SinceStart})
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(w.cfg.StateFile), 0o711), renameio.WriteFile(w.cfg.StateFile, b, 0o600))
	}
	if err != nil {
		w.cfg.Log.Warn("cannot keep what was seen of the processor", "err", err)
	}
}

func same(a, b *thermal.Limits) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

// hotter reports whether b is higher by a degree: less is not worth keeping.
func hotter(a, b *thermal.MilliCelsius) bool { return b != nil && (a == nil || *b/1000 > *a/1000) }

// Problems says in sentences what somebody should do something about.
func (w *Watch) Problems(now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	recent := func(t time.Time) bool { return !t.IsZero() && now.Sub(t) < Lasting }
	if recent(w.lowVoltage) {
		list = append(list, "The power supply is too weak: the voltage falls below 4.63 V, and the processor is slowed down. Use the supply made for this board, and a short cable.")
	}
	if recent(w.slowed) {
		text := "The processor is slowed down because it is hot"
		if t := w.report.MilliCelsius; t != nil {
			text += " (" + t.String() + ")"
		}
		list = append(list, text+". Give it air, or a cooler.")
	}
	return list
}

// readSpeed reads how fast the processor runs and what chooses that.
func (w *Watch) readSpeed(r *Report) {
	list, err := w.cfg.CPUs.Policies()
	if err != nil {
		return // most virtual machines
	}
	for i, p := range list {
		// A processor with several kinds of cores is as fast as its fastest.
		if i == 0 || p.MaxFreqKHz > r.MaxKHz {
			r.KHz, r.MaxKHz, r.Governor = p.CurrentFreqKHz, p.MaxFreqKHz, p.Governor
		}
	}
	if w.cfg.GovernorFile == "" {
		return
	}
	r.Governors, r.Usual = common(list), w.cfg.Governor
	r.Chosen, _ = w.chosen()
}

// common are the governors that all policies have.
func common(list []cpufreq.Policy) (all []string) {
	count := map[string]int{}
	for _, p := range list {
		for _, g := range p.Governors {
			// Somebody has to give a speed to this one.
			if count[g]++; count[g] == len(list) && g != "userspace" {
				all = append(all, g)
			}
		}
	}
	return all
}

// chosen is the governor that somebody chose, or nothing.
func (w *Watch) chosen() (string, error) {
	b, err := os.ReadFile(w.cfg.GovernorFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the chosen governor: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// setAtStart sets the governor that was chosen, else the usual one. A machine that cannot change it is no error, nor is a
// governor that the kernel does not have (any more): the device works with another one. It is false when the driver may
// still come.
func (w *Watch) setAtStart(last bool) (done bool) {
	if w.cfg.GovernorFile == "" {
		return true
	}
	w.setting.Lock()
	defer w.setting.Unlock()
	chosen, err := w.chosen()
	if err != nil {
		w.cfg.Log.Warn("cannot read which governor was chosen", "err", err)
	}
	for _, g := range []string{chosen, w.cfg.Governor} {
		if g == "" {
			continue
		}
		err = w.cfg.CPUs.SetGovernor(g)
		switch {
		case errors.Is(err, cpufreq.ErrNoDevice):
			if last {
				w.cfg.Log.Info("the processor's speed is fixed")
			}
			return false
		case err != nil:
			w.cfg.Log.Warn("cannot set the processor's governor", "governor", g, "err", err)
			continue
		}
		w.tellPolicies()
		return true
	}
	return true
}

func (w *Watch) tellPolicies() {
	list, err := w.cfg.CPUs.Policies()
	if err != nil {
		w.cfg.Log.Warn("cannot read the processor's governor", "err", err)
	}
	for _, p := range list {
		w.cfg.Log.Info("processor", "policy", p.ID, "cpus", p.CPUs, "governor", p.Governor, "khz", p.CurrentFreqKHz, "max_khz", p.MaxFreqKHz)
	}
}

// SetGovernor sets a governor and keeps it; with an empty name, the usual one is set and nothing is kept. It returns
// ErrFixed or ErrUnknown, and then nothing has changed.
func (w *Watch) SetGovernor(name string) error {
	if w.cfg.GovernorFile == "" {
		return ErrFixed
	}
	w.setting.Lock()
	defer w.setting.Unlock()
	set := name
	if set == "" {
		set = w.cfg.Governor
	}
	if set != "" {
		err := w.cfg.CPUs.SetGovernor(set)
		switch {
		case errors.Is(err, cpufreq.ErrNoDevice):
			return ErrFixed
		case errors.Is(err, cpufreq.ErrUnknownGovernor):
			return ErrUnknown
		case err != nil:
			return err
		}
	}
	if err := w.keep(name); err != nil {
		return err
	}
	w.cfg.Log.Info("governor chosen", "governor", name)
	w.look(time.Now())
	return nil
}

func (w *Watch) keep(name string) error {
	if name == "" {
		if err := os.Remove(w.cfg.GovernorFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forget the chosen governor: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(w.cfg.GovernorFile), 0o700); err != nil {
		return fmt.Errorf("keep the chosen governor: %w", err)
	}
	if err := renameio.WriteFile(w.cfg.GovernorFile, []byte(name+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep the chosen governor: %w", err)
	}
	return nil
}
