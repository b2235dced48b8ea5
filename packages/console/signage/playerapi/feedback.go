package playerapi

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"porthole/packages/console/credential"
	"porthole/packages/console/signage"
	"porthole/packages/console/signage/db"
	"porthole/packages/internal/retry"
)

type feedbackAnswer struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
	// Kept is false where nothing new was said: it is shown, and not written.
	Kept bool `json:"kept"`
}

// feedback is POST /api/player-feedback. When it answers that a report is kept, it is on the disk.
func (a *API) feedback(w http.ResponseWriter, r *http.Request) error {
	f, err := read(w, r)
	if err != nil {
		return err
	}
	c, err := a.authenticate(r, f, tells)
	if err != nil {
		return err
	}
	return a.report(w, r, c.ID, f)
}

// report keeps what a player reports, and answers it.
func (a *API) report(w http.ResponseWriter, r *http.Request, id int64, f fields) error {
	report := signage.Feedback{
		Player: id, MessageID: f.ID.short(maxWord), At: timestamp(string(f.Timestamp)), Received: time.Now(),
		Status: f.Status.short(maxWord), Message: f.Message.short(maxMessage), Item: f.Item.short(maxWord),
	}
	version, err := strconv.ParseInt(string(f.Version), 10, 64)
	a.presence.on(id, func(l *live) {
		l.Status, l.Message, l.Item, l.dirty = report.Status, report.Message, report.Item, true
		if err == nil {
			l.PlayingVersion = version
		}
	})
	kept := a.reports.isNew(report)
	if kept {
		if err := a.reports.keep(r.Context(), report); err != nil {
			return err
		}
	}
	writeJSON(w, http.StatusOK, feedbackAnswer{Success: true, Message: "Feedback received", Kept: kept})
	return nil
}

// The forms in which players write times; without a zone it is UTC, as Python's utcnow has it.
var timeForms = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999-0700"}

// timestamp reads a player's time, the zero time when it cannot: a wrong clock must not cost a report.
func timestamp(s string) time.Time {
	for _, form := range timeForms {
		if t, err := time.Parse(form, s); err == nil && t.Year() > 1970 && t.Year() < 3000 {
			return t.UTC()
		}
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 32503680000 { // the year 3000
		return time.Unix(int64(n), 0).UTC()
	}
	return time.Time{}
}

const (
	// gather is the least time between two writes of reports: a thousand players share a write.
	gather = time.Second
	// maxWaiting bounds the reports that wait to be written.
	maxWaiting = 4096
)

// reports writes what players report, many at a time.
type reports struct {
	store *db.Store
	seen  *credential.Memory // what a player said last
	news  chan struct{}

	mu      sync.Mutex
	waiting []signage.Feedback // guarded by mu
	done    *written           // of those that wait; guarded by mu
	closed  bool               // guarded by mu
}

// written is closed when a batch was written, or not.
type written struct {
	over chan struct{}
	err  error
}

func newReports(s *db.Store) *reports {
	return &reports{store: s, seen: credential.NewMemory(24*time.Hour, maxPlayers), news: make(chan struct{}, 1), done: &written{over: make(chan struct{})}}
}

// said is a key for a player and one for what it said.
func (r *reports) said(f signage.Feedback) (credential.Key, string) {
	what := r.seen.Key(f.Status, strconv.Itoa(len(f.Message))+":"+f.Message+f.Item)
	return r.seen.Key(strconv.FormatInt(f.Player, 10), ""), string(what[:])
}

// isNew reports whether f says something else than its player's last report. A report with an id of its own always does.
func (r *reports) isNew(f signage.Feedback) bool {
	if f.MessageID != "" {
		return true
	}
	k, what := r.said(f)
	return !r.seen.Renew(k, what)
}

// keep returns when f is written, together with what others report meanwhile.
func (r *reports) keep(ctx context.Context, f signage.Feedback) error {
	r.mu.Lock()
	if len(r.waiting) >= maxWaiting || r.closed {
		r.mu.Unlock()
		return &problem{status: http.StatusServiceUnavailable, wait: 5 * time.Second, text: "the server cannot take reports now; send this one again as Retry-After says"}
	}
	r.waiting = append(r.waiting, f)
	done := r.done
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done.over:
	}
	if done.err == nil && f.MessageID == "" {
		r.seen.Remember(r.said(f))
	}
	return done.err
}

// run writes until ctx ends, then once more.
func (r *reports) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveWithin)
			defer cancel()
			r.mu.Lock()
			r.closed = true
			r.mu.Unlock()
			r.write(last)
			return nil
		case <-r.news:
		}
		r.write(ctx)
		retry.Pause(ctx, gather) // when ctx ends, there is one more to write
	}
}

func (r *reports) write(ctx context.Context) {
	r.mu.Lock()
	batch, done := r.waiting, r.done
	r.waiting, r.done = nil, &written{over: make(chan struct{})}
	r.mu.Unlock()
	done.err = r.store.AddFeedback(ctx, batch)
	close(done.over)
}
