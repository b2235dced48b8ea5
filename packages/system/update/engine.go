// Package update writes updates to the slot that does not run, has the device try them, and keeps those that work. A power cut
// at any moment leaves a device that starts (docs/architecture.md, "Updates").
//
// What was decided is on the disk (record.go) before it is done. Parts are written by one goroutine at a time, to the other
// slot only; it is armed after all of them were read back from the medium.
package update

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"porthole/packages/internal/bootpart"
	"porthole/packages/internal/update"
	"porthole/packages/internal/uptime"
)

const (
	// MaxTries is how often a version is started that ended by a loss of power.
	MaxTries = 3
	// DefaultHealthy is how long a version on trial must pass all checks without a break.
	DefaultHealthy = time.Minute
	// DefaultDeadline is how long it has for that.
	DefaultDeadline = 10 * time.Minute
)

// Medium is a partition's block device.
type Medium interface {
	bootpart.Medium
	io.Closer
	Size() int64
}

// Looker looks at all that a version on trial must be able to do, once, in a few seconds.
type Looker interface {
	Look(ctx context.Context) []update.Check
}

// Config says what the engine works on.
type Config struct {
	Log *slog.Logger
	// Dir holds the record, the history and the trial's journal. RunDir is empty after each restart of the device, and may be
	// empty itself where there is no device.
	Dir, RunDir string
	// BuildFile and BootStatusFile are what the running root and init say; KeysDir has the public keys.
	BuildFile, BootStatusFile, KeysDir string
	// Medium opens a partition's device.
	Medium func(device string) (Medium, error)
	// Restart ends all processes in order and restarts the device; tryOther asks a Raspberry Pi for its tryboot.txt.
	Restart func(ctx context.Context, tryOther bool) error
	Checks  Looker
	// Healthy and Deadline are those of a trial: zero means the usual ones.
	Healthy, Deadline time.Duration
	// Uptime is how long the device has run, at any clock; nil means uptime.Now.
	Uptime func() time.Duration

	// step, if not nil, is told before a file of Dir changes: a test cuts the power there.
	step func(what string)
}

// about tells that something is about to change.
func (c *Config) about(what string) {
	if c.step != nil {
		c.step(what)
	}
}

// Engine is the one that writes updates. Run must run for it to do anything.
type Engine struct {
	cfg   Config
	build build
	boot  bootStatus
	// verify checks a manifest with the keys in the image; nil if there are none, keysErr says why.
	verify  func(manifest, signature []byte) (update.Manifest, error)
	keysErr error

	// command holds what changes the update as a whole: one at a time.
	command sync.Mutex
	// writing holds one token: whoever writes a part, or copies it, has it.
	writing chan struct{}
	copies  chan struct{} // at most one: there may be parts to copy
	restart chan wish     // at most one: the device is to be restarted

	saving sync.Mutex // held over a change of the record and its way to the disk; before mu

	mu      sync.Mutex // guards what follows
	why     string     // why there are no updates; empty: there are
	rec     record
	unsaved bool // the disk has an older record
	history []update.Event
	steps   map[string]update.Part // how far each part is, by name
	session *session               // nil unless parts may be written
	resumed bool                   // parts were written before this process began
	trouble string                 // what went wrong last with a part
	trial   trialState
}

// New reads what is on the disk, and decides what has become of a trial. It needs no Run for that: the record and the loader
// are as they must be when it returns.
func New(cfg Config) *Engine {
	if cfg.Healthy <= 0 {
		cfg.Healthy = DefaultHealthy
	}
	if cfg.Deadline <= 0 {
		cfg.Deadline = DefaultDeadline
	}
	if cfg.Uptime == nil {
		cfg.Uptime = uptime.Now
	}
	e := &Engine{
		cfg: cfg, writing: make(chan struct{}, 1), copies: make(chan struct{}, 1), restart: make(chan wish, 1),
		rec: record{}.fresh(), steps: map[string]update.Part{},
	}
	e.why = e.describe()
	if e.why == "" {
		e.why = e.resolve()
	}
	return e
}

// describe learns what runs here. It returns why there can be no updates.
func (e *Engine) describe() string {
	const machine = "This Porthole does not run from a card with Porthole's image: it is updated like any program on this machine."
	switch err := describe(e.cfg.BuildFile, &e.build); {
	case errors.Is(err, fs.ErrNotExist):
		return machine
	case err != nil:
		e.cfg.Log.Error("updates: the image does not say what it is", "err", err)
		return "The running system does not say which version it is, so it cannot be updated. Write Porthole's image to the card again."
	}
	switch err := describe(e.cfg.BootStatusFile, &e.boot); {
	case errors.Is(err, fs.ErrNotExist):
		return machine
	case err != nil:
		e.cfg.Log.Error("updates: it is not known what was started", "err", err)
		return "It is not known from which part of the card this device was started, so it cannot be updated. Restart it."
	}
	if why := e.boot.complete(); why != "" {
		return why
	}
	keys, err := update.ReadKeys(e.cfg.KeysDir)
	if err != nil {
		e.keysErr = err
		e.cfg.Log.Error("updates: there is no key to check them with", "err", err)
	} else {
		e.verify = func(manifest, signature []byte) (update.Manifest, error) {
			return update.Verify(manifest, signature, keys)
		}
	}
	if err := os.MkdirAll(e.cfg.Dir, 0o700); err != nil {
		e.cfg.Log.Error("updates: no folder for the record", "err", err)
	}
	return ""
}

// bootPartition is the boot partition with its loader, until closed.
type bootPartition struct {
	*bootpart.Partition
	bootpart.Loader
	io.Closer
}

func (e *Engine) openBoot() (*bootPartition, error) {
	m, err := e.cfg.Medium(e.boot.BootDevice)
	if err != nil {
		return nil, err
	}
	p, err := bootpart.Open(m)
	if err != nil {
		m.Close()
		return nil, err
	}
	l, err := p.Loader(e.build.Board)
	if err != nil {
		m.Close()
		return nil, err
	}
	return &bootPartition{p, l, m}, nil
}

// save changes the record, on the disk first. If that fails nothing has changed.
func (e *Engine) save(change func(*record) error) error {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	r := e.rec.clone()
	e.mu.Unlock()
	if err := change(&r); err != nil {
		return err
	}
	e.cfg.about("record " + string(r.Phase))
	if err := writeRecord(e.cfg.Dir, r); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rec, e.unsaved = r, false
	return nil
}

// settle changes the record also if the disk does not take it: what it says has happened already. The disk gets it later.
func (e *Engine) settle(change func(*record)) {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	r := e.rec.clone()
	change(&r)
	e.rec, e.unsaved = r, true
	e.mu.Unlock()
	e.write(r)
}

// write puts the record on the disk if it can. The caller holds saving.
func (e *Engine) write(r record) {
	e.cfg.about("record " + string(r.Phase))
	if err := writeRecord(e.cfg.Dir, r); err != nil {
		e.cfg.Log.Error("updates: the record cannot be written", "err", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unsaved = false
}

// saveAgain writes a record that could not be written.
func (e *Engine) saveAgain() {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	r, unsaved := e.rec.clone(), e.unsaved
	e.mu.Unlock()
	if unsaved {
		e.write(r)
	}
}

// note adds to the history, once for each update.
func (e *Engine) note(ev update.Event) {
	e.saving.Lock()
	defer e.saving.Unlock()
	e.mu.Lock()
	if len(e.history) > 0 && e.history[0].ID == ev.ID && ev.ID != "" {
		e.mu.Unlock()
		return
	}
	list := append([]update.Event{ev}, e.history[:min(len(e.history), update.MaxHistory-1)]...)
	e.history = list
	e.mu.Unlock()
	e.cfg.about("history")
	if err := writeHistory(e.cfg.Dir, list); err != nil {
		e.cfg.Log.Error("updates: the history cannot be written", "err", err)
	}
}

// record returns the present one.
func (e *Engine) record() record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rec.clone()
}

// Status says how far the update is.
func (e *Engine) Status() update.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := update.Status{
		Supported: e.why == "", Why: e.why, Board: e.build.Board, Version: e.build.Version, Built: e.build.Time, Slot: e.boot.Slot,
		Phase: update.Idle, History: append([]update.Event{}, e.history...),
	}
	if !s.Supported {
		return s
	}
	r := e.rec
	s.Other, s.Phase = r.Kept[e.boot.other()], r.Phase
	if r.Phase == update.Idle {
		return s
	}
	s.ID, s.Target, s.Who, s.Began, s.Try, s.MaxTries, s.Reason = r.ID, r.Target, r.Who, r.Began, r.Try, MaxTries, r.Reason
	switch r.Phase {
	case update.Receiving, update.Ready:
		for _, p := range r.Parts {
			s.Parts = append(s.Parts, e.steps[p.Name])
		}
		s.Reason = e.trouble
	case update.Trying:
		e.trial.describe(&s, e.cfg)
	}
	return s
}

// Problem is a sentence for the owner about an update that did not work, until the next one or until it was seen.
func (e *Engine) Problem() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.rec
	switch {
	case r.Seen || e.why != "":
		return ""
	case r.Phase == update.RolledBack:
		return fmt.Sprintf("The update to %s was tried and taken back; %s runs again. %s", r.Target, e.build.Version, r.Reason)
	case r.Phase == update.Failed:
		return fmt.Sprintf("The update to %s could not be installed; %s goes on running. %s", r.Target, e.build.Version, r.Reason)
	}
	return ""
}

// Seen ends Problem.
func (e *Engine) Seen(who string) error {
	if e.Problem() == "" {
		return nil
	}
	e.cfg.Log.Info("updates: the end of the last one was seen", "who", who)
	return e.save(func(r *record) error { r.Seen = true; return nil })
}

// statePath is for what one start of the device must not forget over a restart of the process.
func (e *Engine) statePath(name string) string { return filepath.Join(e.cfg.RunDir, name) }
