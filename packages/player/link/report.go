package link

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"porthole/packages/internal/retry"
	"porthole/packages/player/playback"
	"porthole/packages/player/spool"
)

// Spool keeps reports until the server has them (spool.Spool).
type Spool interface {
	Add(status string, body any) (id string, err error)
	Next(n int) []spool.Report
	Done(ids ...string)
	State() spool.State
}

// report is what a server is told: the fields of the contract, and our servers' own, which others pass over.
type report struct {
	// ID lets a server keep a report once, however often it comes.
	ID        string `json:"id,omitempty"`
	Status    string `json:"status"`
	Message   string `json:"message"`
	Timestamp string `json:"timestamp"`
	Item      int64  `json:"item,omitempty"`
	Version   int64  `json:"version,omitempty"`
}

func newReport(e playback.Event) report {
	return report{Status: e.Status, Message: e.Message, Timestamp: e.Time.UTC().Format(time.RFC3339), Item: e.Item, Version: e.Version}
}

// batch is how many reports are taken from the spool at a time.
const batch = 32

// tellAll hands over reports, the oldest first, until ctx ends.
func (l *Link) tellAll(ctx context.Context, at server) {
	for failures := 0; ; {
		err := l.tellWaiting(ctx, at)
		if err == nil {
			failures = 0
			select {
			case <-ctx.Done():
				return
			case <-l.told:
			}
			continue
		}
		failures++
		wait := retry.Backoff(failures, 2*time.Second, time.Minute)
		var status *statusError
		if errors.As(err, &status) && status.retryAfter > wait {
			wait = status.retryAfter
		}
		if !retry.Pause(ctx, wait) {
			return
		}
	}
}

// tellWaiting hands over what waits, while the server is there.
func (l *Link) tellWaiting(ctx context.Context, at server) error {
	for l.connected() {
		waiting := l.cfg.Spool.Next(batch)
		if len(waiting) == 0 {
			return nil
		}
		for _, w := range waiting {
			var r report
			err := json.Unmarshal(w.Body, &r)
			if err == nil {
				r.ID = w.ID
				err = at.tell(ctx, r)
			}
			if err != nil && !isFinal(err) {
				return err
			}
			if err != nil {
				l.cfg.Log.Warn("the signage server does not take a report; it is left out", "status", r.Status, "err", err)
			}
			l.cfg.Spool.Done(w.ID)
		}
	}
	return nil
}

// isFinal reports whether a report fails again however often it is sent.
func isFinal(err error) bool {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &kind) || isStatus(err, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusGone, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
}

func (l *Link) connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Connected
}
