package spool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porthole/packages/internal/testkit"
	"porthole/packages/player/spool"
)

type word struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// queue is a running spool.
type queue struct {
	*spool.Spool
	t    *testing.T
	log  *testkit.Log
	stop func()
}

func open(t *testing.T, dir string) *queue {
	t.Helper()
	q := &queue{t: t, log: &testkit.Log{}}
	q.Spool = spool.New(spool.Config{Log: slog.New(slog.NewTextHandler(q.log, nil)), Dir: dir})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = q.Run(ctx) })
	q.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(q.stop)
	return q
}

func (q *queue) add(status, message string) string {
	q.t.Helper()
	id, err := q.Add(status, word{status, message})
	if err != nil {
		q.t.Fatal(err)
	}
	return id
}

// bodies are the messages that wait.
func (q *queue) bodies() string {
	var all []string
	for _, r := range q.Next(spool.MaxReports) {
		_, rest, _ := strings.Cut(string(r.Body), `"message":"`)
		all = append(all, strings.TrimSuffix(rest, `"}`))
	}
	return strings.Join(all, " ")
}

func TestOverRestarts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	q := open(t, dir)
	if len(q.Next(3)) != 0 {
		t.Error("reports out of nowhere")
	}
	var ids []string
	for n := range 5 {
		ids = append(ids, q.add("playing", fmt.Sprint(n)))
	}
	if next := q.Next(2); len(next) != 2 || next[0].ID != ids[0] || next[1].ID != ids[1] || next[0].Status != "playing" {
		t.Errorf("%v", next)
	}
	q.Done(ids[0], ids[2], "unknown")
	q.stop()
	q = open(t, dir)
	if got := q.bodies(); got != "1 3 4" || q.Next(1)[0].ID != ids[1] || q.State().Waiting != 3 {
		t.Errorf("%q", got)
	}
	q.add("error", "5")
	q.Done(ids[1], ids[3], ids[4])
	q.stop()
	q = open(t, dir)
	if got := q.bodies(); got != "5" {
		t.Errorf("%q", got)
	}
	st, err := os.Stat(filepath.Join(dir, "reports"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
}

// TestWithinASecond: the disk has a report one second after it came, with no help of an orderly end.
func TestWithinASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		q := open(t, dir)
		for n := range 3 {
			q.add("playing", fmt.Sprint(n))
			<-time.After(time.Second)
			synctest.Wait()
			seen := spool.New(spool.Config{Log: discard(), Dir: dir})
			if len(seen.Next(10)) != n+1 {
				t.Errorf("%d of %d reports", len(seen.Next(10)), n+1)
			}
		}
		q.stop()
	})
}

func TestTooLarge(t *testing.T) {
	q := open(t, t.TempDir())
	if _, err := q.Add("playing", strings.Repeat("x", spool.MaxReport)); !errors.Is(err, spool.ErrTooLarge) {
		t.Error(err)
	}
	if _, err := q.Add("playing", make(chan int)); err == nil {
		t.Error("a channel was taken")
	}
	if st := q.State(); st.Waiting != 0 || st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// TestBounds: the oldest "playing" go first, errors last, and what went is counted over a restart.
func TestBounds(t *testing.T) {
	for name, pad := range map[string]int{"reports": 1, "bytes": 1000} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			q := open(t, dir)
			long := strings.Repeat("x", pad)
			q.add("error", "broken"+long)
			q.add("restarting", "again"+long)
			sent := 0
			for q.State().Lost == 0 {
				q.add("playing", fmt.Sprintf("%06d%s", sent, long))
				sent++
			}
			check := func() {
				t.Helper()
				st := q.State()
				next := q.Next(spool.MaxReports)
				if st.Waiting > spool.MaxReports || st.Bytes > spool.MaxBytes || st.Waiting != len(next) || st.Waiting+st.Lost != sent+2 || st.Lost < 10 || st.Lost > spool.MaxReports/20 {
					t.Errorf("%+v, sent %d", st, sent)
				}
				if !strings.Contains(string(next[0].Body), "broken") || !strings.Contains(string(next[1].Body), "again") ||
					!strings.Contains(string(next[2].Body), fmt.Sprintf("%06d", st.Lost)) {
					t.Errorf("%s %s %s", next[0].Body, next[1].Body, next[2].Body)
				}
			}
			check()
			q.stop()
			q = open(t, dir)
			check()
			// Nothing but errors: then the oldest of them.
			for range 2 * sent {
				q.add("error", "more"+long)
			}
			next := q.Next(spool.MaxReports)
			if st := q.State(); st.Waiting > spool.MaxReports || st.Bytes > spool.MaxBytes || next[0].Status != "error" || strings.Contains(string(next[0].Body), "broken") {
				t.Errorf("%+v: %s", st, next[0].Body)
			}
		})
	}
}
