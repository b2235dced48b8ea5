// Package spool keeps reports for the server until it has got them: over restarts, power cuts and days without network.
package spool

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// The bounds, of which whatever comes first counts.
const (
	// MaxReports and MaxBytes are how much waits at most.
	MaxReports = 10_000
	MaxBytes   = 4 << 20
	// MaxReport is how many bytes of JSON one report may have.
	MaxReport = 32 << 10
)

// gather is the longest time that a report is only in memory: those of that time share a write.
const gather = time.Second

// ErrTooLarge is of a report that is longer than MaxReport.
var ErrTooLarge = errors.New("the report is too large")

// Report is what waits for the server.
type Report struct {
	// ID is unlike any other's, ever: a server that gets a report twice knows it by that.
	ID string `json:"id"`
	// Status says what it is about: when there is no more space, the oldest "playing" are given up first, "error" last.
	Status string `json:"status"`
	// Body is JSON.
	Body json.RawMessage `json:"body"`
}

func (r Report) size() int { return len(r.ID) + len(r.Status) + len(r.Body) + 64 }

// Config says where the spool lies.
type Config struct {
	Log *slog.Logger
	// Dir is the spool's own folder. It is made if need be.
	Dir string
}

// State is what the spool can say.
type State struct {
	// Waiting counts reports, Bytes what they take. Lost counts those that were given up for lack of space, ever.
	Waiting, Bytes, Lost int
	// Problem says in a sentence why reports are not kept on the disk, or is empty.
	Problem string
}

// Spool is a queue of reports on the disk. All methods may be called by any goroutine.
type Spool struct {
	log  *slog.Logger
	file *journal // Run's alone, after New
	wake chan struct{}

	mu      sync.Mutex
	reports []Report // in the order in which they came; guarded by mu
	bytes   int      // guarded by mu
	lost    int      // guarded by mu
	pending []line   // what is to be written, guarded by mu
	problem string   // guarded by mu
}

// New returns the spool with what is on the disk. A damaged or missing one is no error: State says what is wrong.
func New(cfg Config) *Spool {
	s := &Spool{log: cfg.Log, wake: make(chan struct{}, 1)}
	s.file = &journal{dir: cfg.Dir}
	found, err := s.file.read()
	if err != nil {
		s.log.Error("cannot read the reports that wait for the server", "err", err)
	}
	s.reports, s.lost = found.reports, found.lost
	for _, r := range s.reports {
		s.bytes += r.size()
	}
	s.bound()
	return s
}

// Add keeps a report, which is anything that becomes a JSON value of at most MaxReport bytes, and returns its id. It is
// on the disk within a second.
func (s *Spool) Add(status string, body any) (string, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return "", fmt.Errorf("keep report: %w", err)
	}
	r := Report{ID: rand.Text(), Status: status, Body: b}
	if r.size() > MaxReport {
		return "", fmt.Errorf("keep report of %d bytes: %w", len(b), ErrTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reports = append(s.reports, r)
	s.bytes += r.size()
	s.pending = append(s.pending, line{Add: &r})
	s.bound()
	poke(s.wake)
	return r.ID, nil
}

// Next is the n oldest reports, fewer if there are not so many. They stay until Done.
func (s *Spool) Next(n int) []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Report(nil), s.reports[:min(max(n, 0), len(s.reports))]...)
}

// Done removes reports that the server has got. Ids that are not known are passed over.
func (s *Spool) Done(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(ids, 0)
	poke(s.wake)
}

// State says how much waits.
func (s *Spool) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return State{Waiting: len(s.reports), Bytes: s.bytes, Lost: s.lost, Problem: s.problem}
}

// remove removes reports, lost of them without their having been sent. It needs mu.
func (s *Spool) remove(ids []string, lost int) {
	gone := make(map[string]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	var removed []string
	kept := s.reports[:0:0]
	for _, r := range s.reports {
		if !gone[r.ID] {
			kept = append(kept, r)
			continue
		}
		removed = append(removed, r.ID)
		s.bytes -= r.size()
	}
	s.reports = kept
	s.lost += lost
	if len(removed) > 0 {
		s.pending = append(s.pending, line{Done: removed, Lost: lost})
	}
}

// slack is how much more than necessary is given up at once, in hundredths, so that not every report costs a search.
const slack = 2

// bound gives up what is too much: the oldest of the least important. It needs mu.
func (s *Spool) bound() {
	if len(s.reports) <= MaxReports && s.bytes <= MaxBytes {
		return
	}
	reports, bytes := len(s.reports)-MaxReports*(100-slack)/100, s.bytes-MaxBytes*(100-slack)/100
	var ids []string
	for class := range classes {
		for _, r := range s.reports {
			if reports <= 0 && bytes <= 0 {
				break
			}
			if classOf(r.Status) == class {
				ids = append(ids, r.ID)
				reports--
				bytes -= r.size()
			}
		}
	}
	s.log.Warn("too many reports wait for the server; the oldest are given up", "given_up", len(ids))
	s.remove(ids, len(ids))
}

const classes = 3

// classOf is how important a report is.
func classOf(status string) int {
	switch status {
	case "playing":
		return 0
	case "error":
		return 2
	}
	return 1
}

// Run writes what comes until ctx ends, and then once more.
func (s *Spool) Run(ctx context.Context) error {
	defer s.file.close()
	for {
		select {
		case <-ctx.Done():
			s.flush()
			return nil
		case <-s.wake:
		}
		t := time.NewTimer(gather / 2)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
		if !s.flush() {
			// Nothing is lost while the process lives: it is tried again with the next report, and now and then.
			s.later(ctx)
		}
	}
}

// again is how long after a failure it is written again.
const again = 30 * time.Second

func (s *Spool) later(ctx context.Context) {
	t := time.NewTimer(again)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
		poke(s.wake)
	}
}

// flush writes what is pending, false if that was not possible.
func (s *Spool) flush() bool {
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	// The slice is never changed in place, only replaced or appended to.
	all, lost := s.reports[:len(s.reports):len(s.reports)], s.lost
	s.mu.Unlock()
	if len(pending) == 0 && s.file.whole {
		return true
	}
	err := s.file.write(pending, all, lost)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.problem = ""
		return true
	}
	if s.problem == "" {
		s.log.Error("reports for the server cannot be kept on the disk", "err", err)
	}
	s.problem = "Reports for the server cannot be kept on the disk (" + err.Error() + "); a restart loses those that it has not got yet."
	return false
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
