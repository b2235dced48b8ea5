package trial

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"porthole/packages/system/supervisor"
)

// Settled is how long a process must have run: one that crashes at once, over and over, does not run.
const Settled = 10 * time.Second

// seen is a process as it was at the last look.
type seen struct {
	pid   int
	since time.Time
}

// processes looks whether all of them run and answer.
func (t *Trial) processes(ctx context.Context) (string, error) {
	list, err := t.cfg.Processes(ctx)
	if err != nil {
		return "", failf("The supervisor does not say which processes run: %v.", err)
	}
	now := time.Now()
	var names, bad []string
	for _, p := range list {
		if !t.cfg.Watched(p.Name) {
			continue
		}
		names = append(names, p.Name)
		if why := t.process(p, now); why != "" {
			bad = append(bad, p.Name+" "+why)
		}
	}
	if len(names) == 0 {
		return "", failf("The supervisor knows none of Porthole's processes.")
	}
	bad = append(bad, t.silent(ctx, names)...)
	if len(bad) > 0 {
		slices.Sort(bad)
		return "", failf("Not all processes work: %s.", strings.Join(bad, "; "))
	}
	return fmt.Sprintf("All %d processes run and answer.", len(names)), nil
}

// process says what is wrong with one; empty if nothing is.
func (t *Trial) process(p supervisor.Process, now time.Time) string {
	if p.State != "running" {
		delete(t.first, p.Name)
		if p.Exit != "" {
			return "does not run, it ended with " + p.Exit
		}
		return "does not run"
	}
	s := t.first[p.Name]
	if s.pid != p.PID {
		again := s.pid != 0
		s = seen{p.PID, now}
		t.first[p.Name] = s
		if again {
			return "was started anew"
		}
	}
	if now.Sub(s.since) < Settled {
		return fmt.Sprintf("has not run for %d seconds yet", Settled/time.Second)
	}
	return ""
}

// silent returns those of the processes that do not answer.
func (t *Trial) silent(ctx context.Context, names []string) []string {
	var mu sync.Mutex
	var bad []string
	var wg sync.WaitGroup
	for name, q := range t.cfg.Answers {
		if !slices.Contains(names, name) {
			continue
		}
		wg.Go(func() {
			if _, err := q.Caller.Call(ctx, http.MethodGet, q.Target, nil, nil); err != nil {
				t.cfg.Log.Debug("a process on trial does not answer", "process", name, "err", err)
				mu.Lock()
				defer mu.Unlock()
				bad = append(bad, name+" does not answer")
			}
		})
	}
	wg.Wait()
	return bad
}
