package acme

import (
	"context"
	"errors"
	"time"
)

// tries is what is kept of tries that failed, so that a restart is no way to try more often.
type tries struct {
	Failures int       `json:"failures"`
	Next     time.Time `json:"next,omitzero"`
	Trouble  string    `json:"trouble,omitempty"`
	At       time.Time `json:"at,omitzero"`
	// Rehearse sends the next try to Let's Encrypt's test server first.
	Rehearse bool         `json:"rehearse,omitempty"`
	Names    []NameStatus `json:"names,omitempty"`
}

func (p *progress) tries(t tries) {
	p.change(func(s *Status) {
		s.Trouble, s.TroubleAt, s.Next, s.Failures, s.Rehearse = t.Trouble, t.At, t.Next, t.Failures, t.Rehearse
	})
}

// pauses are the waits after failures that count at a server, the last one again and again; soon are those after others, such
// as a network that is not there.
var (
	pauses = [...]time.Duration{10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour}
	soon   = [...]time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
)

// pause is how long to wait after so many failures in a row, 1 or more.
func pause(list []time.Duration, failures int) time.Duration {
	return list[min(failures, len(list))-1]
}

// try makes an attempt and remembers how it ended. It returns when to look again; an error is one of ours.
func (m *Manager) try(ctx context.Context, s Settings, jobs []job, t tries) (time.Time, error) {
	m.progress.restart()
	err := m.attempt(ctx, s, jobs, t.Rehearse)
	now := m.now()
	if ctx.Err() != nil {
		return now, nil //nolint:nilerr // told to stop, or the settings changed: the order is kept
	}
	if err == nil {
		m.progress.change(func(st *Status) {
			for i := range st.Names {
				st.Names[i].State, st.Names[i].Trouble = Proven, ""
			}
		})
		done := tries{Names: m.progress.read().Names}
		m.progress.tries(done)
		return now, m.save(ctx, keyTries, done)
	}
	said := (*stepError)(nil)
	if !errors.As(err, &said) {
		return now, err
	}
	t.Trouble, t.At = m.explain(ctx, s, said), now.UTC()
	if said.step == ownLimit {
		t.Next = said.until
	} else {
		t.Failures++
		list := pauses[:]
		if said.passing() {
			list = soon[:]
		}
		t.Next = now.Add(pause(list, t.Failures)).UTC()
		if said.until.After(t.Next) {
			t.Next = said.until.UTC()
		}
	}
	t.Rehearse = t.Rehearse || said.about()
	if said.name != "" {
		m.progress.name(said.name, Failed, said.way, t.Trouble)
	}
	if problem, ok := asProblem(said.err); ok {
		for _, sub := range problem.Subproblems {
			m.progress.name(sub.Identifier.Value, Failed, "", t.Trouble)
		}
	}
	t.Names = m.progress.read().Names
	m.progress.tries(t)
	m.progress.waits("waiting for the next try")
	m.o.Log.Warn("no certificate", "names", s.Names, "failures", t.Failures, "next", t.Next.Format(time.RFC3339), "err", err)
	return t.Next, m.save(ctx, keyTries, t)
}

// room is an *stepError when the server's limits, as far as they are known, leave none for another event.
func (m *Manager) room(directory, kind, what string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	if at := m.ledger.free(now, directory == m.o.Production, event{Directory: directory, Kind: kind, What: what}); at.After(now) {
		return &stepError{step: ownLimit, err: errors.New("the server allows only so many " + kind), until: at.UTC()}
	}
	return nil
}

// count remembers an event that a server counts.
func (m *Manager) count(ctx context.Context, directory, kind, what string) error {
	m.mu.Lock()
	m.ledger.add(event{At: m.now().UTC(), Directory: directory, Kind: kind, What: what})
	kept := ledger{Events: m.ledger.Events}
	m.mu.Unlock()
	return m.save(ctx, keyLedger, kept)
}
