package updates

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"porthole/packages/internal/update"
)

const (
	// lookEvery is how often system is asked while something goes on.
	lookEvery = time.Second
	// restEvery is how often it is asked after it did not answer.
	restEvery = 5 * time.Second
)

// Run fetches what is asked for, restarts into what is to be installed by itself, and tells the audit log what became of
// it, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case j := <-s.jobs:
				s.work(ctx, j)
			}
		}
	})
	s.look() // what came of an update that this start belongs to
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-pause.C:
		}
		if wait := s.follow(ctx); wait > 0 {
			pause.Reset(wait)
		}
	}
}

// follow looks once and returns when to look again, 0 for when something happens.
func (s *Service) follow(ctx context.Context) time.Duration {
	status, err := s.engine.status(ctx)
	if err != nil {
		return restEvery
	}
	if err := s.note(ctx, status.History); err != nil && ctx.Err() == nil {
		s.log.Error("cannot write the audit log", "err", err, "area", "updates")
	}
	s.mu.Lock()
	o := s.offered
	mine := o.install && o.id != "" && o.id == status.ID
	if mine && status.Phase == update.Ready {
		s.offered.install = false
	}
	s.mu.Unlock()
	if mine && status.Phase == update.Ready {
		if err := s.engine.order(ctx, http.MethodPost, "/update/install", o.by.Name); err != nil {
			s.log.Error("the update cannot be installed by itself", "err", err, "version", status.Target)
		}
		return lookEvery
	}
	if active(status.Phase) {
		return lookEvery
	}
	return 0
}

// note writes down what became of updates since the last time, oldest first.
func (s *Service) note(ctx context.Context, history []update.Event) error {
	if len(history) == 0 {
		return nil
	}
	last, err := s.keeper.Noted(ctx)
	if err != nil {
		return err
	}
	fresh := history
	if i := slices.IndexFunc(history, func(e update.Event) bool { return mark(e) == last }); i >= 0 {
		fresh = history[:i]
	}
	for _, e := range slices.Backward(fresh) {
		if err := s.keeper.Note(ctx, mark(e), Entry{Who: cmp.Or(e.Who, "system"), What: outcome(e)}); err != nil {
			return err
		}
	}
	return nil
}

// mark names an event.
func mark(e update.Event) string {
	return e.At.UTC().Format(time.RFC3339Nano) + " " + e.From + " " + e.To + " " + string(e.What)
}

// outcome says what became of an update, as a sentence's predicate.
func outcome(e update.Event) string {
	switch e.What {
	case update.Kept:
		return "updated the device from " + e.From + " to " + e.To + ": kept"
	case update.RolledBack:
		return "updated the device to " + e.To + ": rolled back to " + e.From + ". " + e.Reason
	default:
		return "tried to update the device to " + e.To + ": failed. " + e.Reason
	}
}
